# Connects to a port of the machine.
# weak: syscalls namespaces
import socket
attempt('connected', lambda: socket.create_connection(('127.0.0.1', host['port']), timeout=1))
tried()
