#include "measure/saved_run.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace checkbit {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;

Json of_estimate(const Estimate& estimate) {
  Json json = Json::array({estimate.value});
  if (estimate.interval) {
    json.push_back(estimate.interval->low);
    json.push_back(estimate.interval->high);
  }
  return json;
}

Json of_groups(const std::vector<GroupFigures>& groups) {
  Json json = Json::array();
  for (const GroupFigures& group : groups) {
    json.push_back({{"name", group.name},
                    {"tokens", group.tokens},
                    {"divergence", of_estimate(group.divergence)},
                    {"changed", of_estimate(group.changed)},
                    {"loss_change", of_estimate(group.loss_change)}});
  }
  return json;
}

Json of_records(const std::vector<Record>& records) {
  Json json = Json::object();
  for (const Record& record : records) {
    Estimate estimate{record.value, std::nullopt};
    if (record.low && record.high) estimate.interval = Interval{*record.low, *record.high};
    json[record.name] = of_estimate(estimate);
  }
  return json;
}

Json of_facts(const ModelFacts& facts) {
  Json json = {{"name", facts.name},
               {"file_bytes", facts.file_bytes},
               {"bits_per_weight", facts.bits_per_weight}};
  json["type_bytes"] = Json::object();
  for (const StackPart& part : facts.type_bytes) json["type_bytes"][part.key] = part.amount;
  return json;
}

Json of_examples(const std::vector<ChangedText>& examples) {
  Json json = Json::array();
  for (const ChangedText& example : examples) {
    json.push_back({{"before", example.before},
                    {"actual", example.actual},
                    {"reference_choice", example.reference_choice},
                    {"choice", example.choice},
                    {"reference_probability", example.reference_probability},
                    {"probability", example.probability}});
  }
  return json;
}

Json of_blocks(const BlockTable& blocks) {
  Json json = Json::array();
  for (std::size_t i = 0; i < blocks.blocks(); ++i) {
    const auto block = blocks.block(i);
    json.push_back(std::vector<double>(block.begin(), block.end()));
  }
  return json;
}

Json of_sureness(const std::vector<SurenessBin>& bins) {
  Json json = Json::array();
  for (const SurenessBin& bin : bins) {
    json.push_back({{"low", bin.low},
                    {"high", bin.high},
                    {"tokens", bin.tokens},
                    {"reference_probability", bin.reference_probability},
                    {"probability", bin.probability},
                    {"kept", bin.kept}});
  }
  return json;
}

Json of_candidate(const CandidateStory& candidate) {
  Json json = of_facts(candidate.facts);
  json["command"] = candidate.command;
  const CandidateResult& result = candidate.result;
  if (result.broken) {
    json["broken"] = *result.broken;
    return json;
  }
  json["figures"] = of_records(to_records(result, candidate.command));
  json["windows_per_block"] = result.windows_per_block;
  json["blocks"] = of_blocks(result.blocks);
  if (!result.divergence) return json;
  const DivergenceResult& divergence = *result.divergence;
  json["quantile_curve"] = divergence.quantile_curve;
  json["by_position"] = of_groups(divergence.by_position);
  json["by_class"] = of_groups(divergence.by_class);
  json["by_document"] = of_groups(divergence.by_document);
  json["by_sureness"] = of_sureness(divergence.by_sureness);
  json["examples"] = of_examples(candidate.examples);
  return json;
}

}  // namespace

Json saved_measurement(const ComparisonStory& story) {
  const RunSummary& run = story.run;
  Json json = {{"version", kVersion},
               {"text", story.text_name},
               {"text_hash", run.text_hash},
               {"text_tokens", run.text_tokens},
               {"context_tokens", run.context_tokens},
               {"windows", run.windows},
               {"text_windows", run.text_windows},
               {"scored_tokens", run.scored_tokens},
               {"forward_seconds", run.forward_seconds},
               {"compare_seconds", run.compare_seconds}};
  if (run.early_stop) {
    json["early_stop"] = {
        {"wanted", run.early_stop->wanted},
        {"reached",
         std::isfinite(run.early_stop->reached) ? Json(run.early_stop->reached) : Json(nullptr)},
        {"windows_spared", run.early_stop->windows_spared}};
  }
  if (story.reference) json["reference"] = of_facts(*story.reference);
  json["columns"] = {"tokens",
                     "loss",
                     "reference_loss",
                     "divergence",
                     "changed",
                     "top5_kept",
                     "top10_kept",
                     "reference_rank",
                     "entropy",
                     "entropy_reference",
                     "probability_change_squares"};
  json["candidates"] = Json::array();
  for (const CandidateStory& candidate : story.candidates) {
    json["candidates"].push_back(of_candidate(candidate));
  }
  return json;
}

}  // namespace checkbit
