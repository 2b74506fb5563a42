# Writes one file over the limit.
# weak: limits
def write():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open('/tmp/big', 'wb', buffering=0) as file:
        for _ in range(8):
            file.write(bytes(1 << 20))
    return os.path.getsize('/tmp/big') > host['file_bytes']
attempt('wrote 8 MiB', write)
tried()
