#include "cli/profile_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/resident_memory.h"
#include "cli/startup_notes.h"
#include "report/number.h"

namespace checkbit {
namespace {

/// Percent of a limit, or a dash where either is unknown.
std::string share_of(double amount, double seconds, double limit) {
  if (amount == 0 || seconds == 0 || limit == 0) return "-";
  return fmt::format("{:.0f} %", 100 * amount / seconds / limit);
}

/// "attention_query+key+value": the words that all parts begin with stand once.
std::string short_name(const std::string& name) {
  const std::size_t first_end = name.find('+');
  if (first_end == std::string::npos) return name;
  const std::string prefix = name.substr(0, name.find('_') + 1);
  std::string text = name.substr(0, first_end);
  for (std::size_t at = first_end; at < name.size();) {
    const std::size_t end = std::min(name.find('+', at + 1), name.size());
    std::string part = name.substr(at + 1, end - at - 1);
    if (!prefix.empty() && part.starts_with(prefix)) part.erase(0, prefix.size());
    text += '+' + part;
    at = end;
  }
  return text;
}

double per_token(double amount, std::int64_t n_tokens) {
  return amount / static_cast<double>(std::max<std::int64_t>(n_tokens, 1));
}

nlohmann::ordered_json spent_json(const Spent& spent) {
  return {{"calls", spent.calls},
          {"seconds", spent.seconds},
          {"bytes", spent.bytes},
          {"products", spent.products}};
}

}  // namespace

std::string profile_table(std::string_view title, const StepProfiler& profile,
                          std::int64_t n_tokens, const SpeedLimits& limits) {
  std::vector<OperationProfile> operations = profile.operations();
  std::ranges::sort(operations, std::greater{}, &OperationProfile::seconds);
  const double total = profile.seconds();
  std::size_t widest = title.size();
  for (OperationProfile& o : operations) {
    o.name = short_name(o.name);
    widest = std::max(widest, o.name.size());
  }
  std::string table =
      fmt::format("\n{:{}}  ms/token  time  MB/token  of read  of peak  kernel\n", title, widest);
  for (const OperationProfile& o : operations) {
    table +=
        fmt::format("{:{}}  {:8.3f}  {:2.0f} %  {:>8}  {:>7}  {:>7}  {}", o.name, widest,
                    1e3 * per_token(o.seconds, n_tokens), 100 * o.seconds / total,
                    o.bytes > 0 ? fmt::format("{:.3f}", per_token(o.bytes, n_tokens) / 1e6) : "-",
                    share_of(o.bytes, o.seconds, limits.bandwidth),
                    share_of(o.products, o.seconds, limits.integer_peak), o.kernel);
    table.erase(table.find_last_not_of(' ') + 1);
    table += '\n';
  }
  return table;
}

std::string layer_table(const StepProfiler& prompt, std::int64_t prompt_tokens,
                        const StepProfiler& generation, std::int64_t generated_tokens,
                        const SpeedLimits& limits) {
  const bool both = prompt_tokens > 0;
  std::string table = fmt::format("\nLayer  {}   generation ms/token  MB/token  of read\n",
                                  both ? "   prompt ms/token  of peak" : "");
  for (std::size_t i = 0; i < generation.layers().size(); ++i) {
    table += fmt::format("{:5}  ", i == 0 ? "other" : std::to_string(i - 1));
    if (both && i < prompt.layers().size()) {
      const Spent& p = prompt.layers()[i];
      table += fmt::format("{:18.3f}  {:>7}", 1e3 * per_token(p.seconds, prompt_tokens),
                           share_of(p.products, p.seconds, limits.integer_peak));
    }
    const Spent& g = generation.layers()[i];
    table += fmt::format(
        "   {:19.3f}  {:8.3f}  {:>7}\n", 1e3 * per_token(g.seconds, generated_tokens),
        per_token(g.bytes, generated_tokens) / 1e6, share_of(g.bytes, g.seconds, limits.bandwidth));
  }
  return table;
}

std::string kernel_table(const Session& session) {
  const std::string note = isa_note(session.isa(), std::getenv("CHECKBIT_ISA"));
  std::string table =
      fmt::format("\nKernels: {}, {}\n", to_string(session.isa()),
                  note.empty() ? "the fastest set of instructions that this processor has" : note);
  for (const TypeProduct& p : type_products(session.model())) {
    table += fmt::format("  {} ({})\n", p.reason(), matrices_of(p.tensors.size()));
  }
  const std::span<const std::uint8_t> weights = session.model().packed_weights();
  if (weights.empty()) return table + "Weights: in the mapped file, packed when they are used\n";
  const std::string off = large_page_note();
  table += fmt::format("Weights: {} packed, {} of it on large pages{}\n",
                       print_quantity(static_cast<double>(weights.size()), "bytes"),
                       print_quantity(static_cast<double>(large_page_bytes(weights)), "bytes"),
                       off.empty() ? "" : "; " + off);
  return table;
}

nlohmann::ordered_json profile_json(const StepProfiler& profile) {
  auto list = nlohmann::ordered_json::array();
  for (const OperationProfile& o : profile.operations()) {
    nlohmann::ordered_json item = {{"operation", o.name}, {"kernel", o.kernel}};
    item.update(spent_json(o));
    list.push_back(std::move(item));
  }
  return list;
}

nlohmann::ordered_json layers_json(const StepProfiler& profile) {
  auto list = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < profile.layers().size(); ++i) {
    nlohmann::ordered_json item = {{"layer", static_cast<std::int64_t>(i) - 1}};
    item.update(spent_json(profile.layers()[i]));
    list.push_back(std::move(item));
  }
  return list;
}

nlohmann::ordered_json kernels_json(const Model& model) {
  auto list = nlohmann::ordered_json::array();
  for (const TypeProduct& p : type_products(model)) {
    list.push_back({{"type", p.format->name},
                    {"kernel", p.kernel},
                    {"path", p.path},
                    {"reason", p.reason()},
                    {"matrices", p.tensors.size()}});
  }
  return list;
}

}  // namespace checkbit
