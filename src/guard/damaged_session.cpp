#include "guard/damaged_session.h"

#include <algorithm>
#include <cmath>

#include "base/progress.h"
#include "score/divergence.h"

namespace checkbit {
namespace {

bool computes(const FaultSpec& spec) {
  return spec.place == FaultPlace::activations || spec.place == FaultPlace::accumulators;
}

/// What of a spec decides which bits can be hit.
std::string selection_of(const FaultSpec& spec) {
  return fmt::format("{} {} {} {}", to_string(spec.place), spec.field.text, spec.tensor,
                     spec.layer);
}

/// Compares logits row by row with the clean ones.
class RowTotals {
 public:
  explicit RowTotals(const CleanReading& clean) : clean_(clean) {}

  void add(std::size_t i, std::span<const float> row) {
    hash_.update(row);
    const auto reference = std::span(clean_.rows).subspan(i * row.size(), row.size());
    if (std::ranges::equal(reference, row)) return;
    const RowComparison pair = compare_rows(reference, row);
    const bool usable = pair.model.finite && std::isfinite(pair.kl_divergence);
    finite_ = finite_ && pair.model.finite;
    divergence_ += usable ? std::min(pair.kl_divergence, kWorstDivergence) : kWorstDivergence;
    changed_ += !usable || !pair.same_top();
  }

  void finish(TrialResult& result) const {
    const auto tokens = static_cast<double>(clean_.text.size());
    result.finite = finite_;
    result.divergence = divergence_ / tokens;
    result.changed = static_cast<double>(changed_) / tokens;
  }
  bool same() const { return hash_.hex() == clean_.hash; }

 private:
  const CleanReading& clean_;
  LogitsHash hash_;
  bool finite_ = true;
  double divergence_ = 0;
  std::size_t changed_ = 0;
};

/// Attached to the executor as long as it lives.
class Attached {
 public:
  Attached(Executor& executor, StepObserver* observer) : executor_(executor) {
    if (observer != nullptr) executor_.add_observer(observer);
  }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  ~Attached() { executor_.clear_observers(); }

 private:
  Executor& executor_;
};

}  // namespace

Result<std::unique_ptr<DamagedSession>> DamagedSession::create(
    Session session, std::vector<TokenId> text, SessionScorer scorer,
    std::shared_ptr<const CleanReading> clean) {
  CB_CHECK(!text.empty());
  std::unique_ptr<DamagedSession> made(new DamagedSession(std::move(session), std::move(scorer)));
  CB_TRY(made->weights_, MemoryRegions::of_weights(made->session_));
  made->clean_ = std::move(clean);
  if (made->clean_ == nullptr) {
    CB_TRY_STATUS(made->read_clean(std::move(text)));
  }
  return made;
}

Status DamagedSession::read(std::size_t begin, std::size_t end, const Session::RowCallback& row) {
  const auto text = std::span(clean_->text).subspan(begin, end - begin);
  if (text.empty()) return {};
  return session_.evaluate(text, Logits::all, [&](std::size_t i, std::span<const float> logits) {
    return row(begin + i, logits);
  });
}

Status DamagedSession::read_clean(std::vector<TokenId> text) {
  auto clean = std::make_shared<CleanReading>();
  clean->text = std::move(text);
  clean_ = clean;
  session_.cache().truncate(0);
  LogitsHash hash;
  const std::uint64_t before = counts().checks;
  CB_TRY_STATUS(read(0, clean->text.size(), [&](std::size_t, std::span<const float> row) -> Status {
    hash.update(row);
    clean->rows.insert(clean->rows.end(), row.begin(), row.end());
    return {};
  }));
  clean->checks = counts().checks - before;
  clean->hash = hash.hex();
  if (!std::ranges::all_of(clean->rows, [](float value) { return std::isfinite(value); })) {
    return fail(ErrorKind::corrupt, "{}: logits are not finite without any fault",
                session_.file().path());
  }
  session_.cache().truncate(0);
  if (scorer_) {
    CB_TRY(clean->score, scorer_(session_));
  }
  return {};
}

Status DamagedSession::record_computation(const FaultSpec& spec) {
  const std::string selection = selection_of(spec);
  if (recorded_of_ == selection) return {};
  computation_.start_recording(spec);
  const Attached attached(session_.executor(), &computation_);
  session_.cache().truncate(0);
  CB_TRY_STATUS(read(0, clean_->text.size(),
                     [](std::size_t, std::span<const float>) -> Status { return {}; }));
  recorded_of_ = selection;
  return {};
}

/// Everything that the guard has taken for wrong so far.
std::uint64_t DamagedSession::noticed() {
  const MemoryCounters& memory = session_.executor().memory_counters();
  std::uint64_t sum = counts().alarms + memory.kv_damaged + memory.steps_disagreed;
  if (session_.guard() != nullptr) sum += session_.guard()->counters().damaged_blocks;
  return sum;
}

/// The guard gave up on a product: nothing wrong reached the user, who was told.
bool DamagedSession::is_refusal(const Error& error) const {
  return session_.options().guard != GuardLevel::off && error.kind == ErrorKind::corrupt;
}

Status DamagedSession::inject(const FaultSpec& spec, std::uint64_t number, InjectedFaults& faults,
                              TrialResult& result) {
  std::optional<MemoryRegions> cache;
  if (spec.place == FaultPlace::kv) {
    cache = MemoryRegions::of_cache(session_);
    CB_TRY(space_, FaultSpace::select(cache->list(), spec));
    space_of_.clear();
  } else if (selection_of(spec) != space_of_) {
    CB_TRY(space_, FaultSpace::select(weights_->list(), spec));
    space_of_ = selection_of(spec);
  }
  const std::vector<BitPlace> places = space_->draw(spec, number);
  result.faults = places.size();
  faults.add(places, spec);
  return {};
}

Status DamagedSession::read_damaged(const FaultSpec& spec, std::uint64_t number,
                                    TrialResult& result) {
  const std::size_t end = clean_->text.size();
  const std::size_t at = computes(spec) ? 0 : std::min<std::size_t>(spec.token, end);
  RowTotals totals(*clean_);
  const auto row = [&](std::size_t i, std::span<const float> logits) -> Status {
    totals.add(i, logits);
    return {};
  };
  const std::uint64_t checks_before = counts().checks;
  const std::uint64_t noticed_before = noticed();
  InjectedFaults faults;  // undone when this ends
  session_.cache().truncate(0);
  CB_TRY_STATUS(read(0, at, row));
  if (computes(spec)) {
    CB_TRY(result.faults, computation_.draw(spec, number));
  } else {
    CB_TRY_STATUS(inject(spec, number, faults, result));
  }
  if (result.faults == 0) {  // nothing fell: the same as without, and need not be computed
    result.checks = clean_->checks;
    result.score = clean_->score;
    return {};
  }
  {
    const Attached attached(session_.executor(), computes(spec) ? &computation_ : nullptr);
    const Status status = read(at, end, row);
    if (!status && is_refusal(status.error())) {
      result.alarms = std::max<std::uint64_t>(noticed() - noticed_before, 1);
      result.outcome = Outcome::detected;
      return {};
    }
    CB_TRY_STATUS(status);
  }
  if (session_.guard() != nullptr) session_.guard()->scrub();
  result.alarms = noticed() - noticed_before;
  result.checks = counts().checks - checks_before;
  result.skipped_checks = result.checks < clean_->checks;
  if (scorer_ && spec.place == FaultPlace::memory) {
    session_.cache().truncate(0);
    CB_TRY(result.score, scorer_(session_));
  }
  totals.finish(result);
  result.outcome = classify(result.alarms > 0, totals.same());
  return {};
}

Result<TrialResult> DamagedSession::trial(const FaultSpec& spec, std::uint64_t number) {
  if (spec.place == FaultPlace::file || spec.place == FaultPlace::checks) {
    return fail(ErrorKind::invalid, "fault: in={} is not part of a running session",
                to_string(spec.place));
  }
  if (spec.token >= clean_->text.size()) {
    return fail(ErrorKind::invalid, "fault: token={} is behind the text of {} tokens", spec.token,
                clean_->text.size());
  }
  if (spec.place == FaultPlace::kv && spec.token == 0)
    return fail(ErrorKind::invalid,
                "fault: in=kv needs token=N: before the first token there is no cache");
  if (computes(spec)) {
    CB_TRY_STATUS(record_computation(spec));
  }
  TrialResult result;
  const Status status = read_damaged(spec, number, result);
  session_.cache().truncate(0);
  if (!status) return status.error();
  return result;
}

}  // namespace checkbit
