# Writes a file of the machine through a shell.
# weak: files
import subprocess
subprocess.run(['/bin/sh', '-c', 'echo x >> "$0"', host['canary']], stderr=subprocess.DEVNULL)
attempt('the shell saw it', lambda: subprocess.run(['/bin/cat', host['canary']], check=True, capture_output=True) and None if os.path.exists(host['canary']) else False)
tried()
