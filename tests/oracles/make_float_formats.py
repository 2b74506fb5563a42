#!/usr/bin/env python3
"""Writes tests/data/float_formats.txt: floats and what numpy and ml_dtypes make of them.

One line a float, as hexadecimal bits of binary32: the input, then its value after a round trip
through float16, bfloat16, float8_e5m2, float8_e4m3fn, float8_e4m3 (with infinities) and
float8_e3m4. NaN is written as nan. Needs ml_dtypes in the environment.
"""
import pathlib

import ml_dtypes
import numpy as np

FORMATS = [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fn,
           ml_dtypes.float8_e4m3, ml_dtypes.float8_e3m4]


def inputs():
    generator = np.random.default_rng(7)
    chosen = [0.0, 1.0, np.inf, np.nan, 65504, 65519.996, 65520, 65536, 448, 464, 463.99997, 240,
              248, 247.99998, 15.5, 15.75, 57344, 61440, 61439.996, 2.0 ** -24, 2.0 ** -25,
              2.0 ** -25 * 1.0000001, 2.0 ** -14, 2.0 ** -133, 2.0 ** -134, 1e-45, 3.3895314e38,
              3.3961775e38, 3.4028235e38]
    values = [np.float32(v) for v in chosen]
    # Values of every format and the points between neighbours, where ties are.
    for dtype in FORMATS[2:]:
        grid = np.arange(128, dtype=np.uint8).view(dtype).astype(np.float32)
        grid = np.unique(grid[np.isfinite(grid)])
        middle = (grid[1:] + grid[:-1]) / 2
        values += list(middle) + list(np.nextafter(middle, np.float32(np.inf)))
    values += list(generator.integers(0, 0x7f800000, 600, dtype=np.uint32).view(np.float32))
    values += list((2.0 ** generator.uniform(-30, 18, 600)).astype(np.float32))
    halves = generator.integers(0, 0x7c00, 200, dtype=np.uint16).view(np.float16).astype(np.float32)
    step = np.nextafter(halves.astype(np.float16), np.float16(np.inf)).astype(np.float32)
    values += list((halves + step) / 2)
    values = np.array(values, dtype=np.float32)
    return np.concatenate([values, -values[::5]])


def hexadecimal(value):
    return "nan" if np.isnan(value) else f"{int(np.float32(value).view(np.uint32)):08x}"


def main():
    lines = []
    with np.errstate(over="ignore"):
        values = inputs()
        columns = [values] + [values.astype(f).astype(np.float32) for f in FORMATS]
    for row in zip(*columns):
        lines.append(" ".join(hexadecimal(v) for v in row))
    path = pathlib.Path(__file__).parent.parent / "data" / "float_formats.txt"
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
