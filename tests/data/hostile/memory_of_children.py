# Takes memory by many processes, each under its own limit.
# weak: limits watch
# ends: out of memory
tried()
ready, done = os.pipe()
for _ in range(6):
    if os.fork() == 0:
        kept = b'x' * (128 << 20)
        os.write(done, b'1')
        time.sleep(100)
for _ in range(6):
    os.read(ready, 1)
time.sleep(1)
breached('6 processes have 128 MiB each')
