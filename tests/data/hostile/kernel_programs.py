# Loads programs into the kernel and counts its events.
# weak: syscalls
attribute = ctypes.create_string_buffer(128)
attempt('made a map', lambda: syscall('bpf', 0, attribute, 128) >= 0)
attempt('counts events', lambda: syscall('perf_event_open', attribute, 0, -1, -1, 0) >= 0)
attempt('handles page faults', lambda: syscall('userfaultfd', 1) >= 0)
attempt('watches files', lambda: libc.fanotify_init(0x200, 0) >= 0)
tried()
