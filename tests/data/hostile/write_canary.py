# Appends to a file of the machine that everyone may write.
# weak: files
attempt('wrote to it', lambda: open(host['canary'], 'a').write('x'))
tried()
