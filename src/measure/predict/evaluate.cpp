#include "measure/predict/evaluate.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/progress.h"
#include "base/random.h"
#include "measure/predict/veracity.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

enum Part : std::uint8_t { kFit, kCalibrate, kHeld };

/// The part of each window.
std::vector<Part> deal_windows(std::size_t windows, std::uint64_t seed) {
  std::vector<std::size_t> order(windows);
  for (std::size_t i = 0; i < windows; ++i) order[i] = i;
  Random random(seed);
  for (std::size_t i = windows; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  std::vector<Part> parts(windows);
  for (std::size_t i = 0; i < windows; ++i)
    parts[order[i]] = 5 * i < 2 * windows ? kFit : 5 * i < 3 * windows ? kCalibrate : kHeld;
  return parts;
}

/// Items of one kind with their outcomes: all tokens, or all windows.
struct Items {
  std::vector<std::uint8_t> failed;
  std::vector<std::uint32_t> windows;
  std::vector<std::size_t> of_part[3];
};

Items token_items(const TokenTable& table, std::span<const Part> parts, Failure failure) {
  Items items;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const TokenRow& row = table.rows[r];
    items.failed.push_back(has_failed(row, failure) ? 1 : 0);
    items.windows.push_back(row.window);
    items.of_part[parts[row.window]].push_back(r);
  }
  return items;
}

template <class T>
std::vector<T> chosen(const std::vector<T>& values, std::span<const std::size_t> rows) {
  std::vector<T> result;
  result.reserve(rows.size());
  for (const std::size_t r : rows) result.push_back(values[r]);
  return result;
}

/// Scores to probabilities of the held-out items, fitted on items that have a score but were not
/// used to fit it.
std::vector<double> calibrated(const std::vector<double>& scores, const Items& items,
                               bool by_tokens) {
  std::vector<double> probabilities;
  if (by_tokens) {
    const IsotonicFit fit = IsotonicFit::fit(chosen(scores, items.of_part[kCalibrate]),
                                             chosen(items.failed, items.of_part[kCalibrate]));
    for (const std::size_t r : items.of_part[kHeld]) probabilities.push_back(fit(scores[r]));
    return probabilities;
  }
  Design design(1);
  std::vector<double> failed;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    design.add(std::span(&scores[i], 1));
    failed.push_back(items.failed[i]);
  }
  std::vector<std::size_t> rows = items.of_part[kFit];
  rows.insert(rows.end(), items.of_part[kCalibrate].begin(), items.of_part[kCalibrate].end());
  const LinearFit fit = LinearFit::logistic(design, failed, {rows, {}});
  for (const std::size_t r : items.of_part[kHeld])
    probabilities.push_back(logistic_function(fit(design.row(r))));
  return probabilities;
}

class TargetEvaluation {
 public:
  TargetEvaluation(TargetResult& result, const Items& items, bool by_tokens)
      : result_(result), items_(items), by_tokens_(by_tokens) {
    failed_ = chosen(items.failed, items.of_part[kHeld]);
    if (by_tokens) windows_ = chosen(items.windows, items.of_part[kHeld]);
    result.items = failed_.size();
    result.failures = static_cast<std::size_t>(std::ranges::count(failed_, 1));
  }

  Status add(const Predictor& predictor, const std::vector<double>& scores) {
    const Outcomes outcomes{failed_, windows_};
    const std::vector<double> held = chosen(scores, items_.of_part[kHeld]);
    const auto area = auc(held, outcomes);
    if (!area && !by_tokens_) return {};  // few windows: the target stays without predictors
    if (!area) {
      return fail(ErrorKind::budget,
                  "{} of {} held-out {} fail: there is nothing to tell apart; a longer text or "
                  "more windows give more",
                  result_.failures, result_.items, result_.unit);
    }
    if (baseline_.empty()) baseline_ = held;
    PredictorResult entry{.predictor = &predictor, .auc = *area};
    if (!result_.predictors.empty()) entry.gain = auc_difference(held, baseline_, outcomes);
    const std::vector<double> probabilities = calibrated(scores, items_, by_tokens_);
    entry.calibration = calibration_error(probabilities, outcomes);
    entry.bins = calibration_bins(probabilities, failed_);
    result_.predictors.push_back(std::move(entry));
    return {};
  }

 private:
  TargetResult& result_;
  const Items& items_;
  bool by_tokens_;
  std::vector<std::uint8_t> failed_;
  std::vector<std::uint32_t> windows_;
  std::vector<double> baseline_;
};

std::vector<WindowResult> window_results(const TokenTable& table, std::span<const Part> parts) {
  std::vector<WindowResult> windows(table.windows);
  std::vector<double> tokens(table.windows, 0);
  for (const TokenRow& row : table.rows) {
    WindowResult& window = windows[row.window];
    tokens[row.window] += 1;
    window.growth += static_cast<double>(row.loss) - static_cast<double>(row.reference_loss);
    window.divergence += static_cast<double>(row.divergence);
    window.changed += row.changed ? 1 : 0;
  }
  for (std::size_t w = 0; w < windows.size(); ++w) {
    windows[w].window = static_cast<std::uint32_t>(w);
    windows[w].held = parts[w] == kHeld;
    windows[w].growth /= tokens[w];
    windows[w].divergence /= tokens[w];
    windows[w].changed /= tokens[w];
  }
  return windows;
}

std::vector<double> mean_by_window(const TokenTable& table, const std::vector<double>& scores) {
  std::vector<double> sums(table.windows, 0);
  std::vector<double> tokens(table.windows, 0);
  for (std::size_t r = 0; r < scores.size(); ++r) {
    sums[table.rows[r].window] += scores[r];
    tokens[table.rows[r].window] += 1;
  }
  for (std::size_t w = 0; w < sums.size(); ++w) sums[w] /= tokens[w];
  return sums;
}

/// Where the worst tenth of the windows that are not held out begins.
double worst_tenth(std::span<const WindowResult> windows) {
  std::vector<double> growths;
  for (const WindowResult& window : windows)
    if (!window.held) growths.push_back(window.growth);
  std::ranges::sort(growths);
  const auto at = static_cast<std::size_t>((1 - kWorstShare) * static_cast<double>(growths.size()));
  return growths[std::min(at, growths.size() - 1)];
}

/// Correlations of sizes with outcomes, over windows and over tokens, windows redrawn.
class CorrelationTables {
 public:
  explicit CorrelationTables(const TokenTable& table, std::span<const WindowResult> windows)
      : table_(table), windows_(windows) {}

  template <class Size>
  LayerCorrelation measure(Size&& size) const {
    BlockTable by_window(kSums);
    BlockTable by_token(kSums);
    Sums tokens{};
    double mean = 0;
    for (std::size_t r = 0; r < table_.rows.size(); ++r) {
      const TokenRow& row = table_.rows[r];
      const double x = size(r);
      add(tokens, x, std::log(static_cast<double>(row.divergence) + 1e-6));
      mean += x;
      if (r + 1 < table_.rows.size() && table_.rows[r + 1].window == row.window) continue;
      by_token.add(tokens);
      Sums window{};
      add(window, mean / tokens[0], windows_[row.window].growth);
      by_window.add(window);
      tokens = {};
      mean = 0;
    }
    const BootstrapOptions options{.resamples = 1000};
    return {bootstrap_interval(by_window, correlation_of, options),
            bootstrap_interval(by_token, correlation_of, options)};
  }

 private:
  static constexpr std::size_t kSums = 6;
  using Sums = std::array<double, kSums>;  ///< count, x, y, xx, yy, xy
  static void add(Sums& sums, double x, double y) {
    const double values[kSums] = {1, x, y, x * x, y * y, x * y};
    for (std::size_t i = 0; i < kSums; ++i) sums[i] += values[i];
  }
  static double correlation_of(std::span<const double> s) {
    const double xx = s[3] - s[1] * s[1] / s[0];
    const double yy = s[4] - s[2] * s[2] / s[0];
    const double xy = s[5] - s[1] * s[2] / s[0];
    return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
  }
  const TokenTable& table_;
  std::span<const WindowResult> windows_;
};

void correlate_layers(const TokenTable& table, std::span<const WindowResult> windows,
                      PredictionResult& result) {
  const CorrelationTables tables(table, windows);
  for (std::size_t layer = 0; layer < table.layers; ++layer) {
    result.layers.push_back(tables.measure(
        [&](std::size_t r) { return static_cast<double>(table.residual(r)[layer]); }));
  }
  result.late = tables.measure([&](std::size_t r) { return late_residual(table, r); });
}

/// Windows, likeliest to break first, with the probability that `combined` gives them.
void rank_windows(const std::vector<double>& scores, const Items& items,
                  std::vector<WindowResult>& windows) {
  Design design(1);
  std::vector<double> failed;
  std::vector<std::size_t> rows;
  for (std::size_t w = 0; w < windows.size(); ++w) {
    design.add(std::span(&scores[w], 1));
    failed.push_back(items.failed[w]);
    if (!windows[w].held) rows.push_back(w);
  }
  const LinearFit fit = LinearFit::logistic(design, failed, {rows, {}});
  for (std::size_t w = 0; w < windows.size(); ++w)
    windows[w].probability = logistic_function(fit(design.row(w)));
  std::ranges::stable_sort(windows, [](const WindowResult& a, const WindowResult& b) {
    return a.probability > b.probability;
  });
}

SubgroupSearch search_subgroups(const TokenTable& table, const Items& items) {
  std::vector<std::size_t> train = items.of_part[kFit];
  train.insert(train.end(), items.of_part[kCalibrate].begin(), items.of_part[kCalibrate].end());
  return find_subgroups(token_attributes(table, train), items.failed, items.windows, train,
                        items.of_part[kHeld]);
}

double loss_error_share(const TokenTable& table, std::span<const std::size_t> rows) {
  Design features(2);
  std::vector<double> losses;
  for (const TokenRow& row : table.rows) {
    features.add(std::vector<double>{static_cast<double>(row.reference_loss),
                                     static_cast<double>(row.entropy)});
    losses.push_back(static_cast<double>(row.loss));
  }
  return error_share(features.quadratic(), losses, rows);
}

}  // namespace

Result<PredictionResult> evaluate_predictors(const TokenTable& table, std::uint64_t seed) {
  if (table.windows < kLeastWindows) {
    return fail(ErrorKind::budget,
                "{} windows are too few to fit on some and test on others, {} are needed: give a "
                "longer text or a smaller --context",
                table.windows, kLeastWindows);
  }
  PredictionResult result;
  const std::vector<Part> parts = deal_windows(table.windows, seed);
  for (const Part part : parts) result.windows[part] += 1;
  std::vector<WindowResult> windows = window_results(table, parts);
  result.worst_growth = worst_tenth(windows);

  Items by_window;
  for (std::size_t w = 0; w < table.windows; ++w) {
    by_window.failed.push_back(windows[w].growth >= result.worst_growth ? 1 : 0);
    by_window.windows.push_back(static_cast<std::uint32_t>(w));
    by_window.of_part[parts[w]].push_back(w);
  }
  const Items by_token[] = {token_items(table, parts, Failure::changed),
                            token_items(table, parts, Failure::wrong)};
  result.targets = {{.name = "changed", .title = "the choice changes", .unit = "tokens"},
                    {.name = "wrong", .title = "the choice is wrong", .unit = "tokens"},
                    {.name = "worse", .title = "the window is among the worst", .unit = "windows"}};
  TargetEvaluation evaluations[] = {{result.targets[0], by_token[0], true},
                                    {result.targets[1], by_token[1], true},
                                    {result.targets[2], by_window, false}};
  Progress progress("predicting", all_predictors().size(), "predictors");
  for (const Predictor* predictor : all_predictors()) {
    if (cancel_requested()) return cancelled_error();
    for (const Failure failure : kFailures) {
      const auto f = static_cast<std::size_t>(failure);
      const std::vector<double> scores =
          predictor->score(table, by_token[f].of_part[kFit], failure);
      CB_TRY_STATUS(evaluations[f].add(*predictor, scores));
      if (failure != Failure::changed) continue;
      const std::vector<double> means = mean_by_window(table, scores);
      CB_TRY_STATUS(evaluations[2].add(*predictor, means));
      if (predictor->name == "combined") {
        result.ranked = windows;
        rank_windows(means, by_window, result.ranked);
      }
    }
    progress.advance();
  }
  correlate_layers(table, windows, result);
  result.subgroups = search_subgroups(table, by_token[0]);
  result.error_share = loss_error_share(table, by_token[0].of_part[kHeld]);
  return result;
}

std::vector<Record> to_records(const PredictionResult& result, const std::string& command) {
  std::vector<Record> records;
  const auto add = [&](std::string name, const Estimate& estimate, std::string unit = "") {
    records.push_back(record_of(std::move(name), std::move(unit), estimate, command));
  };
  for (const TargetResult& target : result.targets) {
    for (const PredictorResult& entry : target.predictors) {
      const std::string tail = fmt::format("{}_{}", target.name, entry.predictor->name);
      if (target.name == "changed" && entry.predictor->name == "combined") add("auc", entry.auc);
      add("auc_" + tail, entry.auc);
      if (entry.gain) add("auc_gain_" + tail, *entry.gain);
      add("calibration_error_" + tail, entry.calibration, "share");
    }
  }
  add("residual_correlation_windows", result.late.windows);
  add("residual_correlation_tokens", result.late.tokens);
  add("worst_tenth_growth", {result.worst_growth, {}}, "nats");
  add("loss_error_share", {result.error_share, {}}, "share");
  add("subgroups_proven", {static_cast<double>(result.subgroups.proven.size()), {}});
  return records;
}

}  // namespace checkbit
