#include "guard/campaign.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>
#include <thread>

#include "base/progress.h"
#include "score/confidence_sequence.h"
#include "score/statistics.h"

namespace checkbit {
namespace {

constexpr std::size_t kFirstRound = 8;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// One cell while it is worked on. Trials may come in any order; only those from 0 on without a gap
/// decide when to stop, so that the number of workers does not.
class Cell {
 public:
  Cell(FaultSpec spec, std::map<std::uint64_t, TrialResult> known, const CampaignOptions& options)
      : spec_(std::move(spec)), results_(std::move(known)), options_(options) {
    look();
  }

  bool closed() const { return closed_; }
  const FaultSpec& spec() const { return spec_; }
  const std::map<std::uint64_t, TrialResult>& results() const { return results_; }
  std::size_t trials() const { return prefix_; }

  /// A trial to make, below `limit`.
  std::optional<std::uint64_t> take(std::size_t limit) {
    if (closed_) return std::nullopt;
    while (next_ < limit && results_.contains(next_)) ++next_;
    return next_ < limit ? std::optional(next_++) : std::nullopt;
  }

  void add(std::uint64_t number, const TrialResult& result) {
    results_[number] = result;
    look();
  }

 private:
  void look() {
    while (!closed_) {
      const auto found = results_.find(prefix_);
      if (found == results_.end()) return;
      ++prefix_;
      divergence_.add(found->second.divergence);
      closed_ = prefix_ >= options_.most_trials || precise();
    }
  }
  bool precise() const {
    if (prefix_ < options_.least_trials) return false;
    const std::optional<double> half = divergence_.half_width();
    return half && *half <= std::max(options_.floor, options_.precision * divergence_.mean());
  }

  FaultSpec spec_;
  std::map<std::uint64_t, TrialResult> results_;
  CampaignOptions options_;
  ConfidenceSequence divergence_;
  std::uint64_t prefix_ = 0;
  std::uint64_t next_ = 0;
  bool closed_ = false;
};

/// What all workers share: which trial is next, what has been found.
class Board {
 public:
  Board(std::vector<Cell> cells, const CampaignOptions& options)
      : cells_(std::move(cells)),
        options_(options),
        limit_(std::min(kFirstRound, options.most_trials)),
        deadline_(options.budget_seconds > 0 ? seconds_now() + options.budget_seconds : 0),
        progress_("damaging", options.most_trials * cells_.size(), "trials",
                  {.initial = trials_known()}) {
    progress_.set(trials_known());
  }

  struct Task {
    std::size_t cell;
    std::uint64_t number;
    const FaultSpec* spec;
  };

  /// None: nothing is left to begin.
  std::optional<Task> take() {
    const std::scoped_lock lock(mutex_);
    if (error_ || cancel_requested() || (deadline_ > 0 && seconds_now() > deadline_))
      return std::nullopt;
    while (true) {
      for (std::size_t i = 0; i < cells_.size(); ++i) {
        if (const auto number = cells_[i].take(limit_)) return Task{i, *number, &cells_[i].spec()};
      }
      if (limit_ >= options_.most_trials) return std::nullopt;
      limit_ = std::min(2 * limit_, options_.most_trials);
    }
  }

  /// `store` keeps it first.
  template <class Keep>
  void finish(const Task& task, const Result<TrialResult>& result, const Keep& keep) {
    const std::scoped_lock lock(mutex_);
    const Status kept = result ? keep(task, *result) : Status(result.error());
    if (!kept) {
      if (!error_) error_ = kept.error();
      return;
    }
    cells_[task.cell].add(task.number, *result);
    progress_.set(trials_known());
  }

  const std::optional<Error>& error() const { return error_; }
  const std::vector<Cell>& cells() const { return cells_; }

 private:
  /// Cells that stopped early count as whole.
  std::uint64_t trials_known() const {
    std::uint64_t known = 0;
    for (const Cell& cell : cells_)
      known += cell.closed() ? options_.most_trials : cell.results().size();
    return known;
  }

  std::mutex mutex_;
  std::vector<Cell> cells_;
  CampaignOptions options_;
  std::size_t limit_;
  double deadline_;
  Progress progress_;
  std::optional<Error> error_;
};

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace

Status Campaign::open_workers(std::size_t count, const WorkerFactory& factory) {
  CB_CHECK(count > 0 && workers_.empty());
  for (std::size_t i = 0; i < count; ++i) {
    auto worker = factory(i == 0 ? nullptr : workers_[0].get());
    if (!worker) {
      if (i > 0 && worker.error().kind == ErrorKind::memory) return {};
      return worker.error();
    }
    workers_.push_back(*std::move(worker));
  }
  return {};
}

Result<std::vector<CellSummary>> Campaign::run(const std::vector<FaultSpec>& specs) {
  CB_TRY(StoredTrials known, store_.read(setting_));
  std::vector<Cell> cells;
  for (const FaultSpec& spec : specs)
    cells.emplace_back(spec, std::move(known.trials[to_string(spec)]), options_);
  Board board(std::move(cells), options_);
  const auto keep = [&](const Board::Task& task, const TrialResult& result) {
    return store_.add(setting_, to_string(*task.spec), task.number, result);
  };
  const auto work = [&](DamagedSession& worker) {
    while (const auto task = board.take())
      board.finish(*task, worker.trial(*task->spec, task->number), keep);
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < workers_.size(); ++i)
    threads.emplace_back([&, i] { work(*workers_[i]); });
  work(*workers_[0]);
  for (std::thread& thread : threads) thread.join();
  if (board.error()) return *board.error();
  if (cancel_requested()) return cancelled_error();
  std::vector<CellSummary> summaries;
  for (const Cell& cell : board.cells())
    summaries.push_back(summarize_cell(cell.spec(), cell.results(), options_));
  return summaries;
}

Result<SurvivedRate> Campaign::survived(const FaultSpec& base, double lowest, double highest) {
  const std::vector<double> rates = rate_grid(lowest, highest, 4);
  CB_TRY(StoredTrials known, store_.read(setting_));
  std::vector<std::uint64_t> next(rates.size());
  Progress progress("searching the rate survived", 0, "trials");
  const auto flip = [&](std::size_t i) -> Result<bool> {
    if (cancel_requested()) return cancelled_error();
    FaultSpec spec = base;
    spec.rate = rates[i];
    const std::string text = to_string(spec);
    const std::uint64_t number = next[i]++;
    progress.advance();
    const auto found = known.trials[text].find(number);
    if (found != known.trials[text].end()) return found->second.divergence > kBrokenDivergence;
    CB_TRY(const TrialResult result, workers_[0]->trial(spec, number));
    CB_TRY_STATUS(store_.add(setting_, text, number, result));
    return result.divergence > kBrokenDivergence;
  };
  const NoisySearchOptions options{.target = 0.5, .slack = 0.3, .failure = 0.05};
  CB_TRY(const NoisySearchResult search, noisy_search(rates.size(), flip, options));
  return SurvivedRate{.field = base.field.text,
                      .low = search.gap == 0 ? 0 : rates[search.gap - 1],
                      .high = search.gap == rates.size() ? 1 : rates[search.gap],
                      .trials = search.flips};
}

CellSummary summarize_cell(const FaultSpec& spec,
                           const std::map<std::uint64_t, TrialResult>& trials,
                           const CampaignOptions& options) {
  const Cell cell(spec, trials, options);
  CellSummary summary{.spec = spec, .trials = cell.trials()};
  if (summary.trials == 0) return summary;
  summary.precise = cell.closed() && summary.trials < options.most_trials;
  ConfidenceSequence divergence;
  ConfidenceSequence score;
  std::vector<double> divergences;
  Welford faults;
  Welford changed;
  for (std::uint64_t i = 0; i < summary.trials; ++i) {
    const TrialResult& trial = trials.at(i);
    summary.outcomes.add(trial.outcome);
    faults.add(static_cast<double>(trial.faults));
    changed.add(trial.changed);
    divergence.add(trial.divergence);
    divergences.push_back(trial.divergence);
    if (trial.score) score.add(*trial.score);
    summary.not_finite += trial.finite ? 0 : 1;
    summary.broken += trial.divergence > kBrokenDivergence ? 1 : 0;
    summary.alarms += trial.alarms;
    summary.checks += trial.checks;
    summary.skipped_checks += trial.skipped_checks ? 1 : 0;
  }
  summary.faults = faults.mean();
  summary.changed = changed.mean();
  summary.divergence = divergence.mean();
  summary.divergence_half_width = divergence.half_width();
  summary.divergence_median = median_of(std::move(divergences));
  if (score.count() > 0) {
    summary.score = score.mean();
    summary.score_half_width = score.half_width();
  }
  return summary;
}

std::vector<double> rate_grid(double lowest, double highest, int per_decade) {
  const int steps = static_cast<int>(std::lround(std::log10(highest / lowest) * per_decade));
  std::vector<double> rates;
  for (int i = 0; i <= steps; ++i) {
    // Through three digits, so that a rate reads the same from its text.
    rates.push_back(std::stod(
        fmt::format("{:.2e}", lowest * std::pow(10.0, static_cast<double>(i) / per_decade))));
  }
  return rates;
}

}  // namespace checkbit
