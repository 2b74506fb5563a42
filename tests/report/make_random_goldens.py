#!/usr/bin/env python3
"""Writes tests/data/report_random.json: Squares test vectors from the definition in the paper.

The functions below follow arXiv 2004.06278 in Python integers, apart from the C++ code. Where the
`randomgen` package is installed its Squares generator is compared as a second witness.
"""
import json
import pathlib

MASK = (1 << 64) - 1


def swap(x):
    return ((x >> 32) | (x << 32)) & MASK


def squares(counter, key, bits):
    y = x = (counter * key) & MASK
    z = (y + key) & MASK
    for addend in (y, z, y):
        x = swap((x * x + addend) & MASK)
    t = (x * x + z) & MASK
    if bits == 32:
        return t >> 32
    x = swap(t)
    return t ^ (((x * x + y) & MASK) >> 32)


def split_mix(state):
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def key_of(seed):
    digits = (word >> 60 for word in split_mix(seed))

    def half(first_allowed):
        chosen = []
        while len(chosen) < 8:
            allowed = set(range(1, 16)) - set(chosen) if chosen else first_allowed
            digit = next(digits)
            if digit in allowed:
                chosen.append(digit)
        return chosen

    lower = half({1, 3, 5, 7, 9, 11, 13, 15})
    upper = half(set(range(1, 16)) - {lower[7]})
    return sum(d << (4 * i) for i, d in enumerate(lower + upper))


def main():
    published_key = 0xC8E4FD154CE32F6D
    keys = [published_key, 0x3BC8BCA4D301945B, key_of(0), key_of(1), key_of(2**64 - 1)]
    counters = [0, 1, 2, 3, 1000, 2**32 - 1, 2**32, 2**63, 2**64 - 1]
    vectors = [
        {"key": str(k), "counter": str(c), "bits32": squares(c, k, 32), "bits64": str(squares(c, k, 64))}
        for k in keys for c in counters
    ]
    try:
        from randomgen import Squares
        for key in keys:
            raw = Squares(key=key).random_raw(64)
            assert [int(v) for v in raw] == [squares(c, key, 64) for c in range(64)]
        print("randomgen agrees")
    except ImportError:
        print("randomgen is not installed: second witness skipped")
    seeds = [{"seed": str(s), "key": str(key_of(s))} for s in [0, 1, 2, 42, 12345, 2**32, 2**64 - 1]]
    path = pathlib.Path(__file__).resolve().parent.parent / "data" / "report_random.json"
    path.write_text(json.dumps({"vectors": vectors, "seeds": seeds}, indent=1) + "\n")


if __name__ == "__main__":
    main()
