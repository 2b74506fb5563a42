// The nearest row of a lattice table, exactly.
//
// What: the row of an IQ table (iq_grids.h) whose values, times a scale, are nearest to given
//   weights in weighted squares; or, where an odd number of signs must be turned, nearest with the
//   cheapest sign wrong.
// How: a row is four parts of two coordinates with 3 levels (or of one with 8). Rows stand sorted
//   by the parts' codes; prices are counted from each coordinate's cheapest level, so whole
//   stretches of rows drop out as soon as their first parts alone cost more than the best row
//   found. No neighbour lists, no approximation: with weights, the nearest row can be far off.
// Layout: `Coordinates` hold a row's 8 values as (0 2 4 6)(1 3 5 7), so that lanes are parts; 4
//   values are one vector.
// Threads: pure functions of constant tables.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "formats/lanes.h"

namespace checkbit {

inline constexpr std::size_t kLatticeParts = 4;

/// Rows of 8 coordinates with 3 levels, or of 4 with 8.
template <class Grid>
class LatticeSearch {
  using Row = typename Grid::value_type;

 public:
  static constexpr std::size_t kValues = std::tuple_size_v<Row>;
  static constexpr std::size_t kLevels = kValues == 8 ? 3 : 8;
  static constexpr std::size_t kVectors = kValues / kLanes;
  using Coordinates = std::array<Lanes, kVectors>;

  /// Weights to code: what a level v costs is w * v * v - 2 * wx * v.
  struct Input {
    Coordinates w;   ///< importance
    Coordinates wx;  ///< importance * weight
  };

  struct Found {
    unsigned row = 0;
    float price = 0;  ///< the weighted squared error less that of all zeros
  };

  explicit LatticeSearch(const Grid& grid);

  static Coordinates coordinates(const float* values);
  const Coordinates& row(unsigned number) const { return rows_[number]; }

  /// Least price of row * scale + shift. `guess` is any row; a good one makes it faster.
  Found nearest(const Input& input, float scale, float shift, unsigned guess) const;
  /// Least price of row * scale with one sign turned. Precondition: wx >= 0 and levels > 0.
  Found nearest_with_turn(const Input& input, float scale, unsigned guess) const;

 private:
  static constexpr std::size_t kCodes = kValues == 8 ? kLevels * kLevels : kLevels;
  static constexpr std::size_t kHeads = kCodes * kCodes;
  struct alignas(16) Parts {
    float price[kCodes][kLanes];  ///< [code][part]
  };
  struct Entry {
    std::uint16_t row;
    std::uint8_t third, fourth;  ///< codes of the last two parts
  };

  float make_parts(const Input& input, float scale, float shift, Parts& parts) const;
  /// Prices with one sign of the part turned.
  void make_turned(const Input& input, float scale, const Parts& parts, Parts& turned) const;
  static std::array<float, kLanes> least_of(const Parts& parts);
  static std::size_t cheapest(const Parts& parts, std::size_t part);

  std::array<float, kLevels> levels_{};  ///< ascending
  std::array<Coordinates, std::tuple_size_v<Grid>> rows_;
  std::array<std::array<std::uint8_t, kLatticeParts>, std::tuple_size_v<Grid>> codes_;
  std::array<std::uint16_t, kHeads + 1> starts_{};  ///< of the rows with two first codes
  std::array<Entry, std::tuple_size_v<Grid>> entries_{};
};

template <class Grid>
auto LatticeSearch<Grid>::coordinates(const float* values) -> Coordinates {
  if constexpr (kVectors == 1) {
    return {load_lanes(values)};
  } else {
    return {Lanes{values[0], values[2], values[4], values[6]},
            Lanes{values[1], values[3], values[5], values[7]}};
  }
}

template <class Grid>
LatticeSearch<Grid>::LatticeSearch(const Grid& grid) {
  std::size_t known = 0;
  for (const Row& row : grid) {
    for (const float value : row) {
      const auto end = levels_.begin() + static_cast<std::ptrdiff_t>(known);
      if (std::find(levels_.begin(), end, value) == end) levels_[known++] = value;
    }
  }
  std::ranges::sort(levels_);
  const auto part_code = [&](const Row& row, std::size_t part) {
    std::size_t code = 0;
    for (std::size_t i = 0; i < kVectors; ++i) {
      const auto level = std::ranges::find(levels_, row[part * kVectors + i]) - levels_.begin();
      code = code * kLevels + static_cast<std::size_t>(level);
    }
    return code;
  };
  for (std::size_t number = 0; number < grid.size(); ++number) {
    for (std::size_t part = 0; part < kLatticeParts; ++part)
      codes_[number][part] = static_cast<std::uint8_t>(part_code(grid[number], part));
  }
  const auto head_of = [](const auto& codes) { return codes[0] * kCodes + codes[1]; };
  for (const auto& codes : codes_) ++starts_[head_of(codes) + 1];
  for (std::size_t i = 1; i < starts_.size(); ++i)
    starts_[i] = static_cast<std::uint16_t>(starts_[i] + starts_[i - 1]);
  auto next = starts_;
  for (std::size_t number = 0; number < grid.size(); ++number) {
    const auto& codes = codes_[number];
    entries_[next[head_of(codes)]++] = {static_cast<std::uint16_t>(number), codes[2], codes[3]};
    std::array<float, kValues> values;
    std::ranges::copy(grid[number], values.begin());
    rows_[number] = coordinates(values.data());
  }
}

template <class Grid>
float LatticeSearch<Grid>::make_parts(const Input& input, float scale, float shift,
                                      Parts& parts) const {
  std::array<Coordinates, kLevels> prices;
  Coordinates least;
  for (std::size_t l = 0; l < kLevels; ++l) {
    const float value = scale * levels_[l] + shift;
    for (std::size_t v = 0; v < kVectors; ++v) {
      prices[l][v] = value * (value * input.w[v] - 2 * input.wx[v]);
      least[v] = l == 0 ? prices[l][v] : smaller(least[v], prices[l][v]);
    }
  }
  for (auto& price : prices) {
    for (std::size_t v = 0; v < kVectors; ++v) price[v] -= least[v];
  }
  for (std::size_t a = 0; a < kLevels; ++a) {
    if constexpr (kVectors == 1) {
      std::memcpy(parts.price[a], &prices[a][0], sizeof(Lanes));
    } else {
      for (std::size_t b = 0; b < kLevels; ++b) {
        const Lanes price = prices[a][0] + prices[b][1];
        std::memcpy(parts.price[a * kLevels + b], &price, sizeof(Lanes));
      }
    }
  }
  float base = sum(least[0]);
  if constexpr (kVectors == 2) base += sum(least[1]);
  return base;
}

template <class Grid>
void LatticeSearch<Grid>::make_turned(const Input& input, float scale, const Parts& parts,
                                      Parts& turned) const {
  std::array<Coordinates, kLevels> surcharge;
  for (std::size_t l = 0; l < kLevels; ++l) {
    for (std::size_t v = 0; v < kVectors; ++v)
      surcharge[l][v] = 4 * scale * levels_[l] * input.wx[v];
  }
  for (std::size_t code = 0; code < kCodes; ++code) {
    Lanes price = load_lanes(parts.price[code]);
    if constexpr (kVectors == 1) {
      price += surcharge[code][0];
    } else {
      price += smaller(surcharge[code / kLevels][0], surcharge[code % kLevels][1]);
    }
    std::memcpy(turned.price[code], &price, sizeof(Lanes));
  }
}

template <class Grid>
auto LatticeSearch<Grid>::least_of(const Parts& parts) -> std::array<float, kLanes> {
  Lanes least = load_lanes(parts.price[0]);
  for (std::size_t code = 1; code < kCodes; ++code)
    least = smaller(least, load_lanes(parts.price[code]));
  return {least[0], least[1], least[2], least[3]};
}

template <class Grid>
std::size_t LatticeSearch<Grid>::cheapest(const Parts& parts, std::size_t part) {
  std::size_t best = 0;
  for (std::size_t code = 1; code < kCodes; ++code)
    best = parts.price[code][part] < parts.price[best][part] ? code : best;
  return best;
}

template <class Grid>
auto LatticeSearch<Grid>::nearest(const Input& input, float scale, float shift,
                                  unsigned guess) const -> Found {
  Parts parts;
  const float base = make_parts(input, scale, shift, parts);
  const auto& codes = codes_[guess];
  Found best{guess, (parts.price[codes[0]][0] + parts.price[codes[1]][1]) +
                        (parts.price[codes[2]][2] + parts.price[codes[3]][3])};
  const auto visit = [&](std::size_t head, float head_price) {
    for (std::size_t e = starts_[head]; e < starts_[head + 1]; ++e) {
      const Entry& entry = entries_[e];
      const float price = head_price + (parts.price[entry.third][2] + parts.price[entry.fourth][3]);
      if (price < best.price) best = {entry.row, price};
    }
  };
  visit(cheapest(parts, 0) * kCodes + cheapest(parts, 1), 0);
  for (std::size_t a = 0; a < kCodes; ++a) {
    const float first = parts.price[a][0];
    if (first >= best.price) continue;
    for (std::size_t b = 0; b < kCodes; ++b) {
      const float head_price = first + parts.price[b][1];
      if (head_price < best.price) visit(a * kCodes + b, head_price);
    }
  }
  best.price += base;
  return best;
}

template <class Grid>
auto LatticeSearch<Grid>::nearest_with_turn(const Input& input, float scale, unsigned guess) const
    -> Found {
  Parts right, wrong;
  const float base = make_parts(input, scale, 0, right);
  make_turned(input, scale, right, wrong);
  const auto least = least_of(wrong);
  const float least_tail = std::min(least[2], least[3]);
  const float least_rest = std::min(least[1], least_tail);
  Found best{guess, std::numeric_limits<float>::infinity()};
  const auto visit_head = [&](std::size_t a, std::size_t b) {
    const float right_head = right.price[a][0] + right.price[b][1];
    const float wrong_head =
        std::min(wrong.price[a][0] + right.price[b][1], right.price[a][0] + wrong.price[b][1]);
    if (std::min(right_head + least_tail, wrong_head) >= best.price) return;
    const std::size_t head = a * kCodes + b;
    for (std::size_t e = starts_[head]; e < starts_[head + 1]; ++e) {
      const Entry& entry = entries_[e];
      const float right3 = right.price[entry.third][2], right4 = right.price[entry.fourth][3];
      const float wrong_tail =
          std::min(wrong.price[entry.third][2] + right4, right3 + wrong.price[entry.fourth][3]);
      const float price = std::min(right_head + wrong_tail, wrong_head + (right3 + right4));
      if (price < best.price) best = {entry.row, price};
    }
  };
  visit_head(codes_[guess][0], codes_[guess][1]);
  visit_head(cheapest(right, 0), cheapest(right, 1));
  for (std::size_t a = 0; a < kCodes; ++a) {
    if (std::min(right.price[a][0] + least_rest, wrong.price[a][0]) >= best.price) continue;
    for (std::size_t b = 0; b < kCodes; ++b) visit_head(a, b);
  }
  best.price += base;
  return best;
}

}  // namespace checkbit
