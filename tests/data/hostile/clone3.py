# Makes a process by clone3, whose flags no filter can read.
# weak: syscalls namespaces
arguments = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, signal.SIGCHLD)
child = libc.syscall(numbers['clone3'], ctypes.byref(arguments), 64)
if child == 0:
    os._exit(0)
if child > 0:
    breached('made one in a user namespace')
tried()
