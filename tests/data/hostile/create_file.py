# Makes a file in a folder of the machine that everyone may write.
# weak: files
attempt('made it', lambda: open(host['folder'] + '/made', 'w').write('x'))
tried()
