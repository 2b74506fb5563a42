# Keeps memory in a file that has no name.
# weak: syscalls
attempt('made one', lambda: os.memfd_create('x'))
attempt('made a secret one', lambda: syscall('memfd_secret', 0) >= 0)
tried()
