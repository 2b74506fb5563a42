# Writes to a file of the machine through a symbolic link.
# weak: files
os.symlink(host['canary'], '/tmp/link' + str(os.getpid()))
attempt('wrote through it', lambda: open('/tmp/link' + str(os.getpid()), 'r+').write('x'))
os.unlink('/tmp/link' + str(os.getpid()))
tried()
