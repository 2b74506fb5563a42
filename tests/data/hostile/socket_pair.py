# Opens a pair of sockets and sends descriptors through it.
# weak: syscalls
import socket
attempt('has a pair', lambda: socket.socketpair())
tried()
