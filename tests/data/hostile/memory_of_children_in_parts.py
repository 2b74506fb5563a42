# Takes memory by many processes, in parts that are given back and taken again.
# weak: limits watch
# ends: out of memory
tried()
ready, done = os.pipe()
for _ in range(6):
    if os.fork() == 0:
        kept = [b'x' * (1 << 20) for _ in range(64)]
        kept = kept[:32] + [b'y' * (1 << 20) for _ in range(96)]
        os.write(done, b'1')
        time.sleep(100)
for _ in range(6):
    os.read(ready, 1)
time.sleep(1)
breached('6 processes have 128 MiB each')
