# Looks whether processes of the machine are there.
# weak: namespaces
for pid in [host['pid'], host['parent']]:
    try:
        os.kill(pid, 0)
        breached(f'may signal {pid}')
    except PermissionError:
        breached(f'sees {pid}')
    except ProcessLookupError:
        pass
tried()
