# Types into the terminal of whoever started it.
# weak: files
import fcntl
for number in range(3):
    for request in (0x5412, 0x541c):
        attempt(f'typed into {number}', lambda: fcntl.ioctl(number, request, b'x'))
for path in ['/dev/tty', '/dev/console', '/dev/ptmx', '/dev/pts/0']:
    attempt('opened ' + path, lambda: os.open(path, os.O_RDWR))
attempt('has a terminal', lambda: os.openpty())
tried()
