# Sets timers that should outlive it, and watches the clock.
# ends: out of time
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
signal.signal(signal.SIGALRM, lambda *_: None)
tried()
begin = time.monotonic()
while time.monotonic() - begin < 1000:
    time.sleep(0.05)
