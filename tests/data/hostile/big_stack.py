# Starts a thread with a stack of 1 GiB.
# weak: limits
import threading
def start():
    threading.stack_size(1 << 30)
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
try:
    attempt('has it', start)
except (RuntimeError, ValueError):
    pass
tried()
