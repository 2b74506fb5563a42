# Takes memory in pieces of a mebibyte.
# weak: limits watch
pieces = []
try:
    while len(pieces) < 640:
        pieces.append(b'x' * (1 << 20))
    breached('has 640 MiB')
except MemoryError:
    pieces.clear()
tried()
