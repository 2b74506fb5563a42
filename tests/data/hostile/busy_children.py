# Computes for ever by children, each within its own processor time.
# ends: out of time
tried()
while True:
    child = os.fork()
    if child == 0:
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass
        os._exit(0)
    os.waitpid(child, 0)
