# Raises its own limits and those of the first process.
# weak: limits
import resource
for name, most in [('RLIMIT_AS', host['memory_bytes']), ('RLIMIT_NPROC', host['processes'] + 1), ('RLIMIT_NOFILE', host['open_files']),
                   ('RLIMIT_FSIZE', host['file_bytes']), ('RLIMIT_CPU', 3600)]:
    limit = getattr(resource, name)
    try:
        resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        pass
    now = resource.getrlimit(limit)[0]
    if now == resource.RLIM_INFINITY or now > most:
        breached(f'{name} is {now}')
tried()
