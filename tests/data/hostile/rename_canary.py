# Moves a file of the machine.
# weak: files
attempt('moved it', lambda: os.rename(host['canary'], host['canary'] + '.moved'))
tried()
