# Counts how many children it can have.
# weak: limits watch
ready, hold = os.pipe()
children = []
try:
    while len(children) < host['processes'] + 40:
        child = os.fork()
        if child == 0:
            os.close(hold)
            os.read(ready, 1)
            os._exit(0)
        children.append(child)
except OSError:
    pass
if len(children) >= host['processes']:
    breached(f'has {len(children)} children')
os.close(hold)
tried()
