# Sleeps for ever.
# ends: out of time
tried()
time.sleep(1e9)
