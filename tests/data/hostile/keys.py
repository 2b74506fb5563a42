# Reads and keeps keys in the kernel.
# weak: syscalls
attempt('has a keyring', lambda: syscall('keyctl', 0, -3, 1) > 0)
attempt('added a key', lambda: syscall('add_key', b'user', b'x', b'secret', 6, -3) > 0)
tried()
