// The flip-flop language: write a bit, ignore bits, read back the latest one written.
//
// What: a string is instructions, each with a bit: the first writes, the last reads, the others are
//   drawn: ignore with the group's probability, write and read evenly for the rest. After a read
//   stands the latest written bit; the others are coin flips. A model of one bit of memory is
//   always right, one that looks at the nearest bit is not. Sparse strings (few writes) ask for
//   long distances, dense ones for not being distracted by many.
// Here the language is explained in the context, with three solved strings, and the model says at
//   each read which bit is likelier. An item is a string, its score the share of its reads.
// Reference: Liu et al., "Exposing Attention Glitches with Flip-Flop Language Modeling" (ignore
//   with probability 0.8 for the usual strings, 0.98 sparse, 0.1 dense).
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "base/random.h"
#include "measure/probes/probe.h"
#include "report/number.h"
#include "report/svg.h"

namespace checkbit {
namespace {

struct Density {
  std::string_view group;
  double ignore;
};
constexpr std::array<Density, 3> kDensities = {{{"sparse", 0.98}, {"usual", 0.8}, {"dense", 0.1}}};
constexpr std::size_t kInstructions = 128;
constexpr std::size_t kExampleInstructions = 12;
constexpr std::size_t kUsualItems = 36;
constexpr std::string_view kExplanation =
    "A memory holds one bit. w writes the bit that follows it. i is ignored, and so is its bit. r "
    "reads: the bit after r is the bit of the latest w.\n";

struct Instruction {
  char what;  ///< 'w', 'i' or 'r'
  int bit;
};

std::vector<Instruction> draw_string(Random& random, double ignore, std::size_t length) {
  std::vector<Instruction> string;
  int memory = 0;
  for (std::size_t i = 0; i < length; ++i) {
    const double draw = random.uniform();
    char what = draw < ignore ? 'i' : draw < ignore + 0.5 * (1 - ignore) ? 'w' : 'r';
    if (i == 0) what = 'w';
    if (i + 1 == length) what = 'r';
    const int coin = static_cast<int>(random.below(2));
    if (what == 'w') memory = coin;
    string.push_back({what, what == 'r' ? memory : coin});
  }
  return string;
}

void append(std::string& text, const Instruction& instruction) {
  text += ' ';
  text += instruction.what;
}

/// Solved strings, then the gaps of the one that is asked: one for each read.
std::vector<Gap> gaps_of(Random& random, double ignore) {
  std::string text(kExplanation);
  for (int example = 0; example < 3; ++example) {
    for (const Instruction& i : draw_string(random, 0.4, kExampleInstructions)) {
      append(text, i);
      text += std::to_string(i.bit);
    }
    text += '\n';
  }
  std::vector<Gap> gaps;
  for (const Instruction& i : draw_string(random, ignore, kInstructions)) {
    append(text, i);
    if (i.what == 'r') {
      gaps.push_back({std::move(text), {"0", "1"}, static_cast<std::size_t>(i.bit)});
      text.clear();
    } else {
      text += std::to_string(i.bit);
    }
  }
  return gaps;
}

std::vector<ProbeItem> generate(std::uint64_t seed, std::size_t count) {
  const std::size_t of_each = ((count == 0 ? kUsualItems : count) + 2) / kDensities.size();
  std::vector<ProbeItem> items;
  for (std::size_t i = 0; i < of_each; ++i) {
    for (const Density& density : kDensities) {
      Random random(seed, items.size());
      ProbeItem item;
      item.group = density.group;
      item.cluster = items.size();
      item.gaps = gaps_of(random, density.ignore);
      item.shown =
          fmt::format("a string of {} instructions with {} reads", kInstructions, item.gaps.size());
      items.push_back(std::move(item));
    }
  }
  return items;
}

/// How many instructions before each read the latest write stands, the read itself included.
std::vector<std::size_t> distances_of(const ProbeItem& item) {
  std::vector<std::size_t> distances;
  std::size_t distance = 0;
  for (const Gap& gap : item.gaps) {
    for (const char c : std::string_view(gap.before).substr(gap.before.rfind('\n') + 1)) {
      if (c == 'w') distance = 0;
      if (c == 'i' || c == 'r') ++distance;
    }
    distances.push_back(distance);
  }
  return distances;
}

/// values: for each read 1 when it is right, else 0.
Result<ItemOutcome> score(ProbeModel& model, const ProbeItem& item) {
  CB_TRY(const std::vector<ChoiceScores> scores, model.follow(item.gaps));
  ItemOutcome outcome;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const std::size_t right = item.gaps[i].right;
    const bool recalled = scores[i][right].log_likelihood > scores[i][1 - right].log_likelihood;
    outcome.values.push_back(recalled ? 1 : 0);
    outcome.score += recalled ? 1 : 0;
  }
  outcome.answer = fmt::format("{:.0f} of {} reads right", outcome.score, outcome.values.size());
  outcome.score /= static_cast<double>(outcome.values.size());
  return outcome;
}

/// Which doubling a distance is in: 0 for 1, 1 for 2 and 3, ...
std::size_t doubling(std::size_t distance) {
  return static_cast<std::size_t>(std::bit_width(distance)) - 1;
}

/// [doubling] of (reads right, reads).
using Recall = std::vector<std::pair<double, double>>;

Recall recall_by_distance(std::span<const ProbeItem> items, std::span<const ItemOutcome> outcomes) {
  Recall recall(doubling(kInstructions) + 1);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const std::vector<std::size_t> distances = distances_of(items[i]);
    for (std::size_t read = 0; read < distances.size(); ++read) {
      auto& [right, reads] = recall[doubling(distances[read])];
      right += outcomes[i].values[read];
      reads += 1;
    }
  }
  return recall;
}

Table distance_table(const ProbeResult& result) {
  Table table{
      "Reads right by how far back the write stands", {"Instructions back", "Reads", "Model"}, {}};
  const Recall model = recall_by_distance(result.items, result.subject);
  const Recall reference = recall_by_distance(result.items, result.reference);
  if (!result.reference.empty()) table.columns.emplace_back("Reference");
  for (std::size_t d = 0; d < model.size(); ++d) {
    const auto [right, reads] = model[d];
    if (reads == 0) continue;
    const std::size_t first = std::size_t{1} << d;
    table.rows.push_back({d == 0 ? "1" : fmt::format("{} to {}", first, 2 * first - 1),
                          fmt::format("{:.0f}", reads), print_quantity(right / reads, "share")});
    if (!result.reference.empty())
      table.rows.back().push_back(print_quantity(reference[d].first / reads, "share"));
  }
  return table;
}

Result<ProbeResult> run(const ProbeContext& context) {
  CB_TRY(ProbeResult result,
         run_items(context, "flip-flop", generate(context.seed, context.limit), score));
  result.blocks.emplace_back(distance_table(result));
  return result;
}

}  // namespace

extern const Probe flip_flop_probe;
const Probe flip_flop_probe = {
    .name = "flip_flop",
    .title = "Flip-flop language",
    .papers = {148},
    .measures = "whether the bit written last is recalled at a read, however far back it stands",
    .score = "every read recalls the latest write; a coin gets a half",
    .generate = generate,
    .run = run};

}  // namespace checkbit
