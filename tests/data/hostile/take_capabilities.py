# Takes capabilities back.
class Header(ctypes.Structure):
    _fields_ = [('version', ctypes.c_uint32), ('pid', ctypes.c_int)]
header = Header(0x20080522, 0)
full = (ctypes.c_uint32 * 6)(*([0xffffffff] * 6))
now = (ctypes.c_uint32 * 6)()
attempt('set them', lambda: libc.capset(ctypes.byref(header), full) == 0)
libc.capget(ctypes.byref(header), now)
if any(now):
    breached(f'has capabilities {list(now)}')
for number in range(41):
    if libc.prctl(47, 2, number, 0, 0) == 0:
        breached(f'kept capability {number}')
tried()
