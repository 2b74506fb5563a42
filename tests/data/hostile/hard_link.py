# Links a file of the machine under another name.
# weak: files
attempt('linked it', lambda: os.link(host['canary'], host['folder'] + '/linked'))
tried()
