# Forks, and so do its children.
# ends: out of time
tried()
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
