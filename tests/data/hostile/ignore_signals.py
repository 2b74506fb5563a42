# Ignores and blocks every signal, and goes on for ever.
# ends: out of
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_SETMASK, range(1, 65))
tried()
while True:
    pass
