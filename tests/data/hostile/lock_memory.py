# Locks memory, so that it cannot be moved out.
# weak: limits
kept = ctypes.create_string_buffer(64 << 20)
attempt('locked 64 MiB', lambda: libc.mlock(kept, len(kept)) == 0)
attempt('locked a page', lambda: libc.mlock(kept, 4096) == 0)
tried()
