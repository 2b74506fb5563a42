# Leaves a process behind that keeps the output open.
tried()
if os.fork() == 0:
    os.setsid()
    for number in range(1, 32):
        signal.signal(number, signal.SIG_IGN) if number not in (9, 19) else None
    time.sleep(1000)
os._exit(0)
