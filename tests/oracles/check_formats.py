#!/usr/bin/env python3
"""Decoded tensors of real models against the gguf package, bit for bit.

Checkbit's values come from `checkbit inspect MODEL --dump-tensor NAME -o FILE`, the reference from
format_oracle.py (the package's dequantizer, numpy where it has none). One result per model and
tensor type: how many values differ, which must be none. Types that no model uses are covered by a
file of random blocks made here.
"""

import os
import tempfile

import common
import format_oracle
import gguf
import numpy as np
import own_formats
from common import Result

ROWS_PER_PIECE_VALUES = 1 << 22  # decoded at a time, so that the largest tensor fits in memory
RANDOM_ROWS, RANDOM_COLUMNS = 64, 512


def pieces(tensor):
    """uint8 arrays of whole rows, in order; together the tensor's bytes."""
    rows = np.ascontiguousarray(tensor.data).view(np.uint8)
    rows = rows.reshape(-1, rows.shape[-1])
    step = max(1, ROWS_PER_PIECE_VALUES // int(tensor.shape[0]))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def differing(values, reference):
    """How many floats differ in their bits; two NaNs are the same."""
    same = values.view(np.uint32) == reference.view(np.uint32)
    return int(np.count_nonzero(~same & ~(np.isnan(values) & np.isnan(reference))))


def compare_tensor(model, tensor, type_name, folder):
    """(values, mismatches) of one tensor. A dump of the wrong length is all mismatches."""
    dump = os.path.join(folder, "tensor.f32")
    common.checkbit("inspect", model, "--dump-tensor", tensor.name, "-o", dump)
    decode = own_formats if type_name in own_formats.GROUPS else format_oracle
    elements, size = decode.block_size(type_name)
    values = int(tensor.n_bytes) // size * elements
    if os.path.getsize(dump) != 4 * values:
        return values, values
    ours = np.memmap(dump, "<f4", "r")
    at = mismatches = 0
    for piece in pieces(tensor):
        reference = decode.dequantize(piece, type_name)
        mismatches += differing(np.asarray(ours[at : at + len(reference)]), reference)
        at += len(reference)
    return values, mismatches + (values - at)


def compare_file(label, model):
    """One result per tensor type of a file; our own types are told by their metadata."""
    totals = {}
    reader = gguf.GGUFReader(model)
    own = own_formats.tensor_types(reader)
    with tempfile.TemporaryDirectory(dir=common.scratch()) as folder:
        for tensor in reader.tensors:
            type_name = own.get(tensor.name, tensor.tensor_type.name)
            values, mismatches = compare_tensor(model, tensor, type_name, folder)
            total = totals.setdefault(type_name, [0, 0, 0])
            for i, count in enumerate((1, values, mismatches)):
                total[i] += count
    for name, (tensors, values, mismatches) in sorted(totals.items()):
        note = f"{tensors} tensors, {values} values"
        oracle = "numpy" if name in own_formats.GROUPS else "gguf"
        yield Result(f"decode {name} = {oracle}: {label}", mismatches, 0, note)


def check_models():
    """Every tensor of every model of the catalogue."""
    for name in common.models():
        yield from compare_file(name, common.model_path(name))


def write_random_file(path):
    """A GGUF file with one tensor of random bytes for every type the package knows."""
    writer = gguf.GGUFWriter(path, "llama")
    for name in format_oracle.type_names():
        rng = np.random.default_rng(list(name.encode()))
        elements, size = format_oracle.block_size(name)
        rows = rng.integers(
            0, 256, (RANDOM_ROWS, RANDOM_COLUMNS // elements * size), dtype=np.uint8
        )
        writer.add_tensor(
            f"random.{name}", rows, raw_dtype=gguf.GGMLQuantizationType[name]
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_random_blocks():
    """Random bytes in every type, NaN and infinite scales among them."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "random.gguf")
        write_random_file(path)
        yield from compare_file("random blocks", path)


def check_own():
    """A model in each of our own types."""
    with tempfile.TemporaryDirectory(dir=common.scratch()) as folder:
        for name in own_formats.GROUPS:
            path = os.path.join(folder, f"{name}.gguf")
            source = common.model_path(common.MODELS[0])
            common.checkbit("quantize", source, "-o", path, "--type", name, "--no-measure")
            yield from compare_file(name, path)


if __name__ == "__main__":
    common.main(__doc__, [check_random_blocks, check_own, check_models])
