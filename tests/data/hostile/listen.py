# Opens ports.
# weak: syscalls
import socket
def listen(family, address):
    with socket.socket(family) as server:
        server.bind(address)
        server.listen()
attempt('IPv4', lambda: listen(socket.AF_INET, ('0.0.0.0', 0)))
attempt('IPv6', lambda: listen(socket.AF_INET6, ('::', 0)))
attempt('a path', lambda: listen(socket.AF_UNIX, '/tmp/listening'))
tried()
