# Makes calls of another processor's table (32 bits), which a filter may overlook.
import mmap
tried()
if os.uname().machine == 'x86_64':
    # mov eax, 39 (mkdir); mov ebx, path; mov ecx, 0777; int 0x80; ret
    low = libc.mmap
    low.restype = ctypes.c_void_p
    place = low(ctypes.c_void_p(0), ctypes.c_size_t(4096), 7, 0x62, -1, 0)
    if place not in (None, ctypes.c_void_p(-1).value):
        path = b'/tmp/by32\0'
        ctypes.memmove(place + 256, path, len(path))
        code = b'\x53\xb8\x27\0\0\0\xbb' + (place + 256).to_bytes(4, 'little') + b'\xb9\xff\x01\0\0\xcd\x80\x5b\xc3'
        ctypes.memmove(place, code, len(code))
        ctypes.CFUNCTYPE(ctypes.c_int)(place)()
    # The table of x32: numbers with bit 30.
    libc.syscall(0x40000000 + 83, b'/tmp/byx32', 0o777)
    for name in ['by32', 'byx32']:
        if os.path.exists('/tmp/' + name):
            breached('made a folder ' + name)
