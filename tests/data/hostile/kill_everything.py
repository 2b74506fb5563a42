# Kills everything it can name.
for pid in [1, os.getppid(), host['pid'], host['parent']]:
    for number in [signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP]:
        try:
            os.kill(pid, number)
            if pid in (host['pid'], host['parent']):
                breached(f'sent {number} to {pid}')
        except ProcessLookupError:
            pass
        except PermissionError:
            breached(f'found {pid}')
tried()
try:
    os.kill(-1, signal.SIGKILL)
except OSError:
    pass
