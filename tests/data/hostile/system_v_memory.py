# Asks the kernel for System V shared memory, which no limit counts.
# weak: syscalls
number = libc.shmget(0, ctypes.c_size_t(1 << 30), 0o1600)
if number >= 0:
    breached('has 1 GiB')
    libc.shmctl(number, 0, None)
tried()
