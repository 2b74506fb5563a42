# Connects to sockets of the machine by path and by abstract name.
# weak: syscalls namespaces files
import socket
for name in [host['socket'], '\0' + host['abstract'], '/run/docker.sock', '/var/run/docker.sock', '/run/dbus/system_bus_socket']:
    attempt(f'connected to {name!r}', lambda: socket.socket(socket.AF_UNIX).connect(name))
tried()
