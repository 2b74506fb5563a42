# Takes a gibibyte at once.
# weak: limits watch
attempt('has it', lambda: len(bytearray(1 << 30)) > 0)
tried()
