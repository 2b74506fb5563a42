# Makes namespaces of its own.
# weak: syscalls namespaces
for flag in [0x10000000, 0x20000, 0x40000000, 0x20000000, 0x4000000, 0x8000000, 0x2000000, 0x80]:
    if os.fork() == 0:
        attempt(f'unshared {flag:#x}', lambda: libc.unshare(flag) == 0)
        child = libc.syscall(numbers['clone'], flag | signal.SIGCHLD, 0, 0, 0, 0) if flag != 0x80 else -1
        if child == 0:
            os._exit(0)
        if child > 0:
            breached(f'cloned with {flag:#x}')
        os._exit(0)
    os.wait()
tried()
