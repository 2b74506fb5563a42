# Makes files that hold nothing until the kernel has no memory.
# weak: watch
# ends: too many files
tried()
i = 0
while True:
    os.close(os.open(f'/tmp/{i}', os.O_CREAT | os.O_WRONLY))
    i += 1
    if i == 60000:
        breached('made 60000 files')
        break
