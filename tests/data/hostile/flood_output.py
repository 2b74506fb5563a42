# Writes to its output without end.
# ends: too much output
tried()
while True:
    os.write(1, b'flood ' * 10000)
