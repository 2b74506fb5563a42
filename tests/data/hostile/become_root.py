# Becomes another user, runs programs that make root.
import subprocess
for call in [lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgroups([0]),
             lambda: os.chown('/tmp', 0, 0)]:
    attempt('changed who it is', call)
if libc.prctl(39, 0, 0, 0, 0) != 1:
    breached('may get new privileges')
for words in [['/usr/bin/su', '-c', 'id'], ['/usr/bin/sudo', '-n', 'id'], ['/usr/bin/mount', '-t', 'tmpfs', 'x', '/tmp'], ['/usr/bin/newgrp', 'root']]:
    try:
        done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, timeout=2)
        if done.returncode == 0 and (b'uid=0' in done.stdout or 'mount' in words[0]):
            breached('ran ' + words[0])
    except (OSError, subprocess.TimeoutExpired):
        pass
tried()
