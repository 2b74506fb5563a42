# Deletes a file of the machine.
# weak: files
attempt('deleted it', lambda: os.unlink(host['canary']))
tried()
