// The load-time side of the exact check of products: secret weights of rows, and column sums.
//
// What: for rows r and columns k of W in integer form, with u_r secret and odd, the sums
//     columns[k] = sum over r of u_r * (what a unit of x_k adds to the integers of row r)
//     constant   = sum over r of v_r * kCheckStep * (the bits of the row's scales, each 16 times an
//                  odd factor)
//   modulo 2^32; v_r is u_r, or where scales are binary16 that of row r / 2 of the panel, because
//   the kernels read two in a lane: their factors differ. No two factors are the same or opposite
//   for 2^14 numbers, so no two flips in one row's scales cancel. A product sums u_r * (its
//   integers + the bits it read) over its rows (kernels.h, ProductCheck); both sides agree unless
//   bits have changed (docs/guard.md, "Exact checks"). Column sums are made from the file's blocks,
//   not from packed bytes, so that errors of packing show too.
// Secrecy: a draw of `seed` that an attacker does not know; weights are the same for a seed.
// Threads: const after creation.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/format.h"
#include "kernels/kernels.h"

namespace checkbit {

/// u_r of the rows of up to `panels` panels that are checked as one, and the factors of the scales
/// of rows of up to `columns` columns.
class CheckWeights {
 public:
  CheckWeights() = default;
  CheckWeights(std::uint64_t seed, std::int64_t panels, std::int64_t columns);

  std::uint32_t of(std::int64_t panel, int lane) const {
    const auto at = static_cast<std::size_t>(panel % ProductCheck::kPeriod * kPanelRows + lane);
    return static_cast<std::uint32_t>(lanes_[at]) *
           static_cast<std::uint32_t>(
               factors_[static_cast<std::size_t>(panel / ProductCheck::kPeriod)]);
  }
  /// What a product needs whose first panel is `panel`; it adds to `sums`.
  ProductCheck product(std::int64_t panel, std::int32_t* sums) const {
    return {lanes_.data(), factors_.data(), scale_factors_.data(), panel, sums};
  }
  /// Entry `pair` of ProductCheck::scale_factors, and how many there are.
  std::size_t scale_pairs() const { return scale_factors_.size(); }
  std::int32_t scale_factors(std::size_t pair) const { return scale_factors_[pair]; }
  /// Draws them again: changed bits go. True when there were any.
  bool restore();

 private:
  std::uint64_t seed_ = 0;
  std::int64_t columns_ = 0;
  std::vector<std::int32_t> lanes_;          ///< [kPeriod][16]
  std::vector<std::int32_t> factors_;        ///< one per kPeriod panels
  std::vector<std::int32_t> scale_factors_;  ///< pairs of 16-bit numbers
};

/// Column sums and constant of some rows.
struct ColumnSums {
  std::vector<std::int32_t> columns;
  std::uint32_t constant = 0;
  void add(const ColumnSums& other);
  bool operator==(const ColumnSums&) const = default;
};

/// Where a row stands among those that are checked as one.
struct CheckedRow {
  const CheckWeights& weights;
  std::int64_t panel;
  int lane;
};

/// Adds one row to the sums: blocks of `format`, whose products take `form`.
/// Precondition: sums.columns has one entry per column of the row.
void add_row(const Kernels& kernels, const Format& format, const IntegerForm& form,
             std::span<const std::uint8_t> row, const CheckedRow& at, ColumnSums& sums);
/// The same for a row beyond the last, whose packed bytes are zero.
void add_padding_row(const IntegerForm& form, const CheckedRow& at, ColumnSums& sums);

}  // namespace checkbit
