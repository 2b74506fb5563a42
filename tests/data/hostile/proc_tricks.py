# Reaches the machine through /proc.
# weak: files
for path in ['/proc/self/root' + host['canary'], '/proc/1/root' + host['canary'], f"/proc/{host['pid']}/root/etc/passwd",
             f"/proc/{host['pid']}/mem", '/proc/self/mem', '/proc/self/maps', '/proc/kcore', '/proc/kallsyms', '/proc/cmdline', '/proc/mounts']:
    attempt('read ' + path, lambda: open(path, 'rb').read(1))
for path in ['/proc/sysrq-trigger', '/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname', '/proc/self/oom_score_adj', '/proc/1/oom_score_adj']:
    attempt('opened ' + path, lambda: os.open(path, os.O_WRONLY))
tried()
