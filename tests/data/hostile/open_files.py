# Opens files until there is no descriptor.
# weak: limits
kept = []
try:
    while len(kept) < 2000:
        kept.append(os.open('/dev/null', os.O_RDONLY))
except OSError:
    pass
if len(kept) > host['open_files']:
    breached(f'has {len(kept)} descriptors')
tried()
