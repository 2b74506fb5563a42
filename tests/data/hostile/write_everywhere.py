# Makes files all over the machine.
# weak: files
for folder in ['/', '/usr', '/usr/bin', '/usr/local', '/usr/lib', '/bin', '/lib', '/etc', '/var/tmp', '/var', '/box', '/dev',
               '/dev/shm', '/run', '/run/lock', '/boot', '/opt', '/srv', '/mnt', '/home', '/root', '/sys', '/proc', host['home']]:
    path = f'{folder}/checkbit-hostile-{os.getpid()}'
    attempt('made ' + path, lambda: open(path, 'w').close())
    if os.path.exists(path):
        os.unlink(path)
tried()
