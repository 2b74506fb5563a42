# Maps shared memory, which stays when the process that filled it is gone.
# weak: syscalls
import mmap
attempt('mapped it', lambda: mmap.mmap(-1, 128 << 20))
attempt('mapped zeros', lambda: mmap.mmap(os.open('/dev/zero', os.O_RDWR), 128 << 20))
tried()
