# Takes a descriptor out of another process.
# weak: syscalls
child = os.fork()
if child == 0:
    time.sleep(100)
for pid in [child, 1]:
    attempt(f'took one of {pid}', lambda: syscall('pidfd_getfd', os.pidfd_open(pid), 1, 0) >= 0)
os.kill(child, signal.SIGKILL)
tried()
