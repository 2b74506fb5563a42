# Writes to both outputs from several processes.
# ends: too much output
tried()
os.fork()
os.fork()
while True:
    os.write(1, b'\0\xff\x1b[2J' * 10000)
    os.write(2, b'x')
    os.write(2, b'\xc3' * 50000)
