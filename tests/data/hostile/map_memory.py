# Maps more anonymous memory than it may have.
# weak: limits
import mmap
attempt('mapped it', lambda: mmap.mmap(-1, 1 << 31, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
tried()
