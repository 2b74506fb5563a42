#include "measure/paired_change.h"

#include <cmath>

#include "score/paired_tests.h"

namespace checkbit {
namespace {

/// Columns of the table of differences.
enum Column : std::size_t { kCount, kLossDifference, kMore, kFlips, kColumns };

bool same_windows(const BlockTable& from, const BlockTable& to) {
  if (from.blocks() == 0 || from.blocks() != to.blocks()) return false;
  for (std::size_t i = 0; i < from.blocks(); ++i) {
    if (from.block(i)[kTokens] != to.block(i)[kTokens]) return false;
  }
  return true;
}

Statistic mean_of(Column column) {
  return [column](std::span<const double> sums) { return sums[column] / sums[kCount]; };
}

}  // namespace

std::optional<PairedChange> paired_change(const CandidateResult& from, const CandidateResult& to,
                                          const BootstrapOptions& options) {
  const bool comparable = !from.broken && !to.broken &&
                          from.divergence.has_value() == to.divergence.has_value() &&
                          same_windows(from.blocks, to.blocks);
  if (!comparable) return std::nullopt;
  PairedChange change;
  BlockTable differences(kColumns);
  for (std::size_t i = 0; i < from.blocks.blocks(); ++i) {
    const auto a = from.blocks.block(i);
    const auto b = to.blocks.block(i);
    const double more = b[kDivergence] - a[kDivergence];
    const double row[kColumns] = {a[kTokens], b[kLoss] - a[kLoss], more, b[kChanged] - a[kChanged]};
    differences.add(row);
    const double decides = from.divergence ? more : row[kLossDifference];
    change.blocks_more += decides > 0 ? 1 : 0;
    change.blocks_less += decides < 0 ? 1 : 0;
  }
  const auto ratio = [](std::span<const double> sums) {
    return std::exp(sums[kLossDifference] / sums[kCount]);
  };
  const Statistic wanted[] = {ratio, mean_of(kMore), mean_of(kFlips)};
  const std::vector<Estimate> estimates = bootstrap_intervals(differences, wanted, options);
  change.perplexity_ratio = estimates[0];
  if (from.divergence) {
    change.divergence = estimates[1];
    change.changed = estimates[2];
  }
  change.p_value = sign_test(change.blocks_more, change.blocks_less);
  return change;
}

}  // namespace checkbit
