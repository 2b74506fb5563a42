# Does its calls through a ring that no filter sees.
# weak: syscalls
parameters = ctypes.create_string_buffer(256)
attempt('has a ring', lambda: syscall('io_uring_setup', 8, parameters) >= 0)
attempt('has the old kind', lambda: syscall('io_setup', 8, ctypes.byref(ctypes.c_ulong(0))) == 0)
tried()
