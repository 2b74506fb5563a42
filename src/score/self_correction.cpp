#include "score/self_correction.h"

#include <vector>

namespace checkbit {
namespace {

enum Column : std::size_t { kItems, kBefore, kAfter, kColumns };

double relative_score(std::span<const double> sums) {
  const double before = sums[kBefore] / sums[kItems];
  const double after = sums[kAfter] / sums[kItems];
  return (after - before * before) / (2 * before * (1 - before));
}

std::optional<Estimate> share(std::uint64_t hits, std::uint64_t trials) {
  if (trials == 0) return std::nullopt;
  return Estimate{static_cast<double>(hits) / static_cast<double>(trials),
                  wilson_interval(hits, trials)};
}

}  // namespace

SelfCorrection score_self_correction(std::span<const TwoRounds> rounds,
                                     const BootstrapOptions& bootstrap) {
  CB_CHECK(!rounds.empty());
  BlockTable table(kColumns);
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  std::uint64_t kept = 0;
  for (const TwoRounds& item : rounds) {
    const double row[kColumns] = {1, item.before ? 1.0 : 0.0, item.after ? 1.0 : 0.0};
    table.add(row);
    before += item.before ? 1 : 0;
    after += item.after ? 1 : 0;
    kept += item.before && item.after ? 1 : 0;
  }
  SelfCorrection result;
  result.items = rounds.size();
  result.accuracy_before = *share(before, result.items);
  result.accuracy_after = *share(after, result.items);
  result.confidence = share(kept, before);
  result.critique = share(after - kept, result.items - before);
  if (before > 0 && before < result.items)
    result.relative = bootstrap_interval(table, relative_score, bootstrap);
  return result;
}

}  // namespace checkbit
