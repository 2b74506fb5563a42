# Reads and writes the memory of another process.
# weak: syscalls
class Part(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(b'secret')
part = Part(ctypes.addressof(buffer), 6)
child = os.fork()
if child == 0:
    time.sleep(100)
attempt('read it', lambda: libc.process_vm_readv(child, ctypes.byref(part), 1, ctypes.byref(part), 1, 0) == 6)
attempt('wrote to it', lambda: libc.process_vm_writev(child, ctypes.byref(part), 1, ctypes.byref(part), 1, 0) == 6)
os.kill(child, signal.SIGKILL)
tried()
