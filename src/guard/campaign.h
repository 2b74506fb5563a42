// A campaign: the same model damaged again and again, until it is known what faults do to it.
//
// What: a cell is one spec (a field and a bit error rate, say), tried with one trial number after
//   another. Cells go on in rounds, each round with twice the trials, so that a campaign that runs
//   out of time knows something of each. A cell stops when its mean divergence is known well
//   enough: the confidence sequence holds at every time, so stopping early costs nothing
//   (score/confidence_sequence.h).
// Survival: the bit error rate at which a model is as likely broken as not, by noisy search over a
// grid
//   of rates (score/noisy_search.h); a coin is one more trial of the cell of that rate.
// Reproducible: a trial depends on its spec and number alone; which worker makes it, or when,
// changes
//   nothing, and neither does stopping and going on. Only trials before the stop count.
// Errors: of the workers and the store; cancelled, with everything finished in the store.
// Threads: workers run on threads of their own, one model each; the store is used by one at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guard/campaign_store.h"
#include "score/noisy_search.h"

namespace checkbit {

struct CampaignOptions {
  std::size_t least_trials = 24;  ///< of a cell, before it may stop
  std::size_t most_trials = 200;
  double precision = 0.25;    ///< stop at this half width, as a share of the mean
  double floor = 0.002;       ///< or at this half width in nats
  double budget_seconds = 0;  ///< 0: none; begins nothing after it
};

/// What is known of a cell.
struct CellSummary {
  FaultSpec spec;
  std::size_t trials = 0;
  bool precise = false;  ///< stopped because it is known well enough
  OutcomeCounts outcomes;
  double faults = 0;  ///< mean
  std::size_t not_finite = 0;
  std::size_t broken = 0;  ///< more than kBrokenDivergence
  double divergence = 0;
  std::optional<double> divergence_half_width;
  double divergence_median = 0;
  double changed = 0;
  std::optional<double> score;
  std::optional<double> score_half_width;  ///< of the mean of scores, where there are enough
  std::uint64_t alarms = 0;
  std::uint64_t checks = 0;
  std::size_t skipped_checks = 0;  ///< trials with fewer checks than an unharmed reading
};

/// A model whose predictions diverge by more than this is called broken, in nats a token.
inline constexpr double kBrokenDivergence = 0.1;

/// Makes a worker; called once for each, `first` being null for the first.
using WorkerFactory =
    std::function<Result<std::unique_ptr<DamagedSession>>(const DamagedSession* first)>;

struct SurvivedRate {
  std::string field;
  double low = 0;  ///< the rate survived lies between these neighbours of the grid
  double high = 0;
  std::size_t trials = 0;
};

class Campaign {
 public:
  Campaign(CampaignStore& store, CampaignSetting setting, CampaignOptions options)
      : store_(store), setting_(std::move(setting)), options_(options) {}

  /// Opens so many models. Not all may fit: at least one does, or its error is returned.
  Status open_workers(std::size_t count, const WorkerFactory& factory);

  /// In the order of `specs`. With a budget, cells may have fewer trials than asked for, even none.
  Result<std::vector<CellSummary>> run(const std::vector<FaultSpec>& specs);

  /// Rates four to a factor of ten from `lowest` to `highest`.
  Result<SurvivedRate> survived(const FaultSpec& base, double lowest, double highest);

  std::size_t workers() const { return workers_.size(); }
  DamagedSession& worker(std::size_t i) { return *workers_[i]; }

 private:
  CampaignStore& store_;
  CampaignSetting setting_;
  CampaignOptions options_;
  std::vector<std::unique_ptr<DamagedSession>> workers_;
};

/// Of the trials 0 .. n - 1 that are there, n being the first number missing or the first at which
/// the options let a cell stop.
CellSummary summarize_cell(const FaultSpec& spec,
                           const std::map<std::uint64_t, TrialResult>& trials,
                           const CampaignOptions& options);

/// Rates `per_decade` to a factor of ten, ends included.
std::vector<double> rate_grid(double lowest, double highest, int per_decade);

}  // namespace checkbit
