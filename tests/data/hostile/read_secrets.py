# Reads accounts, keys and settings of the machine.
# weak: files
for path in ['/etc/shadow', '/etc/passwd', '/etc/hostname', '/etc/ssh', '/root/.ssh', '/root/.bashrc', '/home',
             '/var/log', '/run/secrets', '/etc/machine-id', host['home']]:
    attempt('read ' + path, lambda: os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1))
tried()
