# Keeps memory in message queues and semaphores.
# weak: syscalls
if libc.msgget(0, 0o1600) >= 0:
    breached('has a queue')
if libc.semget(0, 1, 0o1600) >= 0:
    breached('has a semaphore')
if libc.mq_open(b'/x', os.O_CREAT | os.O_RDWR, 0o600, None) >= 0:
    breached('has a POSIX queue')
tried()
