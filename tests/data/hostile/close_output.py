# Closes its output and sleeps.
# ends: out of time
tried()
for number in range(3):
    os.close(number)
time.sleep(1000)
