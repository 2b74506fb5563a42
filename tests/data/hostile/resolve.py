# Asks for the address of a name.
import socket, urllib.request
attempt('resolved a name', lambda: socket.getaddrinfo('example.org', 80))
attempt('read a page', lambda: urllib.request.urlopen(f"http://127.0.0.1:{host['port']}/", timeout=1))
tried()
