# Sends a datagram.
# weak: syscalls namespaces
import socket
attempt('sent it', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', host['port'])))
tried()
