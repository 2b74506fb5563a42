# Recurses until the stack runs over.
tried()
sys.setrecursionlimit(1 << 30)
class Deep:
    def __getattr__(self, name):
        return getattr(self, name + 'x')
def down(n):
    if n == 50_000_000:
        breached('50 million calls deep')
    return down(n + 1) + 1
try:
    print(repr(Deep().x))
except RecursionError:
    pass
down(0)
