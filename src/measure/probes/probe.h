// A probe: a small made-up test of one weakness, asked of a model and of its reference.
//
// What: each probe is one file with its generator, its way to score an item and one `Probe` record;
//   probes.def lists them. A probe sees models through `ProbeModel`, so that tests can put a table
//   in the place of a model. Most probes make items and call `run_items`; one that measures
//   something else (a table of widths, a bit error rate) returns only records and blocks.
// Pairing: model and reference answer the same items, so their difference and its interval are made
//   in one place (probe_summary.h), by redrawing whole clusters of items.
// Randomness: generators draw from base/random.h with the seed alone, so a seed names the items.
// Units: scores are shares, 0 (all wrong) to 1 (all right). Log-likelihoods are in nats.
// Errors: those of the session, with the model's name; cancelled between items.
// Threads: one probe at a time per model.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "report/html.h"
#include "report/record.h"
#include "run/session.h"

namespace checkbit {

/// What a model is asked, with the answers it can choose from.
struct Question {
  std::string prompt;
  /// The prompt is a user's message, to be set as the model's chat template says. Without a
  /// template a plain heading takes its place.
  bool chat = false;
  /// How the answer begins, read before the choices: "{\"answer\": \"".
  std::string begin;
  /// Endings to compare; for a free answer the one that would be right, if there is one.
  std::vector<std::string> choices;
  /// Index in `choices`. Only tests and scoring read it, never the model.
  std::size_t right = 0;
};

/// A place in a text where the next piece is one of a few.
struct Gap {
  std::string before;  ///< read since the last gap
  std::vector<std::string> choices;
  std::size_t right = 0;  ///< what the text goes on with
};

struct ChoiceScore {
  double log_likelihood = 0;  ///< of all its tokens together
  std::size_t tokens = 0;
  double per_token() const {
    return tokens == 0 ? 0 : log_likelihood / static_cast<double>(tokens);
  }
};
using ChoiceScores = std::vector<ChoiceScore>;

/// The choice that is likeliest by token (choices differ in length), the first on a tie.
/// Precondition: not empty.
std::size_t best_choice(const ChoiceScores& scores);
/// Probability of each choice, all its tokens together, when the model must take one of them.
std::vector<double> choice_probabilities(const ChoiceScores& scores);

/// A model as a probe sees it. Each call starts with an empty context.
class ProbeModel {
 public:
  virtual ~ProbeModel() = default;
  virtual std::string name() const = 0;
  /// The open model, for probes that look inside it or open its file again
  /// (`session()->file().path()`); null for the tables of tests.
  virtual Session* session() { return nullptr; }
  /// Likelihood of every choice after prompt and beginning.
  virtual Result<ChoiceScores> choose(const Question& question) = 0;
  /// Reads the gaps in order, each filled with its right choice, and says at each gap how likely
  /// every choice was. Choices are compared by their first token.
  virtual Result<std::vector<ChoiceScores>> follow(std::span<const Gap> gaps) = 0;
  /// The most likely answer, at most `max_tokens` long, after prompt and beginning.
  virtual Result<std::string> answer(const Question& question, std::int64_t max_tokens) = 0;
};

struct ProbeItem {
  std::string group;        ///< a part of the probe: "sparse", "length 16"
  std::size_t cluster = 0;  ///< items made of one thing share a number: they are redrawn together
  std::string shown;        ///< what a report shows of it
  std::vector<Question> questions;
  std::vector<Gap> gaps;
};

/// How one model did on one item.
struct ItemOutcome {
  double score = 0;            ///< 0..1
  std::string answer;          ///< in short, for the report
  std::vector<double> values;  ///< further measurements, their meaning is the probe's own
};

struct ProbeContext {
  ProbeModel& subject;
  ProbeModel* reference = nullptr;
  std::uint64_t seed = 1;
  /// Items at most; 0: the probe's usual number.
  std::size_t limit = 0;
  /// A file of items that the user gave, for probes that read one: its name and all its bytes.
  std::string data_name = {};
  std::string data = {};
};

/// `subject` and, with a reference, `reference` have one outcome per item. All may be empty: then
/// the records are the result.
struct ProbeResult {
  std::vector<ProbeItem> items;
  std::vector<ItemOutcome> subject;
  std::vector<ItemOutcome> reference;
  std::vector<Record> records;  ///< beside those of the scores; `command` is filled in later
  std::vector<Block> blocks;    ///< for the report; tables are also printed
  Status verdict;               ///< of a check: not ok sets the exit status, after all is printed
};

enum class Direction { higher_is_better, lower_is_better, neither };

struct Probe {
  std::string_view name;      ///< as in probes.def
  std::string_view title;     ///< "Flip-flop language"
  std::vector<int> papers;    ///< numbers of docs/systems.md
  std::string_view measures;  ///< one sentence, no full stop
  std::string_view score;     ///< what a score of 1 means, in a few words
  Direction direction = Direction::higher_is_better;
  bool needs_reference = false;
  /// What the same seed makes again, about `count` items (0: the usual number), evenly over the
  /// groups. Null for a probe without items.
  std::vector<ProbeItem> (*generate)(std::uint64_t seed, std::size_t count) = nullptr;
  Result<ProbeResult> (*run)(const ProbeContext& context) = nullptr;
};

/// In the order of probes.def.
const std::vector<const Probe*>& all_probes();
/// Null when unknown.
const Probe* find_probe(std::string_view name);

using ItemScorer = std::function<Result<ItemOutcome>(ProbeModel& model, const ProbeItem& item)>;

/// Asks subject and reference every item, with progress under the probe's title.
Result<ProbeResult> run_items(const ProbeContext& context, std::string_view title,
                              std::vector<ProbeItem> items, const ItemScorer& scorer);

/// The usual scorer: 1 when the right choice of the item's only question is the best, with the
/// surprise in bits at the right one among the choices as the first value.
Result<ItemOutcome> score_choice(ProbeModel& model, const ProbeItem& item);

}  // namespace checkbit
