#!/usr/bin/env python3
"""Prints what the gguf package reads in a file, as JSON: dump.py FILE

    {"metadata": {key: [kind, value]}, "tensors": [[name, type, [dimensions], offset, bytes]]}

Kinds are the numbers of the file format; arrays are [9, [kind of elements, values]]. Floats are
given as their bits, so that a comparison is exact. Offsets count from the data section. Exit status
77: the gguf package is not installed.
"""

import json
import sys

try:
    import gguf
except ImportError:
    sys.exit(77)

FLOAT32, BOOL, STRING, ARRAY, FLOAT64 = 6, 7, 8, 9, 12


def scalar(kind, part):
    """One value from its bytes, a numpy array."""
    if kind == STRING:
        return bytes(part).decode("utf-8", errors="backslashreplace")
    if kind == BOOL:
        return bool(part[0])
    if kind in (FLOAT32, FLOAT64):
        return int.from_bytes(part.tobytes(), "little")
    return int(part[0])


def value(field):
    kinds = [int(kind) for kind in field.types]
    if kinds[0] != ARRAY:
        return [kinds[0], scalar(kinds[0], field.parts[field.data[0]])]
    if len(kinds) == 1:
        return [ARRAY, [None, []]]  # empty: the package does not keep the kind
    return [ARRAY, [kinds[1], [scalar(kinds[1], field.parts[at]) for at in field.data]]]


def main():
    reader = gguf.GGUFReader(sys.argv[1])
    metadata = {name: value(field) for name, field in reader.fields.items()
                if not name.startswith("GGUF.")}
    tensors = [[tensor.name, tensor.tensor_type.name, [int(n) for n in tensor.shape],
                int(tensor.data_offset) - int(reader.data_offset), int(tensor.n_bytes)]
               for tensor in reader.tensors]
    json.dump({"metadata": metadata, "tensors": tensors}, sys.stdout)


if __name__ == "__main__":
    main()
