// Lattice tables of the IQ formats: each stored index names one row of 8 (or 4) values.
//
// What: facts of the file format. iq_grids.cpp is written by tools/make_iq_grids.py from the
//   constants of the gguf Python package and stores the rows as packed codes; the arrays here are
//   expanded at compile time.
// Units: the integers that IQ block scales multiply. IQ2 and IQ3 rows are magnitudes, their signs
//   are stored apart; IQ1 rows are -1, 0 or 1.
// Threads: constants.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace checkbit {

using Iq1Grid = std::array<std::array<std::int8_t, 8>, 2048>;  ///< IQ1_S and IQ1_M
using Iq2XxsGrid = std::array<std::array<std::uint8_t, 8>, 256>;
using Iq2XsGrid = std::array<std::array<std::uint8_t, 8>, 512>;
using Iq2SGrid = std::array<std::array<std::uint8_t, 8>, 1024>;
using Iq3XxsGrid = std::array<std::array<std::uint8_t, 4>, 256>;
using Iq3SGrid = std::array<std::array<std::uint8_t, 4>, 512>;

extern const Iq1Grid kIq1Grid;
extern const Iq2XxsGrid kIq2XxsGrid;
extern const Iq2XsGrid kIq2XsGrid;
extern const Iq2SGrid kIq2SGrid;
extern const Iq3XxsGrid kIq3XxsGrid;
extern const Iq3SGrid kIq3SGrid;

}  // namespace checkbit
