# Mounts and unmounts.
# weak: syscalls
attempt('mounted', lambda: libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0)
attempt('bound', lambda: libc.mount(b'/usr', b'/tmp', None, 4096, None) == 0)
attempt('made / writable', lambda: libc.mount(None, b'/', None, 32 | 4096, None) == 0)
attempt('unmounted', lambda: libc.umount2(b'/tmp', 2) == 0)
attempt('turned the root', lambda: syscall('pivot_root', b'/tmp', b'/tmp') == 0)
attempt('opened a tree', lambda: syscall('open_tree', -100, b'/tmp', 0) >= 0)
attempt('opened a file system', lambda: syscall('fsopen', b'tmpfs', 0) >= 0)
tried()
