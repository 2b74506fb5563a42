#include "measure/probes/bit_strings.h"

#include <algorithm>
#include <map>

#include "base/random.h"
#include "measure/probes/probe_summary.h"
#include "report/number.h"
#include "report/svg.h"

namespace checkbit {
namespace {

constexpr std::array<std::size_t, 7> kLengths = {1, 2, 4, 8, 16, 32, 64};
constexpr std::size_t kUsualOfEach = 16;
constexpr std::array<std::size_t, 8> kExampleLengths = {3, 1, 4, 2, 5, 1, 3, 6};

std::vector<int> draw_bits(const BitLanguage& language, Random& random, std::size_t length,
                           bool inside) {
  std::vector<int> bits(length);
  for (int& bit : bits) bit = static_cast<int>(random.below(2));
  if (language.holds(bits) != inside) {
    int& turned = bits[language.turn(bits)];
    turned = 1 - turned;
  }
  return bits;
}

std::string line_of(const BitLanguage& language, std::span<const int> bits) {
  std::string line = "Bits:";
  for (const int bit : bits) line += bit == 1 ? " 1" : " 0";
  return line + std::string(language.question);
}

/// The same for every item of a seed, so that a session reads it once.
std::string header_of(const BitLanguage& language, std::uint64_t seed) {
  Random random(seed, ~std::uint64_t{0} >> 32);
  std::string text(language.explanation);
  for (std::size_t i = 0; i < kExampleLengths.size(); ++i) {
    const bool inside = i % 2 == 0;
    text += "\n" + line_of(language, draw_bits(language, random, kExampleLengths[i], inside));
    text += language.answers[inside ? 1 : 0];
  }
  return text + "\n";
}

/// Mean surprise in bits of each length, in the order of kLengths.
std::vector<double> surprise_by_length(std::span<const ProbeItem> items,
                                       std::span<const ItemOutcome> outcomes) {
  std::vector<double> sums(kLengths.size()), counts(kLengths.size());
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const std::size_t length = i % kLengths.size();
    CB_CHECK(items[i].group == fmt::format("length {}", kLengths[length]));
    sums[length] += outcomes[i].values.front();
    counts[length] += 1;
  }
  for (std::size_t l = 0; l < sums.size(); ++l) sums[l] /= std::max(counts[l], 1.0);
  return sums;
}

void add_surprise(const BitLanguage& language, ProbeResult& result) {
  const std::vector<double> model = surprise_by_length(result.items, result.subject);
  std::vector<double> reference;
  std::vector<Line> lines = {{"model", model, Tone::accent}};
  Table table{
      "Surprise at the right answer, in bits per string (a coin: 1)", {"Length", "Model"}, {}};
  if (!result.reference.empty()) {
    reference = surprise_by_length(result.items, result.reference);
    lines.push_back({"reference", reference, Tone::contrast});
    table.columns.emplace_back("Reference");
  }
  for (std::size_t l = 0; l < kLengths.size(); ++l) {
    table.rows.push_back({std::to_string(kLengths[l]), print_quantity(model[l], "")});
    if (!reference.empty()) table.rows.back().push_back(print_quantity(reference[l], ""));
  }
  const auto add = [&](const std::string& suffix, const std::vector<double>& surprise) {
    const std::string name = fmt::format("probe_{}_surprise_", language.name);
    result.records.push_back(
        {.name = name + "shortest" + suffix, .value = surprise.front(), .unit = "bits"});
    result.records.push_back(
        {.name = name + "longest" + suffix, .value = surprise.back(), .unit = "bits"});
  };
  add("", model);
  if (!reference.empty()) add("_reference", reference);
  result.blocks.emplace_back(Chart{"Surprise at the right answer, in bits, by length",
                                   svg_lines(lines, "1 bit", "64 bits"),
                                   "Each step doubles the length. 1 is what a coin gives."});
  result.blocks.emplace_back(std::move(table));
}

}  // namespace

std::vector<ProbeItem> bit_string_items(const BitLanguage& language, std::uint64_t seed,
                                        std::size_t count) {
  const std::size_t lengths = kLengths.size();
  const std::size_t of_each = count == 0 ? kUsualOfEach : (count + lengths - 1) / lengths;
  const std::string header = header_of(language, seed);
  std::map<std::string, std::size_t> clusters;
  std::vector<ProbeItem> items;
  for (std::size_t i = 0; i < of_each; ++i) {
    for (const std::size_t length : kLengths) {
      Random random(seed, items.size());
      const bool inside = i % 2 == 0;
      const std::vector<int> bits = draw_bits(language, random, length, inside);
      const std::string line = line_of(language, bits);
      Question question{
          .prompt = header + line,
          .choices = {std::string(language.answers[0]), std::string(language.answers[1])},
          .right = inside ? std::size_t{1} : 0};
      // Few short strings exist: the same one asked again is no new evidence.
      const std::size_t cluster = clusters.emplace(line, clusters.size()).first->second;
      items.push_back({fmt::format("length {}", length), cluster, line, {question}, {}});
    }
  }
  return items;
}

Result<ProbeResult> run_bit_strings(const ProbeContext& context, const BitLanguage& language) {
  CB_TRY(ProbeResult result,
         run_items(context, language.name, bit_string_items(language, context.seed, context.limit),
                   score_choice));
  add_surprise(language, result);
  return result;
}

}  // namespace checkbit
