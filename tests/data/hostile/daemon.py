# Leaves a process behind that writes to the machine a second later.
# weak: files namespaces
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(3):
            os.close(number)
        time.sleep(1)
        with open(host['canary'], 'a') as file:
            file.write('a daemon was here')
        time.sleep(3)
    os._exit(0)
tried()
os._exit(0)
