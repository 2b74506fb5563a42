# Makes a file of a tebibyte that holds nothing.
# weak: limits
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
open('/tmp/sparse', 'w').close()
attempt('stretched it', lambda: os.truncate('/tmp/sparse', 1 << 40))
attempt('set it aside', lambda: os.posix_fallocate(os.open('/tmp/sparse', os.O_RDWR), 0, 1 << 24))
tried()
