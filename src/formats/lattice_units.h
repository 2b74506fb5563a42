// Coding a few weights at one scale: what the IQ formats store of them.
//
// What: a unit is the fewest weights that are coded together: 8 with their signs (IQ2, IQ3), 8 or
// 32
//   with a common shift (IQ1). `code_at(t, code)` finds the code whose values q, integers, make
//       sum of w[i] * (x[i] - t * q[i])^2
//   least, exactly, also where the number of minus signs must be even: the row is chosen together
//   with the sign that is cheapest to turn. The search begins at the code's rows on entry.
// Preconditions: values and weights from prepare_block (rounding.h), t > 0.
// Threads: pure functions.
#pragma once

#include <bit>
#include <cmath>

#include "formats/iq_grids.h"
#include "formats/lattice_search.h"

namespace checkbit {

/// Sums over the values chosen; t * t * qq - 2 * t * xq is the error less that of all zeros.
struct LatticeSums {
  float xq = 0;  ///< sum w * x * q
  float qq = 0;  ///< sum w * q * q

  LatticeSums& operator+=(const LatticeSums& other) {
    xq += other.xq;
    qq += other.qq;
    return *this;
  }
  float loss(float t) const { return t * (t * qq - 2 * xq); }
};

/// A grid's search tables, made once.
template <const auto& kGrid>
const auto& lattice_search() {
  static const LatticeSearch<std::remove_cvref_t<decltype(kGrid)>> search(kGrid);
  return search;
}

/// Adds what the values q of one row contribute.
template <class Search>
void add_row(const typename Search::Input& input, const typename Search::Coordinates& q,
             LatticeSums& sums) {
  for (std::size_t v = 0; v < Search::kVectors; ++v) {
    sums.xq += sum(input.wx[v] * q[v]);
    sums.qq += sum(input.w[v] * q[v] * q[v]);
  }
}

/// 8 weights as rows of magnitudes, one sign bit each.
template <const auto& kGrid, bool kEvenSigns>
class SignedUnit {
 public:
  using Search = LatticeSearch<std::remove_cvref_t<decltype(kGrid)>>;
  static constexpr int kElements = 8;
  static constexpr std::size_t kRows = kElements / Search::kValues;

  struct Code {
    std::array<std::uint16_t, kRows> rows{};
    std::uint8_t signs = 0;  ///< bit i: minus
  };

  void read(const float* x, const float* w) {
    signs_ = 0;
    for (unsigned i = 0; i < kElements; ++i) {
      signs_ |= (x[i] < 0 ? 1u : 0u) << i;
      weighted_[i] = w[i] * std::fabs(x[i]);
    }
    turns_ = kEvenSigns && std::popcount(signs_) % 2 != 0;
    for (std::size_t r = 0; r < kRows; ++r) {
      input_[r] = {Search::coordinates(w + r * Search::kValues),
                   Search::coordinates(weighted_.data() + r * Search::kValues)};
    }
  }

  LatticeSums code_at(float t, Code& code) const {
    const Search& search = lattice_search<kGrid>();
    std::array<typename Search::Found, kRows> found, turned;
    for (std::size_t r = 0; r < kRows; ++r) {
      if (!turns_ || kRows > 1) found[r] = search.nearest(input_[r], t, 0, code.rows[r]);
      if (turns_) turned[r] = search.nearest_with_turn(input_[r], t, code.rows[r]);
    }
    LatticeSums sums;
    unsigned signs = signs_;
    if (turns_) {
      const unsigned turn = choose_turn(found, turned);
      signs ^= 1u << turn;
      const float size = kGrid[found[turn / Search::kValues].row][turn % Search::kValues];
      sums.xq -= 2 * weighted_[turn] * size;
    }
    for (std::size_t r = 0; r < kRows; ++r) {
      code.rows[r] = static_cast<std::uint16_t>(found[r].row);
      add_row<Search>(input_[r], search.row(found[r].row), sums);
    }
    code.signs = static_cast<std::uint8_t>(signs);
    return sums;
  }

  /// What a code stands for at a scale -> out [kElements].
  static void values(const Code& code, float t, float* out) {
    for (unsigned i = 0; i < kElements; ++i) {
      const float size =
          t * static_cast<float>(kGrid[code.rows[i / Search::kValues]][i % Search::kValues]);
      out[i] = (code.signs >> i) & 1u ? -size : size;
    }
  }

 private:
  using AllFound = std::array<typename Search::Found, kRows>;

  /// Takes the one row over from `turned` into `found` with which all rows cost least, and returns
  /// the weight whose sign turns.
  unsigned choose_turn(AllFound& found, const AllFound& turned) const {
    std::size_t chosen = 0;
    if constexpr (kRows == 2) {
      if (found[0].price + turned[1].price < turned[0].price + found[1].price) chosen = 1;
    }
    found[chosen] = turned[chosen];
    const std::size_t first = chosen * Search::kValues;
    std::size_t cheapest = 0;
    float least = std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < Search::kValues; ++i) {
      const float cost = weighted_[first + i] * static_cast<float>(kGrid[found[chosen].row][i]);
      if (!(cost < least)) continue;
      least = cost;
      cheapest = i;
    }
    return static_cast<unsigned>(first + cheapest);
  }

  unsigned signs_ = 0;
  bool turns_ = false;  ///< one sign must be stored wrong
  std::array<float, kElements> weighted_;
  std::array<typename Search::Input, kRows> input_;
};

/// kSize weights as rows of -1, 0, 1 that are all shifted by an eighth up, or all down:
/// q = 8 * row + 1 or - 1.
template <int kSize>
class ShiftedUnit {
 public:
  using Search = LatticeSearch<Iq1Grid>;
  static constexpr int kElements = kSize;
  static constexpr std::size_t kRows = kSize / 8;

  struct Code {
    std::array<std::uint16_t, kRows> rows{};
    bool down = false;
  };

  void read(const float* x, const float* w) {
    for (std::size_t r = 0; r < kRows; ++r) {
      std::array<float, 8> weighted;
      for (std::size_t i = 0; i < 8; ++i) weighted[i] = w[8 * r + i] * x[8 * r + i];
      input_[r] = {Search::coordinates(w + 8 * r), Search::coordinates(weighted.data())};
    }
  }

  LatticeSums code_at(float t, Code& code) const {
    Code down = code;
    const float price_up = choose_rows(t, false, code);
    const float price_down = choose_rows(t, true, down);
    if (price_down < price_up) code = down;
    LatticeSums sums;
    for (std::size_t r = 0; r < kRows; ++r) {
      Search::Coordinates q = lattice_search<kIq1Grid>().row(code.rows[r]);
      for (Lanes& lanes : q) lanes = 8 * lanes + (code.down ? -1.0f : 1.0f);
      add_row<Search>(input_[r], q, sums);
    }
    return sums;
  }

  /// What a code stands for at a scale -> out [kElements].
  static void values(const Code& code, float t, float* out) {
    for (std::size_t i = 0; i < kElements; ++i)
      out[i] = t * static_cast<float>(8 * kIq1Grid[code.rows[i / 8]][i % 8] + (code.down ? -1 : 1));
  }

 private:
  float choose_rows(float t, bool is_down, Code& code) const {
    code.down = is_down;
    float price = 0;
    for (std::size_t r = 0; r < kRows; ++r) {
      const auto found =
          lattice_search<kIq1Grid>().nearest(input_[r], 8 * t, is_down ? -t : t, code.rows[r]);
      code.rows[r] = static_cast<std::uint16_t>(found.row);
      price += found.price;
    }
    return price;
  }

  std::array<Search::Input, kRows> input_;
};

}  // namespace checkbit
