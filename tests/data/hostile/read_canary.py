# Reads a file of the machine that everyone may read.
# weak: files
attempt('read it', lambda: open(host['canary']).read())
tried()
