#include "measure/story.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/number.h"
#include "report/text.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

/// "4.9 % higher", "0.3 % lower", "unchanged".
std::string describe_ratio(const Record& ratio) {
  const double change = ratio.value - 1;
  if (change == 0) return "unchanged";
  return in_words(std::abs(change), "share") + (change > 0 ? " higher" : " lower");
}

double damage(const CandidateStory& candidate) {
  const CandidateResult& result = candidate.result;
  return result.divergence ? result.divergence->mean.value : result.perplexity.value;
}

/// "q4 (84 MB)"
std::string name_and_size(const CandidateStory& candidate) {
  const ModelFacts& facts = candidate.facts;
  if (facts.file_bytes == 0) return facts.name;
  return fmt::format("{} ({})", facts.name,
                     in_words(static_cast<double>(facts.file_bytes), "bytes"));
}

std::string describe_damage(const CandidateStory& candidate) {
  if (!candidate.result.divergence) {
    return "a perplexity of " + in_words(figure_of(candidate, "perplexity"));
  }
  return fmt::format("{} of divergence per token and {} of the choices changed",
                     in_words(figure_of(candidate, "kl_divergence_mean")),
                     in_words(figure_of(candidate, "top1_changed")));
}

std::string describe_several(const ComparisonStory& story,
                             const std::vector<const CandidateStory*>& healthy) {
  const bool paired = healthy.front()->result.divergence.has_value();
  const std::string count =
      healthy.size() == 1 ? "1 model" : fmt::format("{} models", healthy.size());
  std::string text = fmt::format("Of {} on {}, {} {} with {}", count, story.text_name,
                                 name_and_size(*healthy.front()),
                                 paired ? "stays closest to the original" : "predicts best",
                                 describe_damage(*healthy.front()));
  const auto* const smallest = *std::ranges::min_element(
      healthy, {}, [](const CandidateStory* c) { return c->facts.file_bytes; });
  if (healthy.size() == 1) return text + ".";
  if (smallest == healthy.front()) return text + ", and it is the smallest.";
  return text + fmt::format("; {} is the smallest, with {}.", name_and_size(*smallest),
                            describe_damage(*smallest));
}

}  // namespace

std::string in_words(double value, const std::string& unit) {
  return glue(print_quantity(value, unit));
}

std::string in_words(const Record& record) { return glue(print_with_interval(record)); }

std::string in_words(const Estimate& estimate, const std::string& unit) {
  return in_words(record_of("", unit, estimate, ""));
}

Record record_named(const std::vector<Record>& records, const std::string& name) {
  const auto found = std::ranges::find(records, name, &Record::name);
  CB_CHECK(found != records.end());
  return *found;
}

Record figure_of(const CandidateStory& candidate, const std::string& name) {
  return record_named(to_records(candidate.result, candidate.command), name);
}

std::string describe_windows(const RunSummary& run) {
  return fmt::format("{} tokens scored in {} windows of {}",
                     in_words(static_cast<double>(run.scored_tokens), ""),
                     in_words(static_cast<double>(run.windows), ""),
                     in_words(static_cast<double>(run.context_tokens), ""));
}

std::string describe_early_stop(const RunSummary& run) {
  if (!run.early_stop) return "";
  const EarlyStop& stop = *run.early_stop;
  if (stop.windows_spared == 0) {
    return fmt::format("All {} windows were needed for an interval within {}.", run.windows,
                       in_words(stop.wanted, "share"));
  }
  return fmt::format("Stopped after {} of {} windows, {} spared: the interval is within {}.",
                     run.windows, run.text_windows, stop.windows_spared,
                     in_words(stop.reached, "share"));
}

std::string describe_change(const ComparisonStory& story, const CandidateStory& candidate) {
  if (candidate.result.broken) {
    return fmt::format("{} is broken: {}.", candidate.facts.name, *candidate.result.broken);
  }
  const Record perplexity = figure_of(candidate, "perplexity");
  if (!candidate.result.divergence) {
    return "On " + story.text_name + " its perplexity is " + in_words(perplexity) + ".";
  }
  return fmt::format(
      "On {} its perplexity goes from {} to {} ({}), its predictions diverge by {} on average, and "
      "{} of its next-token choices change.",
      story.text_name, print_record(figure_of(candidate, "perplexity_reference")).value,
      print_record(perplexity).value, describe_ratio(figure_of(candidate, "perplexity_ratio")),
      in_words(figure_of(candidate, "kl_divergence_mean")),
      in_words(figure_of(candidate, "top1_changed")));
}

std::string describe_change(const ComparisonStory& story) {
  if (story.candidates.size() == 1) return describe_change(story, story.candidates.front());
  std::string text;
  if (const auto healthy = ranked(story); !healthy.empty()) text = describe_several(story, healthy);
  for (const CandidateStory& candidate : story.candidates) {
    if (!candidate.result.broken) continue;
    text += (text.empty() ? "" : " ") + describe_change(story, candidate);
  }
  return text;
}

std::vector<const CandidateStory*> ranked(const ComparisonStory& story) {
  std::vector<const CandidateStory*> healthy;
  for (const CandidateStory& candidate : story.candidates) {
    if (!candidate.result.broken) healthy.push_back(&candidate);
  }
  std::ranges::stable_sort(healthy, {}, [](const CandidateStory* c) { return damage(*c); });
  return healthy;
}

bool on_front(const ComparisonStory& story, const CandidateStory& candidate) {
  if (candidate.result.broken) return false;
  return std::ranges::none_of(story.candidates, [&](const CandidateStory& other) {
    if (other.result.broken) return false;
    const bool as_good =
        other.facts.file_bytes <= candidate.facts.file_bytes && damage(other) <= damage(candidate);
    return as_good && (other.facts.file_bytes < candidate.facts.file_bytes ||
                       damage(other) < damage(candidate));
  });
}

}  // namespace checkbit
