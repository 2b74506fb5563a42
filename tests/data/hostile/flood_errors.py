# Writes to its error output without end.
# ends: too much output
tried()
while True:
    os.write(2, b'flood\n' * 10000)
