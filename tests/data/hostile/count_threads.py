# Counts how many threads it can have.
# weak: limits
import threading
threading.stack_size(1 << 16)
stop = threading.Event()
started = 0
try:
    while started < host['processes'] + 40:
        threading.Thread(target=stop.wait).start()
        started += 1
except RuntimeError:
    pass
stop.set()
if started >= host['processes']:
    breached(f'has {started} threads')
tried()
