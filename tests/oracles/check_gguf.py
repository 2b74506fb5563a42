#!/usr/bin/env python3
"""Metadata and tensor tables of pulled models against the gguf package, value for value.

Checkbit's view is `checkbit inspect MODEL --json --full`. One result per model: how many keys and
tensors differ, which must be none.
"""

import json

import common
import gguf
import numpy as np
from common import Result


def same(ours, theirs):
    """Equal, floats as the nearest double to their 32 bits or exactly."""
    if isinstance(theirs, list):
        return (
            isinstance(ours, list)
            and len(ours) == len(theirs)
            and all(same(a, b) for a, b in zip(ours, theirs, strict=True))
        )
    if isinstance(theirs, float):
        return float(ours) == theirs or np.float32(ours) == np.float32(theirs)
    return ours == theirs


def reference_tensors(reader):
    """Name, type, shape and bytes in file order."""
    return [
        (tensor.name, tensor.tensor_type.name, [int(n) for n in tensor.shape], int(tensor.n_bytes))
        for tensor in reader.tensors
    ]


def check_models():
    """Every pulled model."""
    for name in common.MODELS:
        path = common.model_path(name)
        ours = json.loads(common.checkbit("inspect", path, "--json", "--full"))
        reader = gguf.GGUFReader(path)
        fields = {key: f for key, f in reader.fields.items() if not key.startswith("GGUF.")}
        wrong = set(fields) ^ set(ours["metadata"])
        wrong |= {
            key
            for key in set(fields) - wrong
            if not same(ours["metadata"][key], fields[key].contents())
        }
        listed = [(t["name"], t["type"], t["shape"], t["bytes"]) for t in ours["tensors"]]
        theirs = reference_tensors(reader)
        tensors = sum(a != b for a, b in zip(listed, theirs)) + abs(len(listed) - len(theirs))
        note = f"{len(fields)} keys, {len(theirs)} tensors"
        yield Result(f"gguf {name}: differing", len(wrong) + tensors, 0, note)


if __name__ == "__main__":
    common.main(__doc__, [check_models])
