#include "measure/probes/probe.h"

#include <algorithm>
#include <cmath>

#include "base/progress.h"

namespace checkbit {

#define CHECKBIT_PROBE(name) extern const Probe name##_probe;
#include "measure/probes/probes.def"
#undef CHECKBIT_PROBE

const std::vector<const Probe*>& all_probes() {
  static const std::vector<const Probe*> probes = {
#define CHECKBIT_PROBE(name) &name##_probe,
#include "measure/probes/probes.def"
#undef CHECKBIT_PROBE
  };
  return probes;
}

const Probe* find_probe(std::string_view name) {
  const auto found = std::ranges::find(all_probes(), name, &Probe::name);
  return found == all_probes().end() ? nullptr : *found;
}

std::size_t best_choice(const ChoiceScores& scores) {
  CB_CHECK(!scores.empty());
  const auto best = std::ranges::max_element(scores, {}, &ChoiceScore::per_token);
  return static_cast<std::size_t>(best - scores.begin());
}

std::vector<double> choice_probabilities(const ChoiceScores& scores) {
  CB_CHECK(!scores.empty());
  const double peak =
      std::ranges::max_element(scores, {}, &ChoiceScore::log_likelihood)->log_likelihood;
  std::vector<double> shares;
  double sum = 0;
  for (const ChoiceScore& score : scores) {
    shares.push_back(std::exp(score.log_likelihood - peak));
    sum += shares.back();
  }
  for (double& share : shares) share /= sum;
  return shares;
}

namespace {

Result<std::vector<ItemOutcome>> ask(ProbeModel& model, std::string_view title,
                                     std::span<const ProbeItem> items, const ItemScorer& scorer) {
  Progress progress(fmt::format("{}: {}", title, model.name()), items.size(), "items");
  std::vector<ItemOutcome> outcomes;
  for (const ProbeItem& item : items) {
    if (cancel_requested()) return cancelled_error();
    CB_TRY(ItemOutcome outcome, scorer(model, item));
    outcomes.push_back(std::move(outcome));
    progress.advance();
  }
  return outcomes;
}

}  // namespace

Result<ProbeResult> run_items(const ProbeContext& context, std::string_view title,
                              std::vector<ProbeItem> items, const ItemScorer& scorer) {
  ProbeResult result;
  result.items = std::move(items);
  CB_TRY(result.subject, ask(context.subject, title, result.items, scorer));
  if (context.reference != nullptr) {
    CB_TRY(result.reference, ask(*context.reference, title, result.items, scorer));
  }
  return result;
}

Result<ItemOutcome> score_choice(ProbeModel& model, const ProbeItem& item) {
  CB_CHECK(item.questions.size() == 1);
  const Question& question = item.questions.front();
  CB_TRY(const ChoiceScores scores, model.choose(question));
  const std::size_t chosen = best_choice(scores);
  const double right = choice_probabilities(scores)[question.right];
  return ItemOutcome{chosen == question.right ? 1.0 : 0.0,
                     question.choices[chosen],
                     {-std::log2(std::max(right, 1e-300))}};
}

}  // namespace checkbit
