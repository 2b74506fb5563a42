# Children that send each other signals without end.
# ends: out of
for number in (10, 12, 14, 17, 34, 40):
    signal.signal(number, signal.SIG_IGN)
tried()
for _ in range(8):
    if os.fork() == 0:
        for number in (10, 12, 14, 17, 34, 40):
            signal.signal(number, lambda *_: None)
        while True:
            for number in (10, 12, 34, 40):
                try:
                    os.kill(-1, number)
                except OSError:
                    pass
time.sleep(1000)
