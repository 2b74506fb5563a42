"""Reference decoding of every tensor type that the gguf Python package knows.

The package's own dequantizer where it has one; a few lines of numpy for the types it can size but
not decode. Shared by the scripts of this folder; none of it comes from Checkbit.
"""

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

PLAIN = {"I8": "<i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "F64": "<f8", "F32": "<f4", "F16": "<f2"}


def _q1_0(blocks: np.ndarray) -> np.ndarray:
    """Half d, then 128 bits, least significant first: bit set is d, clear is -d."""
    d = blocks[:, :2].copy().view("<f2").astype(np.float32)
    bits = np.unpackbits(blocks[:, 2:], axis=1, bitorder="little")
    return d * np.where(bits == 1, np.float32(1), np.float32(-1))


def _q8_1(blocks: np.ndarray) -> np.ndarray:
    """Float d, float d * sum(q) (not needed), 32 signed bytes: 40 bytes, as the package sizes it."""
    d = blocks[:, :4].copy().view("<f4")
    return d * blocks[:, 8:].view(np.int8).astype(np.float32)


def _q8_k(blocks: np.ndarray) -> np.ndarray:
    """Float d, 256 signed bytes, 16 two-byte sums (not needed)."""
    d = blocks[:, :4].copy().view("<f4")
    return d * blocks[:, 4:260].view(np.int8).astype(np.float32)


OWN = {"Q1_0": _q1_0, "Q8_1": _q8_1, "Q8_K": _q8_k}


def type_names() -> list[str]:
    return [t.name for t in GGMLQuantizationType]


def block_size(name: str) -> tuple[int, int]:
    """(elements, bytes) of one block."""
    return GGML_QUANT_SIZES[GGMLQuantizationType[name]]


def dequantize(data: np.ndarray, name: str) -> np.ndarray:
    """data: uint8 [n_blocks * block_bytes], or 2-D rows of whole blocks -> float32, flat."""
    flat = np.ascontiguousarray(data).view(np.uint8).reshape(-1)
    if name in PLAIN:
        with np.errstate(all="ignore"):
            return flat.view(PLAIN[name]).astype(np.float32)
    blocks = flat.reshape(-1, block_size(name)[1])
    with np.errstate(all="ignore"):
        if name in OWN:
            return OWN[name](blocks).astype(np.float32).reshape(-1)
        return gguf.quants.dequantize(blocks, GGMLQuantizationType[name]).astype(np.float32, copy=False).reshape(-1)
