// Small edits: those that must not change an answer, and those that must.
//
// What: small tasks over made-up data, each with its opposite (largest and smallest, first and
//   last, ...). An item is a task after an edit. Harmless edits: polite filler, every fourth word
//   of the explanation dropped, a technical word for a common one. The decisive edit: the one word
//   that turns the task into its opposite. A good model keeps its answer under the first and
//   changes it under the second.
// Score: 1 when the answer after the edit is right. Beside it, among the tasks solved before the
//   edit: the share kept under harmless edits, the share that follows the decisive one, and the
//   share that gives the old answer there.
// Reference: "Small Edits, Big Consequences: Telling Good from Bad Robustness in Large Language
//   Models" (underspecification, lexical flip, jargon).
#include <algorithm>
#include <array>

#include "base/random.h"
#include "measure/probes/probe_summary.h"
#include "report/number.h"

namespace checkbit {
namespace {

struct Task {
  std::string_view explanation;  ///< "{}": the pivotal word
  std::string_view word;
  std::string_view opposite;
  std::string_view common;  ///< in `explanation`
  std::string_view jargon;
  /// Indices of the answers to `word` and `opposite`. The values are distinct numbers.
  std::size_t (*answer)(std::span<const int> values);
  std::size_t (*opposite_answer)(std::span<const int> values);
};

std::size_t index_of_largest(std::span<const int> v) {
  return static_cast<std::size_t>(std::ranges::max_element(v) - v.begin());
}
std::size_t index_of_smallest(std::span<const int> v) {
  return static_cast<std::size_t>(std::ranges::min_element(v) - v.begin());
}
std::size_t index_of_first(std::span<const int>) { return 0; }
std::size_t index_of_last(std::span<const int> v) { return v.size() - 1; }

constexpr std::array<Task, 8> kTasks = {{
    {"Here is a list of numbers. Look at all of them and name the {} number of the list.",
     "largest", "smallest", "list", "sequence", index_of_largest, index_of_smallest},
    {"These are the numbers on a sheet of paper. Read the sheet and tell the {} number on it.",
     "maximum", "minimum", "sheet", "folio", index_of_largest, index_of_smallest},
    {"The children stand in a line, each with a number. Walk along and name the {} number in line.",
     "first", "last", "line", "queue", index_of_first, index_of_last},
    {"These are the prices of a shop in dollars. Look for the {} price and say how much it is.",
     "highest", "lowest", "shop", "emporium", index_of_largest, index_of_smallest},
    {"These are the ages of the people in a house. Tell the age of the {} person who lives there.",
     "oldest", "youngest", "house", "domicile", index_of_largest, index_of_smallest},
    {"A machine prints these numbers one after another. Say which number it prints at the {}.",
     "beginning", "end", "machine", "apparatus", index_of_first, index_of_last},
    {"These are the weights of the stones in a bag in grams. Tell the weight of the {} stone.",
     "heaviest", "lightest", "bag", "receptacle", index_of_largest, index_of_smallest},
    {"These are the lengths of the ropes in a room in meters. Tell the length of the {} rope.",
     "longest", "shortest", "room", "chamber", index_of_largest, index_of_smallest},
}};
constexpr std::size_t kValues = 5;
constexpr std::size_t kUsualTasks = 32;

std::string with_word(const Task& task, std::string_view word) {
  std::string text(task.explanation);
  text.replace(text.find("{}"), 2, word);
  return text;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

/// Every fourth word goes, but not the pivotal one.
std::string thinned(const Task& task) {
  std::string text = with_word(task, task.word), kept, word;
  std::size_t number = 0;
  for (const char c : text + " ") {
    if (c != ' ') {
      word += c;
      continue;
    }
    if (++number % 4 != 0 || word.starts_with(task.word)) kept += (kept.empty() ? "" : " ") + word;
    word.clear();
  }
  return kept;
}

struct Edit {
  std::string_view group;
  bool changes;  ///< the answer
  std::string (*explanation)(const Task& task);
};
const std::array<Edit, 5> kEdits = {{
    {"unedited", false, [](const Task& t) { return with_word(t, t.word); }},
    {"filler", false,
     [](const Task& t) {
       return "Well, if you have a moment, and only if it is no trouble: " + with_word(t, t.word) +
              " Thank you very much, by the way.";
     }},
    {"words dropped", false, thinned},
    {"jargon", false,
     [](const Task& t) { return replaced(with_word(t, t.word), t.common, t.jargon); }},
    {"opposite", true, [](const Task& t) { return with_word(t, t.opposite); }},
}};

/// Distinct, and first, last, largest and smallest at different places.
std::vector<int> draw_values(Random& random) {
  std::vector<int> values;
  do {
    values.clear();
    while (values.size() < kValues) {
      const int value = static_cast<int>(10 + random.below(90));
      if (std::ranges::find(values, value) == values.end()) values.push_back(value);
    }
  } while (index_of_largest(values) % (kValues - 1) == 0 ||
           index_of_smallest(values) % (kValues - 1) == 0);
  return values;
}

std::string prompt_of(const std::string& explanation, std::span<const int> values) {
  return fmt::format("{}\nNumbers: {}\nAnswer:", explanation, fmt::join(values, ", "));
}

/// Two solved tasks of other kinds, so that the form of an answer is clear.
std::string examples_for(std::size_t task, Random& random) {
  std::string text;
  for (const std::size_t step : {std::size_t{3}, std::size_t{6}}) {
    const Task& other = kTasks[(task + step) % kTasks.size()];
    const std::vector<int> values = draw_values(random);
    text += prompt_of(with_word(other, other.word), values) +
            fmt::format(" {}\n\n", values[other.answer(values)]);
  }
  return text;
}

std::vector<ProbeItem> generate(std::uint64_t seed, std::size_t count) {
  const std::size_t tasks = count == 0 ? kUsualTasks : (count + kEdits.size() - 1) / kEdits.size();
  std::vector<ProbeItem> items;
  for (std::size_t t = 0; t < tasks; ++t) {
    Random random(seed, t);
    const Task& task = kTasks[t % kTasks.size()];
    const std::string examples = examples_for(t % kTasks.size(), random);
    const std::vector<int> values = draw_values(random);
    for (const Edit& edit : kEdits) {
      const std::string asked = prompt_of(edit.explanation(task), values);
      Question question{.prompt = examples + asked};
      for (const int value : values) question.choices.push_back(fmt::format(" {}", value));
      question.right = edit.changes ? task.opposite_answer(values) : task.answer(values);
      items.push_back({std::string(edit.group), t, asked, {std::move(question)}, {}});
    }
  }
  return items;
}

/// A 0 or 1 for every edit of its kind, with the task it was made to.
struct Reaction {
  std::vector<std::size_t> tasks;
  std::vector<double> values;
  void add(std::size_t task, bool value) {
    tasks.push_back(task);
    values.push_back(value ? 1 : 0);
  }
};

/// Of the tasks solved before the edit.
struct Reactions {
  std::size_t solved = 0;
  Reaction kept, followed, stuck;
};

Reactions reactions_of(std::span<const ProbeItem> items, std::span<const ItemOutcome> outcomes) {
  Reactions reactions;
  for (std::size_t base = 0; base < outcomes.size(); base += kEdits.size()) {
    if (outcomes[base].score == 0) continue;
    ++reactions.solved;
    const std::size_t task = items[base].cluster;
    for (std::size_t e = 1; e < kEdits.size(); ++e) {
      const bool same = outcomes[base + e].answer == outcomes[base].answer;
      if (!kEdits[e].changes) {
        reactions.kept.add(task, same);
      } else {
        reactions.followed.add(task, outcomes[base + e].score == 1);
        reactions.stuck.add(task, same);
      }
    }
  }
  return reactions;
}

void add_reactions(ProbeResult& result) {
  Table table{"Among the tasks solved before the edit",
              {"Reaction", "Model"},
              {{"solved before"},
               {"answer kept, as it should be"},
               {"answer changed rightly"},
               {"old answer given wrongly"}}};
  const auto add = [&](std::span<const ItemOutcome> outcomes, const std::string& suffix) {
    const Reactions reactions = reactions_of(result.items, outcomes);
    table.rows[0].push_back(std::to_string(reactions.solved));
    const auto share = [&](std::size_t row, const char* name, const Reaction& reaction) {
      table.rows[row].emplace_back();
      if (reaction.values.empty()) return;
      const Record record = share_record(fmt::format("probe_small_edits_{}{}", name, suffix),
                                         estimate_mean(reaction.tasks, reaction.values));
      table.rows[row].back() = print_with_interval(record);
      result.records.push_back(record);
    };
    share(1, "kept", reactions.kept);
    share(2, "followed", reactions.followed);
    share(3, "stuck", reactions.stuck);
  };
  add(result.subject, "");
  if (!result.reference.empty()) {
    table.columns.emplace_back("Reference");
    add(result.reference, "_reference");
  }
  result.blocks.emplace_back(std::move(table));
}

Result<ProbeResult> run(const ProbeContext& context) {
  CB_TRY(ProbeResult result,
         run_items(context, "small edits", generate(context.seed, context.limit), score_choice));
  add_reactions(result);
  return result;
}

}  // namespace

extern const Probe small_edits_probe;
const Probe small_edits_probe = {
    .name = "small_edits",
    .title = "Small edits",
    .papers = {166},
    .measures = "whether harmless edits leave an answer alone and a decisive word changes it",
    .score = "the answer after every edit is right; a guess gets a fifth",
    .generate = generate,
    .run = run};

}  // namespace checkbit
