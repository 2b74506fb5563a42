# Fills its scratch folder.
total = 0
try:
    for i in range(1000):
        with open(f'/tmp/{i}', 'wb') as file:
            file.write(bytes(1 << 19))
        total += 1 << 19
except OSError:
    pass
if total > host['scratch_bytes']:
    breached(f'wrote {total} bytes')
tried()
