# Joins the namespaces of another process.
for name in ['user', 'mnt', 'pid', 'net']:
    attempt('joined ' + name, lambda: libc.setns(os.open(f'/proc/1/ns/{name}', os.O_RDONLY), 0) == 0)
attempt('joined the first process', lambda: libc.setns(os.pidfd_open(1), 0x20000) == 0)
tried()
