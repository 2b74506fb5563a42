# Opens disks and memory, makes device nodes.
# weak: files
import stat
for path in ['/dev/sda', '/dev/vda', '/dev/nvme0n1', '/dev/mem', '/dev/kmem', '/dev/kmsg', '/dev/port', '/dev/fuse', '/dev/kvm',
             '/dev/tty', '/dev/ptmx', '/dev/console', '/dev/loop0', '/dev/net/tun', '/dev/fd/0', '/dev/full', '/dev/stdin']:
    attempt('opened ' + path, lambda: os.open(path, os.O_RDWR | os.O_NOCTTY))
attempt('made a node', lambda: os.mknod('/tmp/disk', 0o600 | stat.S_IFBLK, os.makedev(8, 0)))
tried()
