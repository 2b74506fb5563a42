# Looks for the environment of whoever started it.
# weak: files namespaces
extra = set(os.environ) - {'PATH', 'HOME', 'LANG', 'LC_CTYPE', 'PYTHONHASHSEED', 'PWD', 'OLDPWD', 'SHLVL', '_'}
if extra:
    breached('sees ' + ' '.join(sorted(extra)))
for pid in ['self', '1', str(os.getppid()), str(host['pid'])]:
    attempt('read the environment of ' + pid, lambda: open(f'/proc/{pid}/environ', 'rb').read())
tried()
