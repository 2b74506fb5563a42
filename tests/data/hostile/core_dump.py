# Crashes and asks for a core dump.
# weak: limits
import resource
try:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
except (OSError, ValueError):
    pass
if resource.getrlimit(resource.RLIMIT_CORE)[0] > 0:
    breached('may dump core')
    os._exit(0)
tried()
os.abort()
