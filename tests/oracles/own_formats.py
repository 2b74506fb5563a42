"""Checkbit's own formats in numpy, written from docs/formats/own.md, trellis.md and from nothing else."""

import os
import re

import numpy as np

# name: (type id, bits, bytes per group of 32)
GROUPS = {"CB2": (0x43420002, 2, 10), "CB3": (0x43420003, 3, 14), "CB4": (0x43420004, 4, 18),
          "CT2": (0x43420012, 2, 9), "CT3": (0x43420013, 3, 13)}  # fmt: skip
TRELLIS_DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "formats", "trellis.md")


def tensor_types(reader) -> dict[str, str]:
    """Tensor name to own format, from the metadata of an open GGUF file; others are left out."""
    fields = (reader.get_field(f"checkbit.tensor.{key}") for key in ("names", "formats"))
    return dict(zip(*(field.contents() if field else [] for field in fields), strict=True))


def block_size(name: str) -> tuple[int, int]:
    """(elements, bytes) of one block."""
    return 32, GROUPS[name][2]


def _scale(head: np.ndarray) -> np.ndarray:
    exponent = (head >> 11).astype(np.int64)
    fraction = ((head >> 7) & 15) / 16.0
    normal = np.where(exponent == 0, fraction * 2.0**-14, (1 + fraction) * 2.0 ** (exponent - 15.0))
    damaged = np.where(fraction == 0, np.inf, np.nan)
    return np.where(exponent == 31, damaged, normal)


def _two_bits(quants: np.ndarray) -> np.ndarray:
    return np.concatenate([(quants >> shift) & 3 for shift in (0, 2, 4, 6)], axis=1)


def _levels(blocks: np.ndarray, bits: int) -> np.ndarray:
    if bits == 4:
        return np.concatenate([blocks[:, 2:18] & 15, blocks[:, 2:18] >> 4], axis=1)
    q = _two_bits(blocks[:, 2:10])
    if bits == 3:
        q = q + 4 * np.unpackbits(blocks[:, 10:14], axis=1, bitorder="little")
    return q


def trellis_table(name: str) -> np.ndarray:
    """float64 [64], from the document."""
    with open(TRELLIS_DOCUMENT, encoding="utf-8") as file:
        block = re.search(rf"Table of {name}:\n\n((?:    [-0-9 ]+\n)+)", file.read())
    return np.array(block.group(1).split(), np.float64)


def _trellis_values(blocks: np.ndarray, name: str, bits: int) -> np.ndarray:
    stream = np.unpackbits(blocks[:, 1:], axis=1, bitorder="little").reshape(len(blocks), 32, bits)
    codes = stream @ (1 << np.arange(bits))
    window = np.zeros_like(codes)
    for age in range(6 // bits):
        window += np.roll(codes, age, axis=1) << (6 - (age + 1) * bits)
    # Place t on the circle is weight 4 (t mod 8) + t div 8.
    steps = trellis_table(name)[window].reshape(-1, 4, 8).transpose(0, 2, 1).reshape(-1, 32)
    head = blocks[:, 0].astype(np.uint16) << 8
    with np.errstate(invalid="ignore"):
        return _scale(head)[:, None] * steps


def dequantize(data: np.ndarray, name: str) -> np.ndarray:
    """data: uint8, whole blocks -> float32, flat. Computed in float64, which must be exact."""
    _, bits, size = GROUPS[name]
    blocks = np.ascontiguousarray(data).view(np.uint8).reshape(-1, size)
    if name.startswith("CT"):
        return _trellis_values(blocks, name, bits).astype(np.float32).reshape(-1)
    head = blocks[:, 0].astype(np.uint16) | (blocks[:, 1].astype(np.uint16) << 8)
    offset = (head & 127) / (128 / 2**bits)
    with np.errstate(invalid="ignore"):
        values = _scale(head)[:, None] * (_levels(blocks, bits) - offset[:, None])
    rounded = values.astype(np.float32)
    assert np.array_equal(rounded.astype(np.float64), values, equal_nan=True), "not exact in binary32"
    return rounded.reshape(-1)
