"""Writes tests/data/golden_blocks.json: blocks of every format with the values they stand for.

    python3 tests/oracles/make_golden_blocks.py

The values come from the gguf package's dequantizers (format_oracle.py) and, for Checkbit's own
formats, from own_formats.py. Per format: 8 blocks of random bytes, one of all zero bytes, one of all
0xff. Blocks and values are hexadecimal; values are little-endian binary32.
"""

import json
import os

import format_oracle
import numpy as np
import own_formats

TARGET = os.path.join(os.path.dirname(__file__), "..", "data", "golden_blocks.json")
RANDOM_BLOCKS = 8  # 256 for formats of one value per block


def blocks_of(name: str, elements: int, size: int) -> np.ndarray:
    """uint8 [count, size], the same on every run."""
    rng = np.random.default_rng(list(name.encode()))
    count = RANDOM_BLOCKS if elements > 1 else 256
    random = rng.integers(0, 256, (count, size), dtype=np.uint8)
    return np.concatenate([random, np.zeros((1, size), np.uint8), np.full((1, size), 255, np.uint8)])


def entry(name: str, type_id: int, oracle) -> dict:
    elements, size = oracle.block_size(name)
    blocks = blocks_of(name, elements, size)
    values = oracle.dequantize(blocks, name).astype("<f4").reshape(len(blocks), elements)
    return {
        "name": name,
        "type_id": type_id,
        "block_elements": elements,
        "block_bytes": size,
        "blocks": [block.tobytes().hex() for block in blocks],
        "values": [row.tobytes().hex() for row in values],
    }


def main():
    standard = [entry(t.name, int(t), format_oracle) for t in format_oracle.GGMLQuantizationType]
    own = [entry(name, facts[0], own_formats) for name, facts in own_formats.GROUPS.items()]
    with open(TARGET, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(e) for e in standard + own) + "\n]\n")


if __name__ == "__main__":
    main()
