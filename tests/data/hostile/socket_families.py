# Opens sockets of every family.
# weak: syscalls
import socket
for family in range(1, 46):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        attempt(f'family {family}', lambda: socket.socket(family, kind).close())
tried()
