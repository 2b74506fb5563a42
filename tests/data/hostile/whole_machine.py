# Reboots, renames, loads modules, sets the clock, flushes disks.
# weak: syscalls
attempt('named the machine', lambda: libc.sethostname(b'x', 1) == 0)
attempt('named the domain', lambda: libc.setdomainname(b'x', 1) == 0)
attempt('rebooted', lambda: libc.reboot(0x4321fedc + 0x1000) == 0)
attempt('loaded a module', lambda: syscall('finit_module', 0, b'', 0) == 0)
attempt('loaded a kernel', lambda: syscall('kexec_load', 0, 0, 0, 0) == 0)
attempt('set the clock', lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
attempt('read the log', lambda: libc.klogctl(10, None, 0) >= 0)
attempt('took swap', lambda: libc.swapon(b'/tmp', 0) == 0)
attempt('has ports', lambda: syscall('iopl', 3) == 0)
attempt('changed personality', lambda: libc.personality(0x0040000) >= 0)
tried()
