# Stops itself and its parent.
# ends: out of time
tried()
try:
    os.kill(os.getppid(), signal.SIGSTOP)
except OSError:
    pass
os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(1000)
