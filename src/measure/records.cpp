// The records of compare.h: fixed names, units, intervals.

#include <algorithm>

#include "measure/compare.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

/// A figure of a candidate that stands in its result as it is.
struct Field {
  const char* name;
  const char* unit;
  Estimate DivergenceResult::*estimate;
  double DivergenceResult::*plain;
};

constexpr Field kFields[] = {
    {"perplexity_reference", "", &DivergenceResult::perplexity_reference, nullptr},
    {"perplexity_ratio", "", &DivergenceResult::perplexity_ratio, nullptr},
    {"kl_divergence_mean", "nats", &DivergenceResult::mean, nullptr},
    {"kl_divergence_median", "nats", nullptr, &DivergenceResult::median},
    {"kl_divergence_p90", "nats", nullptr, &DivergenceResult::p90},
    {"kl_divergence_p99", "nats", nullptr, &DivergenceResult::p99},
    {"kl_divergence_p999", "nats", nullptr, &DivergenceResult::p999},
    {"kl_divergence_max", "nats", nullptr, &DivergenceResult::max},
    {"top1_changed", "share", &DivergenceResult::top1_changed, nullptr},
    {"top5_kept", "share", &DivergenceResult::top5_kept, nullptr},
    {"top10_kept", "share", &DivergenceResult::top10_kept, nullptr},
    {"reference_rank_mean", "", &DivergenceResult::rank_mean, nullptr},
    {"reference_rank_p99", "", nullptr, &DivergenceResult::rank_p99},
    {"reference_rank_max", "", nullptr, &DivergenceResult::rank_max},
    {"entropy_reference", "nats", &DivergenceResult::entropy_reference, nullptr},
    {"probability_change_rms", "share", &DivergenceResult::probability_change_rms, nullptr},
    {"windows_worse", "share", &DivergenceResult::windows_worse, nullptr},
    {"windows_worse_p_value", "", nullptr, &DivergenceResult::windows_worse_p_value}};

Estimate estimate_of(const Record& record) {
  Estimate estimate{record.value, std::nullopt};
  if (record.low.has_value() && record.high.has_value()) {
    estimate.interval = Interval{*record.low, *record.high};
  }
  return estimate;
}

}  // namespace

std::vector<Record> to_records(const CandidateResult& candidate, const std::string& command) {
  if (candidate.broken) return {};
  std::vector<Record> records = {record_of("perplexity", "", candidate.perplexity, command),
                                 record_of("entropy", "nats", candidate.entropy, command)};
  if (!candidate.divergence.has_value()) return records;
  const DivergenceResult& divergence = *candidate.divergence;
  for (const Field& field : kFields) {
    const Estimate estimate = field.estimate != nullptr
                                  ? divergence.*field.estimate
                                  : Estimate{divergence.*field.plain, std::nullopt};
    records.push_back(record_of(field.name, field.unit, estimate, command));
  }
  return records;
}

void from_records(std::span<const Record> records, CandidateResult& candidate) {
  for (const Record& record : records) {
    if (record.name == "perplexity") candidate.perplexity = estimate_of(record);
    if (record.name == "entropy") candidate.entropy = estimate_of(record);
    const auto* const field = std::ranges::find(kFields, record.name, &Field::name);
    if (field == std::end(kFields)) continue;
    if (!candidate.divergence) candidate.divergence.emplace();
    if (field->estimate != nullptr) {
      (*candidate.divergence).*(field->estimate) = estimate_of(record);
    } else {
      (*candidate.divergence).*(field->plain) = record.value;
    }
  }
}

std::vector<Record> run_records(const RunSummary& run, std::size_t models,
                                const std::string& command) {
  std::vector<Record> records;
  const auto add = [&](const char* name, const char* unit, double value) {
    records.push_back(record_of(name, unit, {value, std::nullopt}, command));
  };
  add("scored_tokens", "tokens", static_cast<double>(run.scored_tokens));
  add("windows", "", static_cast<double>(run.windows));
  if (run.early_stop) {
    add("windows_spared", "", static_cast<double>(run.early_stop->windows_spared));
  }
  const double seconds = run.forward_seconds + run.compare_seconds;
  const auto read = static_cast<double>(run.windows * run.context_tokens * models);
  add("forward_seconds", "s", run.forward_seconds);
  add("compare_seconds", "s", run.compare_seconds);
  add("measured_tokens_per_second", "tokens/s", seconds > 0 ? read / seconds : 0);
  return records;
}

}  // namespace checkbit
