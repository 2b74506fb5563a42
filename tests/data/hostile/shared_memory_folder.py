# Keeps memory in files of /dev/shm.
# weak: files
path = f'/dev/shm/checkbit-hostile-{os.getpid()}'
attempt('made one', lambda: open(path, 'wb').write(b'x'))
if os.path.exists(path):
    os.unlink(path)
tried()
