#include "measure/sweep/points.h"
#include "score/estimate_record.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace checkbit {
namespace {

enum SumColumn : std::size_t {
  kSumTokens,
  kSumLoss,
  kSumReferenceLoss,
  kSumDivergence,
  kSumChanged,
  kSumTextBytes,
  kSumColumns
};

/// Many points are made of one store: fewer redraws than for a single measurement.
constexpr BootstrapOptions kBootstrap = {.confidence = 0.95, .resamples = 2000, .seed = 1};

BlockTable table_of(const StoredCandidate& stored) {
  BlockTable table(kSumColumns);
  for (const auto& [place, window] : stored.windows) {
    const WindowScore& s = window.score;
    const double row[kSumColumns] = {s.tokens,     s.loss,    s.reference_loss,
                                     s.divergence, s.changed, window.text_bytes};
    table.add(row);
  }
  return table;
}

/// [tokens, damage of a less that of b] of each window that both have; empty without any.
std::optional<BlockTable> paired_table(const StoredCandidate& a, const StoredCandidate& b) {
  BlockTable table(2);
  for (const auto& [place, window] : a.windows) {
    const auto other = b.windows.find(place);
    if (other == b.windows.end()) continue;
    const double row[2] = {window.score.tokens,
                           window.score.divergence - other->second.score.divergence};
    table.add(row);
  }
  return table.blocks() == 0 ? std::nullopt : std::optional(std::move(table));
}

double mean_of(std::span<const double> sums) { return sums[1] / sums[0]; }

Statistic ratio_of(SumColumn above, SumColumn below) {
  return [above, below](std::span<const double> sums) { return sums[above] / sums[below]; };
}

bool measured(const StoredCandidate& stored) {
  return stored.broken.empty() && !stored.windows.empty();
}

std::optional<double> cost_of(const StoredCandidate& stored, FrontCost cost) {
  if (!measured(stored)) return std::nullopt;
  if (cost == FrontCost::bytes) return static_cast<double>(stored.file.file_bytes);
  if (stored.candidate.emulated || !stored.speed.has_value()) return std::nullopt;
  return stored.speed->median;
}

/// Whether a damages more than b beyond doubt.
bool told_apart(const StoredCandidate& a, const StoredCandidate& b) {
  const std::optional<Estimate> difference = damage_difference(a, b);
  return difference.has_value() && difference->interval.has_value() &&
         difference->interval->low > 0;
}

FrontPlace place_of(const StoredModel& model, std::size_t index, FrontCost cost) {
  const StoredCandidate& own = model.candidates[index];
  const std::optional<double> own_cost = cost_of(own, cost);
  if (!own_cost.has_value()) return FrontPlace::behind;
  FrontPlace place = FrontPlace::on;
  for (const StoredCandidate& other : model.candidates) {
    const std::optional<double> other_cost = cost_of(other, cost);
    if (&other == &own || !other_cost.has_value() || *other_cost > *own_cost) continue;
    const std::optional<BlockTable> pairs = paired_table(own, other);
    if (!pairs.has_value()) continue;
    const double lost = mean_of(pairs->totals());
    // Of two that are the same in both, the first stays.
    if (lost < 0 || (lost == 0 && *other_cost == *own_cost && &other > &own)) continue;
    if (told_apart(own, other)) return FrontPlace::behind;
    place = FrontPlace::near;
  }
  return place;
}

}  // namespace

StoredModel restricted_to(const StoredModel& model, const std::vector<std::string>& texts) {
  StoredModel rest = model;
  const auto unwanted = [&](const std::string& hash) {
    return std::ranges::find(texts, hash) == texts.end();
  };
  std::erase_if(rest.texts, [&](const auto& text) { return unwanted(text.first); });
  for (StoredCandidate& stored : rest.candidates)
    std::erase_if(stored.windows, [&](const auto& window) { return unwanted(window.first.first); });
  std::erase_if(rest.candidates, [](const StoredCandidate& stored) {
    return stored.windows.empty() && stored.broken.empty();
  });
  return rest;
}

std::vector<StoredModel> under_conditions(const std::vector<StoredModel>& models,
                                          const SweepConditions& conditions) {
  std::vector<StoredModel> chosen;
  for (const StoredModel& model : models) {
    if (model.context_tokens != conditions.context_tokens) continue;
    StoredModel rest = restricted_to(model, conditions.texts);
    if (!rest.texts.empty()) chosen.push_back(std::move(rest));
  }
  return chosen;
}

SweepConditions widest_conditions(const std::vector<StoredModel>& models) {
  struct Width {
    std::size_t models = 0;
    std::size_t windows = 0;
    auto operator<=>(const Width&) const = default;
  };
  std::map<std::pair<std::size_t, std::string>, Width> widths;
  for (const StoredModel& model : models) {
    for (const auto& [hash, name] : model.texts) ++widths[{model.context_tokens, hash}].models;
    for (const StoredCandidate& stored : model.candidates)
      for (const auto& [place, window] : stored.windows)
        ++widths[{model.context_tokens, place.first}].windows;
  }
  const auto widest =
      std::ranges::max_element(widths, {}, [](const auto& entry) { return entry.second; });
  if (widest == widths.end()) return {};
  return {widest->first.first, {widest->first.second}};
}

std::vector<SweepPoint> points_of(const StoredModel& model) {
  std::vector<SweepPoint> points;
  for (const StoredCandidate& stored : model.candidates) {
    if (!measured(stored)) continue;
    const BlockTable table = table_of(stored);
    const auto estimate = [&](const Statistic& statistic) {
      return bootstrap_interval(table, statistic, kBootstrap);
    };
    SweepPoint point{.candidate = stored.candidate, .file = stored.file};
    point.damage = estimate(ratio_of(kSumDivergence, kSumTokens));
    point.perplexity_ratio = estimate([](std::span<const double> sums) {
      return std::exp((sums[kSumLoss] - sums[kSumReferenceLoss]) / sums[kSumTokens]);
    });
    point.top1_changed = estimate(ratio_of(kSumChanged, kSumTokens));
    point.loss_per_byte = estimate(ratio_of(kSumLoss, kSumTextBytes));
    point.reference_loss_per_byte = estimate(ratio_of(kSumReferenceLoss, kSumTextBytes));
    if (stored.speed.has_value()) {
      point.seconds_per_token =
          Estimate{stored.speed->median, Interval{stored.speed->low, stored.speed->high}};
    }
    point.windows = table.blocks();
    points.push_back(std::move(point));
  }
  return points;
}

std::optional<Estimate> damage_difference(const StoredCandidate& a, const StoredCandidate& b) {
  const std::optional<BlockTable> pairs = paired_table(a, b);
  if (!pairs.has_value()) return std::nullopt;
  return bootstrap_interval(*pairs, mean_of, kBootstrap);
}

std::vector<FrontPlace> front_of(const StoredModel& model, FrontCost cost) {
  std::vector<FrontPlace> places;
  for (std::size_t i = 0; i < model.candidates.size(); ++i)
    places.push_back(place_of(model, i, cost));
  return places;
}

std::optional<BestUnder> best_under(const StoredModel& model, std::uint64_t file_bytes) {
  std::optional<BestUnder> best;
  const auto fits = [&](const StoredCandidate& stored) {
    return measured(stored) && !stored.candidate.emulated && stored.file.file_bytes <= file_bytes;
  };
  for (std::size_t i = 0; i < model.candidates.size(); ++i) {
    const StoredCandidate& stored = model.candidates[i];
    if (!fits(stored)) continue;
    const auto pairs =
        best.has_value() ? paired_table(stored, model.candidates[best->best]) : std::nullopt;
    if (!best.has_value() || (pairs.has_value() && mean_of(pairs->totals()) < 0))
      best = BestUnder{i, {}};
  }
  if (!best.has_value()) return best;
  for (std::size_t i = 0; i < model.candidates.size(); ++i) {
    const StoredCandidate& stored = model.candidates[i];
    if (i == best->best || !fits(stored)) continue;
    if (!told_apart(stored, model.candidates[best->best])) best->rivals.push_back(i);
  }
  return best;
}

std::vector<Record> to_records(const SweepPoint& point, const std::string& command) {
  std::vector<Record> records;
  const auto add = [&](const char* name, const char* unit, const Estimate& estimate) {
    records.push_back(record_of(name, unit, estimate, command));
  };
  const auto plain = [](double value) { return Estimate{value, std::nullopt}; };
  add("file_bytes", "bytes", plain(static_cast<double>(point.file.file_bytes)));
  add("bits_per_weight", "bits", plain(point.file.bits_per_weight));
  add("kl_divergence_mean", "nats", point.damage);
  add("perplexity_ratio", "", point.perplexity_ratio);
  add("top1_changed", "share", point.top1_changed);
  add("loss_per_byte", "nats", point.loss_per_byte);
  if (point.seconds_per_token.has_value())
    add("generation_seconds_per_token", "seconds", *point.seconds_per_token);
  add("windows", "", plain(static_cast<double>(point.windows)));
  return records;
}

}  // namespace checkbit
