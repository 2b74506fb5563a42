"""Seeded random matrices in any GGUF tensor type, with a wanted standard deviation.

Types that the gguf package can encode are encoded from normal numbers. The others get random block
bytes with scale fields that give the wanted deviation: every bit of the block layout is exercised.
"""

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import QuantError, dequantize, quantize

# Byte offsets of the float16 scale fields in one block (GGUF type documentation).
SCALE_OFFSETS = {
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "IQ1_S": (0,),
    "IQ2_XXS": (0,),
    "IQ2_XS": (0,),
    "IQ2_S": (0,),
    "IQ3_XXS": (0,),
    "IQ3_S": (0,),
    "IQ4_NL": (0,),
    "IQ4_XS": (0,),
}


def block_size(type_name):
    """Columns must be a multiple of this."""
    return GGML_QUANT_SIZES[GGMLQuantizationType[type_name]][0]


def set_block_scales(blocks, type_name, scale):
    """Writes the scale into every block of blocks [count, block bytes] in place."""
    bits = np.array([scale], dtype=np.float16).view(np.uint16)[0]
    if type_name == "IQ1_M":  # the float16 lies in the top four bits of the last four words
        words = blocks[:, 48:56].copy().view("<u2")
        nibbles = np.array([(int(bits) >> shift) & 15 for shift in (0, 4, 8, 12)], dtype=np.uint16)
        blocks[:, 48:56] = ((words & 0x0FFF) | (nibbles << 12)).view(np.uint8)
        return
    for offset in SCALE_OFFSETS[type_name]:
        blocks[:, offset] = bits & 255
        blocks[:, offset + 1] = bits >> 8


def random_blocks(rng, rows, columns, type_name, deviation):
    """Random block bytes [rows, bytes per row] that decode to about the wanted deviation."""
    elements, size_bytes = GGML_QUANT_SIZES[GGMLQuantizationType[type_name]]
    blocks = rng.integers(0, 256, size=(rows * columns // elements, size_bytes), dtype=np.uint8)
    set_block_scales(blocks, type_name, 1.0)
    decoded = dequantize(blocks, GGMLQuantizationType[type_name])
    set_block_scales(blocks, type_name, deviation / float(np.std(decoded)))
    return blocks.reshape(rows, -1)


def random_matrix(rng, rows, columns, type_name, deviation):
    """Data of a tensor [rows, columns] as GGUFWriter.add_tensor takes it with raw_dtype."""
    if columns % block_size(type_name):
        raise ValueError(f"{columns} columns do not fit type {type_name}")
    tensor_type = GGMLQuantizationType[type_name]
    if type_name in SCALE_OFFSETS or type_name == "IQ1_M":
        return random_blocks(rng, rows, columns, type_name, deviation)
    values = (rng.standard_normal((rows, columns)) * deviation).astype(np.float32)
    try:
        return quantize(values, tensor_type)
    except (QuantError, NotImplementedError) as error:
        raise ValueError(f"type {type_name} cannot be made at random: {error}") from error
