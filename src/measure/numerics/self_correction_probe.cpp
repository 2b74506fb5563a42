// Confidence and critique: the same question twice, the second time with the first answer shown and
// a request to look at it again.
//
// What: made-up questions with four answers each (sums, the largest of four numbers, the next
// letter,
//   the number of letters of a word), or those of a file of ARC. Answers are chosen by likelihood
//   per token. The second round shows the question, the first answer and a review prompt that says
//   neither that it was right nor that it was wrong.
// Figures: score/self_correction.h: CL, CS, both accuracies and RSS, for each model.
// Reference: "Confidence v.s. Critique: A Decomposition of Self-Correction Capability for LLMs".

#include "score/estimate_record.h"
#include "score/self_correction.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/random.h"
#include "measure/probes/probe.h"
#include "measure/tasks/task.h"
#include "report/number.h"

namespace checkbit {
namespace {

constexpr std::size_t kUsualItems = 120;
constexpr std::size_t kChoices = 4;

/// Four different choices in random order, the right one known.
Question make_question(std::string text, std::string right, std::vector<std::string> wrong,
                       Random& random) {
  Question question{.prompt = "Question: " + std::move(text) + "\nAnswer:"};
  question.right = random.below(kChoices);
  for (std::size_t i = 0, next = 0; i < kChoices; ++i)
    question.choices.push_back(" " + (i == question.right ? right : wrong[next++]));
  return question;
}

std::vector<std::string> as_text(std::initializer_list<std::uint64_t> numbers) {
  std::vector<std::string> words;
  for (const std::uint64_t n : numbers) words.push_back(std::to_string(n));
  return words;
}

Question sum_question(Random& random) {
  const std::uint64_t a = 2 + random.below(48);
  const std::uint64_t b = 2 + random.below(48);
  return make_question(fmt::format("What is {} + {}?", a, b), std::to_string(a + b),
                       as_text({a + b + 1, a + b - 2, a + b + 10}), random);
}

Question largest_question(Random& random) {
  std::array<std::uint64_t, kChoices> n{};
  for (std::size_t i = 0; i < kChoices; ++i)
    n[i] = 10 * random.below(100) + 2 * i + random.below(2);
  std::ranges::sort(n, std::ranges::greater());
  std::array<std::uint64_t, kChoices> shown = n;
  for (std::size_t i = kChoices; i > 1; --i) std::swap(shown[i - 1], shown[random.below(i)]);
  return make_question(fmt::format("Which of the numbers {}, {}, {} and {} is the largest?",
                                   shown[0], shown[1], shown[2], shown[3]),
                       std::to_string(n[0]), as_text({n[1], n[2], n[3]}), random);
}

Question letter_question(Random& random) {
  const auto at = static_cast<char>('A' + random.below(22));
  const auto letter = [&](int offset) { return std::string(1, static_cast<char>(at + offset)); };
  return make_question(fmt::format("Which letter comes right after {} in the alphabet?", letter(0)),
                       letter(1), {letter(2), letter(3), at > 'A' ? letter(-1) : letter(4)},
                       random);
}

Question length_question(Random& random) {
  constexpr std::array<std::string_view, 16> kWords = {
      "cat",    "river",   "stone", "window", "garden", "apple", "mountain", "tree",
      "yellow", "kitchen", "sun",   "bridge", "paper",  "house", "elephant", "chair"};
  const std::string_view word = kWords[random.below(kWords.size())];
  const std::uint64_t n = word.size();
  return make_question(fmt::format("How many letters has the word {}?", word), std::to_string(n),
                       as_text({n + 1, n - 1, n + 2}), random);
}

std::vector<ProbeItem> generate(std::uint64_t seed, std::size_t count) {
  using Maker = Question (*)(Random&);
  constexpr std::pair<const char*, Maker> kKinds[] = {{"sum", sum_question},
                                                      {"largest", largest_question},
                                                      {"next letter", letter_question},
                                                      {"letters", length_question}};
  if (count == 0) count = kUsualItems;
  std::vector<ProbeItem> items;
  for (std::size_t i = 0; i < count; ++i) {
    Random random(seed, i);
    const auto& [group, make] = kKinds[i % std::size(kKinds)];
    Question question = make(random);
    items.push_back({.group = group,
                     .cluster = i,
                     .shown = question.prompt,
                     .questions = {std::move(question)},
                     .gaps = {}});
  }
  return items;
}

std::size_t likeliest_per_token(const ChoiceScores& scores) {
  const auto best = std::ranges::max_element(scores, {}, &ChoiceScore::per_token);
  return static_cast<std::size_t>(best - scores.begin());
}

Result<ItemOutcome> ask_twice(ProbeModel& model, const ProbeItem& item) {
  const Question& first = item.questions.front();
  CB_TRY(const ChoiceScores before, model.choose(first));
  const std::size_t answer = likeliest_per_token(before);
  Question second = first;
  second.prompt +=
      first.choices[answer] +
      "\nReview the question and the answer above. If you are confident in the answer, "
      "keep it, otherwise correct it.\nFinal answer:";
  CB_TRY(const ChoiceScores after, model.choose(second));
  const std::size_t final = likeliest_per_token(after);
  return ItemOutcome{final == first.right ? 1.0 : 0.0,
                     first.choices[answer] + " ->" + first.choices[final],
                     {answer == first.right ? 1.0 : 0.0}};
}

/// Records of one model, `tail` "" or "_reference", and its row of the table.
void add_figures(std::span<const ItemOutcome> outcomes, const std::string& name,
                 const std::string& tail, ProbeResult& result, Table& table) {
  std::vector<TwoRounds> rounds;
  for (const ItemOutcome& outcome : outcomes)
    rounds.push_back({outcome.values.front() > 0, outcome.score > 0});
  const SelfCorrection figures = score_self_correction(rounds);
  std::vector<std::string> row = {name};
  const auto add = [&](const char* what, const std::optional<Estimate>& estimate) {
    if (!estimate) {
      row.emplace_back("-");
      return;
    }
    Record record = record_of(fmt::format("probe_self_correction_{}{}", what, tail),
                              std::string_view(what) == "relative" ? "" : "share", *estimate);
    row.push_back(print_with_interval(record));
    result.records.push_back(std::move(record));
  };
  add("accuracy_before", figures.accuracy_before);
  add("accuracy_after", figures.accuracy_after);
  add("confidence", figures.confidence);
  add("critique", figures.critique);
  add("relative", figures.relative);
  table.rows.push_back(std::move(row));
}

/// The first items of a file of ARC, as `checkbit task arc` reads it.
Result<std::vector<ProbeItem>> read_arc(const ProbeContext& context) {
  CB_TRY(const TaskData data, find_task("arc")->load({context.data_name, context.data}));
  std::vector<ProbeItem> items;
  for (const TaskItem& item : data.items) {
    if (items.size() == (context.limit > 0 ? context.limit : kUsualItems)) break;
    Question question{.prompt = item.prompt, .right = item.right};
    for (const std::string& choice : item.choices) question.choices.push_back(" " + choice);
    items.push_back({.group = "arc",
                     .cluster = items.size(),
                     .shown = item.prompt,
                     .questions = {std::move(question)},
                     .gaps = {}});
  }
  return items;
}

Result<ProbeResult> run(const ProbeContext& context) {
  std::vector<ProbeItem> items;
  if (context.data_name.empty()) {
    items = generate(context.seed, context.limit);
  } else {
    CB_TRY(items, read_arc(context));
  }
  CB_TRY(ProbeResult result, run_items(context, "Self-correction", std::move(items), ask_twice));
  Table table{.caption = "Right before and after a review of its own answer",
              .columns = {"", "before", "after", "confidence CL", "critique CS", "relative RSS"},
              .rows = {}};
  add_figures(result.subject, context.subject.name(), "", result, table);
  if (context.reference != nullptr)
    add_figures(result.reference, context.reference->name(), "_reference", result, table);
  result.blocks.emplace_back(std::move(table));
  return result;
}

}  // namespace

extern const Probe self_correction_probe;
const Probe self_correction_probe = {
    .name = "self_correction",
    .title = "Self-correction",
    .papers = {23},
    .measures = "whether a model keeps right answers and mends wrong ones when it reviews them",
    .score = "the answer after the review is right",
    .generate = generate,
    .run = run};

}  // namespace checkbit
