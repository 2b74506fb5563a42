#include "score/estimate_record.h"

#include <utility>

namespace checkbit {

Record record_of(std::string name, std::string unit, const Estimate& estimate,
                 std::string command) {
  Record record{.name = std::move(name),
                .value = estimate.value,
                .unit = std::move(unit),
                .command = std::move(command)};
  if (estimate.interval.has_value()) {
    record.low = estimate.interval->low;
    record.high = estimate.interval->high;
  }
  return record;
}

Record share_of(std::string name, std::uint64_t hits, std::uint64_t trials, std::string command) {
  const double value = trials == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(trials);
  return record_of(std::move(name), "share", {value, wilson_interval(hits, trials)},
                   std::move(command));
}

}  // namespace checkbit
