#!/usr/bin/env python3
"""Seals are what their description says: every byte of one, from the definitions.

Files of random bytes are sealed by the program and here: CRC64 and CRC-32C byte by byte, GF(256) by long
multiplication modulo 0x11d, HMAC-SHA256 with Python's hmac, the layout of docs/formats/seal.md. Then blocks
are taken away and solved for with an elimination of this script's own.

check_protect.py --keyed-hash prints the keyed hash of 3,000,000 zeros under 32 bytes of 7 (seal_test.cpp).
"""

import hashlib
import hmac
import pathlib
import random
import struct
import sys
import tempfile

import common
import numpy as np
from common import Result

BLOCK = 4096
DATA = 64


def crc_table(polynomial):
    """The register after eight steps, for every first byte (reflected)."""
    table = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = (register >> 1) ^ (polynomial if register & 1 else 0)
        table.append(register)
    return table


CRC64 = crc_table(0xC96C5795D7870F42)
CRC32C = crc_table(0x82F63B78)


def crc64(data, register=0):
    """CRC-64/XZ; `register` goes on from an earlier result."""
    register ^= 0xFFFFFFFFFFFFFFFF
    for byte in data:
        register = CRC64[(register ^ byte) & 255] ^ (register >> 8)
    return register ^ 0xFFFFFFFFFFFFFFFF


def second(data):
    """The second check of a block: CRC-32C without inversions, folded to 16 bits."""
    register = 0
    for byte in data:
        register = CRC32C[(register ^ byte) & 255] ^ (register >> 8)
    return (register ^ (register >> 16)) & 0xFFFF


def multiply(a, b):
    """In GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(14, 7, -1):
        if product >> bit & 1:
            product ^= 0x11D << (bit - 8)
    return product


PRODUCTS = np.array([[multiply(a, b) for b in range(256)] for a in range(256)], dtype=np.uint8)
INVERSE = [0] + [int(np.flatnonzero(PRODUCTS[a] == 1)[0]) for a in range(1, 256)]


def blocks_of(data):
    """[blocks, 4096], the last filled up with zeros."""
    count = -(-len(data) // BLOCK)
    padded = np.zeros(count * BLOCK, dtype=np.uint8)
    padded[:len(data)] = np.frombuffer(data, dtype=np.uint8)
    return padded.reshape(count, BLOCK)


def coefficient(row, position):
    """Of the Cauchy matrix."""
    return INVERSE[(DATA + row) ^ position]


def parity_of(blocks, rows):
    """[stripes * rows, 4096]: block b stands in stripe b mod stripes."""
    stripes = -(-len(blocks) // DATA)
    parity = np.zeros((stripes, rows, BLOCK), dtype=np.uint8)
    for number, block in enumerate(blocks):
        for row in range(rows):
            parity[number % stripes, row] ^= PRODUCTS[coefficient(row, number // stripes)][block]
    return parity.reshape(-1, BLOCK)


def checks_of(blocks):
    """Ten bytes a block."""
    return b"".join(struct.pack("<QH", crc64(block.tobytes()), second(block.tobytes())) for block in blocks)


def keyed_hash(data, key):
    """HMAC-SHA256 over that of every MiB."""
    def of(name, number, body):
        return hmac.new(key, name + struct.pack("<Q", number) + body, hashlib.sha256).digest()
    leaf = 1 << 20
    leaves = [of(b"checkbit seal leaf 1", i, data[i * leaf:(i + 1) * leaf]) for i in range(-(-len(data) // leaf))]
    return of(b"checkbit seal root 1", len(data), b"".join(leaves))


def seal_of(data, rows, key=None):
    """The bytes of a seal (docs/formats/seal.md)."""
    blocks = blocks_of(data)
    parity = parity_of(blocks, rows)
    table = checks_of(blocks) + checks_of(parity)
    table_blocks = blocks_of(table)
    table_parity = parity_of(table_blocks, rows)
    root = checks_of(table_blocks) + checks_of(table_parity)
    sectors = -(-(96 + len(root)) // 504)
    middle = parity.tobytes() + table + table_parity.tobytes()
    header = b"\x89CBSEAL\n" + struct.pack("<IIIIQQQ", 1, 0 if key is None else 1, DATA, rows, len(data),
                                           len(middle) + 2 * 512 * sectors, crc64(table))
    header += bytes(32) if key is None else keyed_hash(data, key)
    payload = (header.ljust(96, b"\0") + root).ljust(504 * sectors, b"\0")
    pieces = []
    for number in range(sectors):
        piece = payload[504 * number:504 * (number + 1)]
        pieces.append(piece + struct.pack("<Q", crc64(piece + struct.pack("<Q", number))))
    return b"".join(pieces) + middle + b"".join(reversed(pieces))


def head_bytes(blocks, rows):
    """Of one copy of the head, for a model of so many blocks."""
    stripes = -(-blocks // DATA)
    table_blocks = -(-(blocks + stripes * rows) * 10 // BLOCK)
    entries = table_blocks + -(-table_blocks // DATA) * rows
    return 512 * -(-(96 + 10 * entries) // 504)


def solve(data, parity, lost):
    """Puts the lost positions of one stripe back, by elimination."""
    equations = []
    for row in range(len(lost)):
        right = parity[row].copy()
        for position, block in enumerate(data):
            if position not in lost:
                right ^= PRODUCTS[coefficient(row, position)][block]
        equations.append(([coefficient(row, position) for position in lost], right))
    for column in range(len(lost)):
        factors, right = equations[column]
        inverse = INVERSE[factors[column]]
        equations[column] = ([int(PRODUCTS[inverse][f]) for f in factors], PRODUCTS[inverse][right])
        for other in range(len(lost)):
            if other != column:
                factor = equations[other][0][column]
                equations[other] = (
                    [f ^ int(PRODUCTS[factor][p]) for f, p in zip(equations[other][0], equations[column][0])],
                    equations[other][1] ^ PRODUCTS[factor][equations[column][1]])
    return [right for _, right in equations]


def seal_results(folder, size, rows, key, randomness):
    """One file: the seal's bytes, and one stripe with as much lost as parity gives back."""
    data = randomness.randbytes(size)
    model = folder / f"model-{size}-{rows}.gguf"
    model.write_bytes(data)
    command = ["guard", "seal", model, "--parity", f"64+{rows}", "--quiet"]
    if key is not None:
        (folder / "key").write_bytes(key)
        command += ["--key", folder / "key"]
    common.checkbit(*command)
    written = pathlib.Path(f"{model}.seal").read_bytes()
    expected = seal_of(data, rows, key)
    differing = sum(a != b for a, b in zip(written, expected)) + abs(len(written) - len(expected))
    title = f"{size} bytes, 64+{rows}{', keyed' if key else ''}"
    yield Result(f"bytes of the seal that differ: {title}", differing, 0, f"of {len(expected)}")
    blocks = blocks_of(data)
    stripes = -(-len(blocks) // DATA)
    stripe = [blocks[p * stripes] for p in range(DATA) if p * stripes < len(blocks)]
    lost = sorted(randomness.sample(range(len(stripe)), min(rows, len(stripe))))
    parity = np.frombuffer(written, dtype=np.uint8)[head_bytes(len(blocks), rows):][:rows * BLOCK].reshape(rows, BLOCK)
    wrong = sum(not np.array_equal(block, stripe[position])
                for position, block in zip(lost, solve(stripe, parity, lost)))
    yield Result(f"lost blocks that do not come back: {title}", wrong, 0, f"of {len(lost)}")


def check_seals():
    """Every size, with both parities, every other one with a key."""
    randomness = random.Random(1)
    digits = crc64(b"123456789") == 0x995DC9BBDF1939FA
    yield Result("this script's CRC64 of the published text differs", 0 if digits else 1, 0)
    with tempfile.TemporaryDirectory(dir=common.scratch()) as name:
        for number, size in enumerate((1, 4096, 4097, 262145, 1500001)):
            for rows in (2, 4):
                key = randomness.randbytes(32) if (number + rows // 2) % 2 else None
                yield from seal_results(pathlib.Path(name), size, rows, key, randomness)


if __name__ == "__main__":
    if sys.argv[1:] == ["--keyed-hash"]:
        print(keyed_hash(bytes(3000000), bytes([7] * 32)).hex())
    else:
        common.main(__doc__, [check_seals])
