// Reading back what saved_run.cpp writes. The file may be anybody's: every value is checked.

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "measure/saved_run.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;
constexpr std::size_t kMostEntries = 1u << 16;  // of any list: far above what is ever written

/// What is wrong with a file, for the one place that catches it; nlohmann's own errors go the same
/// way.
struct Malformed {
  std::string what;
};

double finite(const Json& json) {
  const double value = json.get<double>();
  if (!std::isfinite(value)) throw Malformed{"a number is not finite"};
  return value;
}

/// A count: not negative, exact.
std::uint64_t count_of(const Json& json) {
  const double value = finite(json);
  if (value < 0 || value > 9007199254740992.0 || value != std::floor(value)) {
    throw Malformed{"a count is not a whole number"};
  }
  return static_cast<std::uint64_t>(value);
}

const Json& list_of(const Json& json, const char* key) {
  const Json& list = json.at(key);
  if (!list.is_array() || list.size() > kMostEntries) {
    throw Malformed{std::string(key) + " is not a list of a plausible length"};
  }
  return list;
}

Estimate to_estimate(const Json& json) {
  if (!json.is_array() || (json.size() != 1 && json.size() != 3)) {
    throw Malformed{"a figure is not [value] or [value, low, high]"};
  }
  Estimate estimate{finite(json[0]), std::nullopt};
  if (json.size() == 3) estimate.interval = Interval{finite(json[1]), finite(json[2])};
  return estimate;
}

std::vector<GroupFigures> to_groups(const Json& json, const char* key) {
  std::vector<GroupFigures> groups;
  for (const Json& group : list_of(json, key)) {
    groups.push_back({.name = group.at("name").get<std::string>(),
                      .tokens = finite(group.at("tokens")),
                      .divergence = to_estimate(group.at("divergence")),
                      .changed = to_estimate(group.at("changed")),
                      .loss_change = to_estimate(group.at("loss_change"))});
  }
  return groups;
}

ModelFacts to_facts(const Json& json) {
  ModelFacts facts;
  facts.name = json.at("name").get<std::string>();
  facts.file_bytes = count_of(json.at("file_bytes"));
  facts.bits_per_weight = finite(json.at("bits_per_weight"));
  for (const auto& [key, amount] : json.at("type_bytes").items()) {
    facts.type_bytes.push_back({key, finite(amount)});
  }
  return facts;
}

BlockTable to_blocks(const Json& json) {
  BlockTable table(kBlockColumns);
  for (const Json& row : list_of(json, "blocks")) {
    if (!row.is_array() || row.size() != kBlockColumns) {
      throw Malformed{"a block has not one number for each column"};
    }
    std::vector<double> sums;
    for (const Json& value : row) sums.push_back(finite(value));
    if (!(sums[kTokens] > 0)) throw Malformed{"a block has no tokens"};
    table.add(sums);
  }
  return table;
}

DivergenceResult to_places(const Json& json, DivergenceResult divergence) {
  for (const Json& value : list_of(json, "quantile_curve")) {
    divergence.quantile_curve.push_back(finite(value));
  }
  if (divergence.quantile_curve.size() < 2) throw Malformed{"quantile_curve is too short"};
  divergence.by_position = to_groups(json, "by_position");
  divergence.by_class = to_groups(json, "by_class");
  divergence.by_document = to_groups(json, "by_document");
  for (const Json& bin : list_of(json, "by_sureness")) {
    divergence.by_sureness.push_back(
        {.low = finite(bin.at("low")),
         .high = finite(bin.at("high")),
         .tokens = finite(bin.at("tokens")),
         .reference_probability = finite(bin.at("reference_probability")),
         .probability = finite(bin.at("probability")),
         .kept = finite(bin.at("kept"))});
  }
  return divergence;
}

std::vector<ChangedText> to_examples(const Json& json) {
  std::vector<ChangedText> examples;
  for (const Json& example : list_of(json, "examples")) {
    examples.push_back({.before = example.at("before").get<std::string>(),
                        .actual = example.at("actual").get<std::string>(),
                        .reference_choice = example.at("reference_choice").get<std::string>(),
                        .choice = example.at("choice").get<std::string>(),
                        .reference_probability = finite(example.at("reference_probability")),
                        .probability = finite(example.at("probability"))});
  }
  return examples;
}

CandidateStory to_candidate(const Json& json, bool paired) {
  CandidateStory candidate{.facts = to_facts(json),
                           .result = {},
                           .examples = {},
                           .command = json.at("command").get<std::string>()};
  CandidateResult& result = candidate.result;
  result.name = candidate.facts.name;
  if (json.contains("broken")) {
    result.broken = json.at("broken").get<std::string>();
    return candidate;
  }
  std::vector<Record> records;
  for (const auto& [name, figure] : json.at("figures").items()) {
    records.push_back(record_of(name, "", to_estimate(figure)));
  }
  from_records(records, result);
  result.windows_per_block = count_of(json.at("windows_per_block"));
  result.blocks = to_blocks(json);
  if (result.divergence.has_value() != paired) {
    throw Malformed{"figures and reference do not go together"};
  }
  if (!paired) return candidate;
  result.divergence = to_places(json, *std::move(result.divergence));
  candidate.examples = to_examples(json);
  return candidate;
}

ComparisonStory to_story(const Json& root) {
  const Json& json = root.at("measurement");
  if (json.at("version") != kVersion) throw Malformed{"it is of another version"};
  ComparisonStory story;
  story.text_name = json.at("text").get<std::string>();
  RunSummary& run = story.run;
  run.text_hash = json.at("text_hash").get<std::string>();
  run.text_tokens = count_of(json.at("text_tokens"));
  run.context_tokens = count_of(json.at("context_tokens"));
  run.windows = count_of(json.at("windows"));
  run.text_windows = count_of(json.at("text_windows"));
  run.scored_tokens = count_of(json.at("scored_tokens"));
  run.forward_seconds = finite(json.at("forward_seconds"));
  run.compare_seconds = finite(json.at("compare_seconds"));
  if (json.contains("early_stop")) {
    const Json& stop = json.at("early_stop");
    const Json& reached = stop.at("reached");
    run.early_stop = EarlyStop{
        .wanted = finite(stop.at("wanted")),
        .reached = reached.is_null() ? std::numeric_limits<double>::infinity() : finite(reached),
        .windows_spared = count_of(stop.at("windows_spared"))};
  }
  if (json.contains("reference")) {
    story.reference = to_facts(json.at("reference"));
    run.reference = story.reference->name;
  }
  for (const Json& candidate : list_of(json, "candidates")) {
    story.candidates.push_back(to_candidate(candidate, story.reference.has_value()));
  }
  if (story.candidates.empty()) throw Malformed{"it has no candidates"};
  for (const auto& [name, value] : root.at("environment").items()) {
    story.environment.emplace_back(name, value.get<std::string>());
  }
  return story;
}

}  // namespace

Result<ComparisonStory> read_saved_run(std::string_view json, const std::string& name) {
  constexpr const char* kAdvice = "not what `checkbit measure --json` writes";
  const Json root = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) {
    return fail(ErrorKind::corrupt, "{}: {}: it is no JSON", name, kAdvice);
  }
  try {
    return to_story(root);
  } catch (const Malformed& malformed) {
    return fail(ErrorKind::corrupt, "{}: {}: {}", name, kAdvice, malformed.what);
  } catch (const Json::exception& error) {
    return fail(ErrorKind::corrupt, "{}: {}: {}", name, kAdvice, error.what());
  }
}

std::string pairing_obstacle(const ComparisonStory& first, const ComparisonStory& second) {
  const RunSummary& a = first.run;
  const RunSummary& b = second.run;
  if (a.text_hash != b.text_hash) return "the texts differ";
  if (a.context_tokens != b.context_tokens) return "the windows have different lengths";
  if (a.windows != b.windows) return "the runs read different numbers of windows";
  const bool same_order =
      a.early_stop.has_value() == b.early_stop.has_value() && a.text_windows == b.text_windows;
  return same_order ? "" : "the runs read the windows in different orders";
}

Result<ComparisonStory> join_runs(ComparisonStory first, const std::string& first_name,
                                  ComparisonStory second, const std::string& second_name) {
  if (first.reference.has_value() != second.reference.has_value()) {
    const bool lacking_first = !first.reference.has_value();
    return fail(ErrorKind::invalid,
                "{} was measured without a reference and {} with one: measure both alike",
                lacking_first ? first_name : second_name, lacking_first ? second_name : first_name);
  }
  const bool paired = pairing_obstacle(first, second).empty();
  const auto taken = [&](const std::string& name) {
    return std::ranges::any_of(first.candidates,
                               [&](const CandidateStory& c) { return c.facts.name == name; });
  };
  for (CandidateStory& candidate : second.candidates) {
    const std::string plain = candidate.facts.name;
    for (int number = 2; taken(candidate.facts.name); ++number) {
      candidate.facts.name = fmt::format("{} ({})", plain, number);
    }
    // Without the same windows there is nothing to pair.
    if (!paired) candidate.result.blocks = BlockTable(kBlockColumns);
    first.candidates.push_back(std::move(candidate));
  }
  if (first.reference && first.reference->name != second.reference->name) {
    first.reference->name += " and " + second.reference->name;
  }
  if (first.text_name != second.text_name) first.text_name += " and " + second.text_name;
  return first;
}

}  // namespace checkbit
