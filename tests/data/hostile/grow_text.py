# Doubles a text and a number until there is no memory.
for value in ['x', b'x', [0], 1]:
    try:
        while True:
            value = value << 1000 if isinstance(value, int) else value + value
            if sys.getsizeof(value) > 3 * host['memory_bytes']:
                breached('grew too large')
                break
            if isinstance(value, int):
                value = value << (value.bit_length() * 3)
    except (MemoryError, OverflowError):
        value = None
tried()
