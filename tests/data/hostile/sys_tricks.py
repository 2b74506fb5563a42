# Reads and writes the kernel's settings and control groups.
# weak: files
for path in ['/sys', '/sys/fs/cgroup', '/sys/kernel', '/sys/kernel/debug', '/sys/class/net', '/sys/firmware']:
    attempt('listed ' + path, lambda: os.listdir(path))
for path in ['/sys/power/state', '/sys/fs/cgroup/cgroup.procs', '/sys/kernel/uevent_helper']:
    attempt('opened ' + path, lambda: os.open(path, os.O_WRONLY))
tried()
