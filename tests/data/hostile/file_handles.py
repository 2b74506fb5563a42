# Opens files by number, past every folder.
# weak: syscalls
handle = (ctypes.c_uint32 * 34)(128)
mount = ctypes.c_int()
attempt('has a handle', lambda: libc.name_to_handle_at(-100, b'/usr', handle, ctypes.byref(mount), 0) == 0)
attempt('opened it', lambda: libc.open_by_handle_at(os.open('/usr', os.O_RDONLY), handle, 0) >= 0)
tried()
