# Traces itself, its child and the first process.
# weak: syscalls
attempt('let itself be traced', lambda: libc.ptrace(0, 0, 0, 0) == 0)
attempt('traced the first process', lambda: libc.ptrace(16, 1, 0, 0) == 0)
tried()
