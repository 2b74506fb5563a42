#!/usr/bin/env python3
"""Writes src/formats/iq_grids.cpp: the lattice tables of the IQ formats.

The tables are part of the file format. They come from the constants of the gguf Python package:
    python3 tools/make_iq_grids.py > src/formats/iq_grids.cpp
A row of n values is stored as n codes of `bits` bits, least significant first, into a list of values.
"""

import numpy as np
from gguf import quants

TABLES = [  # C++ name, class, bits per code
    ("kIq1Grid", quants.IQ1_S, 2),
    ("kIq2XxsGrid", quants.IQ2_XXS, 2),
    ("kIq2XsGrid", quants.IQ2_XS, 2),
    ("kIq2SGrid", quants.IQ2_S, 2),
    ("kIq3XxsGrid", quants.IQ3_XXS, 3),
    ("kIq3SGrid", quants.IQ3_S, 3),
]

HEAD = """// Written by tools/make_iq_grids.py from the constants of the gguf Python package; do not edit.

#include "formats/iq_grids.h"

namespace checkbit {
namespace {

/// Expands rows of `bits`-bit codes, least significant first, into rows of listed values.
template <class Grid, std::size_t n_rows, std::size_t n_values>
constexpr Grid expand(const std::array<std::uint16_t, n_rows>& rows, int bits,
                      const std::array<int, n_values>& values) {
  Grid grid{};
  for (std::size_t row = 0; row < n_rows; ++row) {
    for (std::size_t i = 0; i < grid[row].size(); ++i) {
      const int code = (rows[row] >> (bits * static_cast<int>(i))) & ((1 << bits) - 1);
      grid[row][i] = static_cast<typename Grid::value_type::value_type>(
          values[static_cast<std::size_t>(code)]);
    }
  }
  return grid;
}
"""


def rows_of(cls, bits: int) -> list[int]:
    cls.init_grid()
    grid = cls.grid.reshape(cls.grid_shape)
    code = {float(v): i for i, v in enumerate(cls.grid_map)}
    return [sum(code[float(v)] << (bits * i) for i, v in enumerate(row)) for row in grid]


def check_signs() -> None:
    """unpack code derives the eighth sign as the parity of the other seven; so does the table."""
    signs = np.frombuffer(quants.IQ2_XXS.ksigns, dtype=np.uint8)
    assert all(int(s) == i | (bin(i).count("1") % 2) << 7 for i, s in enumerate(signs))


def main() -> None:
    check_signs()
    print(HEAD)
    for name, cls, bits in TABLES:
        rows = rows_of(cls, bits)
        values = ", ".join(str(v) for v in cls.grid_map)
        print(f"constexpr std::array<int, {len(cls.grid_map)}> {name}Values = {{{values}}};")
        print(f"constexpr std::array<std::uint16_t, {len(rows)}> {name}Rows = {{")
        for start in range(0, len(rows), 12):
            print("    " + ", ".join(f"0x{r:04x}" for r in rows[start:start + 12]) + ",")
        print("};\n")
    print("}  // namespace\n")
    for name, cls, bits in TABLES:
        print(f"constinit const {name[1:]} {name} = expand<{name[1:]}>({name}Rows, {bits}, {name}Values);")
    print("\n}  // namespace checkbit")


if __name__ == "__main__":
    main()
