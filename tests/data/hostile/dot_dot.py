# Climbs out of its folder by dots, descriptors of folders and chroot.
# weak: files
attempt('climbed out', lambda: open('/tmp/' + '../' * 40 + host['canary'][1:]).read())
top = os.open('/', os.O_RDONLY)
attempt('climbed from /', lambda: os.open('../../..' + host['canary'], os.O_RDONLY, dir_fd=top))
os.mkdir('/tmp/jail' + str(os.getpid()))
attempt('made a root', lambda: os.chroot('/tmp/jail' + str(os.getpid())))
os.rmdir('/tmp/jail' + str(os.getpid()))
tried()
