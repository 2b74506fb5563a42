# Computes for ever.
# ends: out of processor time
tried()
while True:
    pass
