# Changes the file that its input comes from.
attempt('wrote to it', lambda: os.write(0, b'x'))
attempt('cut it', lambda: os.ftruncate(0, 0))
attempt('grew it', lambda: os.ftruncate(0, 1 << 20))
tried()
