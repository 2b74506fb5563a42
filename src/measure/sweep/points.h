// What a sweep found: one point per candidate, the fronts, and the best model under a size.
//
// What: damage is the mean Kullback-Leibler divergence from the model that the candidates are made
//   of. A point's figures use all of its windows; two points are compared on the windows that both
//   have, in pairs.
// Front: a candidate is on the front when no other one costs as little or less and damages less.
//   One that is not, but whose damage cannot be told apart from that of all which beat it, is
//   `near`.
// Threads: pure functions.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "measure/sweep/store.h"
#include "report/record.h"
#include "score/statistics.h"

namespace checkbit {

struct SweepPoint {
  SweepCandidate candidate;
  CandidateFile file;
  Estimate damage;  ///< nats per token
  Estimate perplexity_ratio;
  Estimate top1_changed;   ///< share of tokens
  Estimate loss_per_byte;  ///< nats per byte of text: comparable over tokenizers
  Estimate reference_loss_per_byte;
  std::optional<Estimate> seconds_per_token;
  std::size_t windows = 0;
};

/// Only the windows of these texts (hashes), and only candidates that have some or are broken.
StoredModel restricted_to(const StoredModel& model, const std::vector<std::string>& texts);

/// Where models can be compared: windows of one length on one text.
struct SweepConditions {
  std::size_t context_tokens = 0;
  std::vector<std::string> texts;  ///< hashes
};
/// The models that have windows under these conditions, restricted to them.
std::vector<StoredModel> under_conditions(const std::vector<StoredModel>& models,
                                          const SweepConditions& conditions);
/// One text and length of windows: those with most models, of these with most windows.
SweepConditions widest_conditions(const std::vector<StoredModel>& models);

/// Points of the candidates that could be measured.
std::vector<SweepPoint> points_of(const StoredModel& model);

/// Damage of a less that of b on the windows of both; none when they share none.
std::optional<Estimate> damage_difference(const StoredCandidate& a, const StoredCandidate& b);

enum class FrontPlace { on, near, behind };
enum class FrontCost { bytes, seconds };

/// One entry per candidate of the model; `behind` for those that were not measured, and by seconds
/// for emulated ones.
std::vector<FrontPlace> front_of(const StoredModel& model, FrontCost cost);

struct BestUnder {
  std::size_t best = 0;             ///< index of a candidate
  std::vector<std::size_t> rivals;  ///< cannot be told apart from it, by damage
};
/// Least damage among the measured candidates, emulated ones left out, of at most so many bytes.
std::optional<BestUnder> best_under(const StoredModel& model, std::uint64_t file_bytes);

/// Under their fixed names: file_bytes, bits_per_weight, kl_divergence_mean, perplexity_ratio,
/// top1_changed, loss_per_byte, generation_seconds_per_token, windows.
std::vector<Record> to_records(const SweepPoint& point, const std::string& command);

}  // namespace checkbit
