#include "cli/profile_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace checkbit {
namespace {

/// Percent of a limit, or a dash where either is unknown.
std::string share_of(double amount, double seconds, double limit) {
  if (amount == 0 || seconds == 0 || limit == 0) return "-";
  return fmt::format("{:.0f} %", 100 * amount / seconds / limit);
}

}  // namespace

std::string profile_table(std::string_view title, const StepProfiler& profile,
                          std::int64_t n_tokens, const SpeedLimits& limits) {
  std::vector<OperationProfile> operations = profile.operations();
  std::ranges::sort(operations, std::greater{}, &OperationProfile::seconds);
  const double total = profile.seconds();
  std::size_t widest = title.size();
  for (const OperationProfile& o : operations) widest = std::max(widest, o.name.size());
  widest = std::min<std::size_t>(widest, 40);
  std::string table =
      fmt::format("\n{:{}}  ms/token  time  of read  of peak  kernel\n", title, widest);
  for (const OperationProfile& o : operations) {
    // The roles' common word says little: "attention_query+attention_key" is long for 80 columns.
    const std::string name = o.name.size() > widest ? o.name.substr(0, widest - 2) + ".." : o.name;
    table += fmt::format("{:{}}  {:8.3f}  {:2.0f} %  {:>7}  {:>7}  {}", name, widest,
                         1e3 * o.seconds / static_cast<double>(n_tokens), 100 * o.seconds / total,
                         share_of(o.bytes, o.seconds, limits.bandwidth),
                         share_of(o.products, o.seconds, limits.integer_peak), o.kernel);
    table.erase(table.find_last_not_of(' ') + 1);
    table += '\n';
  }
  return table;
}

nlohmann::ordered_json profile_json(const StepProfiler& profile) {
  auto list = nlohmann::ordered_json::array();
  for (const OperationProfile& o : profile.operations()) {
    list.push_back({{"operation", o.name},
                    {"kernel", o.kernel},
                    {"calls", o.calls},
                    {"seconds", o.seconds},
                    {"bytes", o.bytes},
                    {"products", o.products}});
  }
  return list;
}

}  // namespace checkbit
