# Fills pipes with data that nobody reads.
import fcntl
total = 0
ends = []
try:
    for _ in range(1000):
        ends.append(os.pipe())
        try:
            fcntl.fcntl(ends[-1][1], 1031, 1 << 20)
        except OSError:
            pass
        os.set_blocking(ends[-1][1], False)
        while True:
            total += os.write(ends[-1][1], bytes(1 << 16))
except BlockingIOError:
    pass
except OSError:
    pass
if len(ends) >= host['open_files'] or total > 256 << 20:
    breached(f'{len(ends)} pipes with {total} bytes')
tried()
