# Rewrites its own program and the folder it stands in.
import stat
attempt('wrote to it', lambda: open('/box/program.py', 'a').write('x'))
attempt('deleted it', lambda: os.unlink('/box/program.py'))
attempt('changed its rights', lambda: os.chmod('/box/program.py', 0o777))
attempt('made a file beside it', lambda: open('/box/other.py', 'w'))
tried()
