# Uses descriptors that were open before it began.
# weak: files
for number in range(3, 1024):
    attempt(f'has descriptor {number}', lambda: os.fstat(number))
    attempt(f'wrote to descriptor {number}', lambda: os.write(number, b'x'))
tried()
