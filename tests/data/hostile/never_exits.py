# Does not want to end: exit handlers and children that run for ever.
# ends: out of time
import atexit
tried()
def again():
    if os.fork() == 0:
        os.setsid()
    while True:
        time.sleep(0.1)
atexit.register(again)
