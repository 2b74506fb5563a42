#include "measure/sweep/run_sweep.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>

#include "base/progress.h"

namespace checkbit {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Removes a candidate's file at the end, unless it is to be kept.
class FileGuard {
 public:
  FileGuard(std::string path, bool keep) : path_(std::move(path)), keep_(keep) {}
  FileGuard(const FileGuard&) = delete;
  FileGuard& operator=(const FileGuard&) = delete;
  ~FileGuard() {
    std::error_code ignored;
    if (!keep_) std::filesystem::remove(path_, ignored);
  }

 private:
  std::string path_;
  bool keep_;
};

/// Its own fault: the sweep goes on with the next one.
bool is_of_candidate(const Error& error) {
  if (cancel_requested()) return false;
  return error.kind == ErrorKind::unsupported || error.kind == ErrorKind::invalid ||
         error.kind == ErrorKind::not_found || error.kind == ErrorKind::budget;
}

double text_bytes_of_window(const SweepText& text, std::size_t window, std::size_t context) {
  double bytes = 0;
  for (std::size_t t = context / 2 + 1; t < context; ++t)
    bytes += text.token_bytes[window * context + t];
  return bytes;
}

class Sweep {
 public:
  Sweep(SweepStore& store, const SweepModel& model, LogitsSource& reference,
        std::span<const SweepCandidate> candidates, std::span<const SweepText> texts,
        const SweepWorkshop& workshop, const SweepOptions& options)
      : store_(store),
        model_(model),
        reference_(reference),
        candidates_(candidates),
        texts_(texts),
        workshop_(workshop),
        options_(options),
        start_(Clock::now()) {}

  Result<SweepOutcome> run() {
    while (true) {
      if (cancel_requested()) return cancelled_error();
      CB_TRY(std::vector<SweepWork> work, work_left());
      if (work.empty()) return outcome_;
      CB_TRY(const auto costs, store_.costs(model_.hash));
      const auto [fit, seconds] = expect(work, costs);
      if (fit == 0 && costs.has_value()) {
        outcome_.left = work.size();
        outcome_.seconds_left = seconds_of_all(work, *costs);
        return outcome_;
      }
      if (options_.news) {
        const std::size_t number = outcome_.done + 1;
        options_.news({.candidate = candidates_[work.front().candidate].name,
                       .number = number,
                       .of = outcome_.done + work.size(),
                       .seconds_left = seconds,
                       .that_fit = fit});
      }
      CB_TRY_STATUS(do_work(work.front()));
    }
  }

 private:
  SweepSubject subject_of(const SweepPiece& piece) const {
    return {.model = model_,
            .text_name = text_of(piece).name,
            .text_hash = piece.text_hash,
            .context_tokens = options_.context_tokens};
  }

  const SweepText& text_of(const SweepPiece& piece) const {
    return *std::ranges::find(texts_, piece.text_hash, &SweepText::hash);
  }

  /// What nobody has finished and, as far as this run has seen, nobody is doing.
  Result<std::vector<SweepWork>> work_left() {
    CB_TRY(const std::vector<StoredModel> models, store_.read());
    const auto known = std::ranges::find_if(models, [&](const StoredModel& stored) {
      return stored.model.hash == model_.hash && stored.context_tokens == options_.context_tokens;
    });
    std::vector<SweepWork> work =
        plan_work(known == models.end() ? nullptr : &*known, candidates_, texts_, options_);
    const std::size_t all = work.size();
    std::erase_if(work, [&](const SweepWork& w) {
      return elsewhere_.contains({w.candidate, w.pieces.front().first});
    });
    outcome_.elsewhere = all - work.size();
    return work;
  }

  static double seconds_of(const SweepWork& work, const PieceCosts& costs) {
    return costs.make_seconds + costs.window_seconds * static_cast<double>(work.windows());
  }

  static double seconds_of_all(const std::vector<SweepWork>& work, const PieceCosts& costs) {
    double seconds = 0;
    for (const SweepWork& w : work) seconds += seconds_of(w, costs);
    return seconds;
  }

  /// How many of the next pieces fit into the budget, and the seconds they are expected to take.
  std::pair<std::size_t, double> expect(const std::vector<SweepWork>& work,
                                        const std::optional<PieceCosts>& costs) const {
    if (!costs.has_value()) return {0, 0};
    const double left = options_.budget_seconds > 0
                            ? options_.budget_seconds - seconds_since(start_)
                            : std::numeric_limits<double>::infinity();
    std::size_t fit = 0;
    double seconds = 0;
    for (const SweepWork& w : work) {
      if (seconds + seconds_of(w, *costs) > left) break;
      seconds += seconds_of(w, *costs);
      ++fit;
    }
    return {fit, seconds};
  }

  Status do_work(SweepWork work) {
    const SweepCandidate& candidate = candidates_[work.candidate];
    const std::size_t first = work.pieces.front().first;
    std::vector<SweepPiece> claimed;
    for (const SweepPiece& piece : work.pieces) {
      CB_TRY(const bool mine, store_.claim(subject_of(piece), candidate, piece));
      if (mine) claimed.push_back(piece);
    }
    if (claimed.size() < work.pieces.size()) elsewhere_.insert({work.candidate, first});
    work.pieces = std::move(claimed);
    if (work.pieces.empty()) return {};
    const Status status = measure(candidate, work.pieces);
    if (status.ok()) {
      ++outcome_.done;
      return {};
    }
    for (const SweepPiece& piece : work.pieces) {
      // What stops the sweep is the first error; a claim that stays ends with this process.
      static_cast<void>(store_.give_up(subject_of(piece), candidate, piece));
    }
    return status;
  }

  Status measure(const SweepCandidate& candidate, const std::vector<SweepPiece>& pieces) {
    const std::string path = path_of(candidate);
    const FileGuard guard(path, options_.keep);
    const Clock::time_point start = Clock::now();
    PieceResult result;
    auto made = workshop_.make(candidate, path);
    if (!made.ok() && is_of_candidate(made.error()))
      return finish_broken(candidate, pieces, result, made.error().message);
    CB_TRY(result.file, std::move(made));
    result.make_seconds = seconds_since(start);
    CB_TRY(const auto open, workshop_.open(path));
    if (!candidate.emulated) {
      CB_TRY(result.speed, open->measure_speed());
    }
    for (const SweepPiece& piece : pieces) {
      CB_TRY_STATUS(measure_piece(open->source(), piece, result));
      if (!result.broken.empty()) return finish_broken(candidate, pieces, result, result.broken);
      CB_TRY_STATUS(store_.finish(subject_of(piece), candidate, piece, result));
    }
    return {};
  }

  /// Of this process alone, unless the file is to be kept: other runs may be at the same candidate.
  std::string path_of(const SweepCandidate& candidate) const {
    std::string name = candidate.name;
    std::ranges::replace(name, ':', '-');
    if (!options_.keep) name += fmt::format("-{}", ::getpid());
    return fmt::format("{}/{}-{}.gguf", options_.folder, model_.name, name);
  }

  Status finish_broken(const SweepCandidate& candidate, const std::vector<SweepPiece>& pieces,
                       PieceResult result, const std::string& why) {
    result.broken = why;
    result.windows.clear();
    for (const SweepPiece& piece : pieces)
      CB_TRY_STATUS(store_.finish(subject_of(piece), candidate, piece, result));
    return {};
  }

  /// Windows of a piece, or why the candidate is broken.
  Status measure_piece(LogitsSource& source, const SweepPiece& piece, PieceResult& result) {
    const Clock::time_point start = Clock::now();
    result.windows.clear();
    // Beyond so many windows a comparison no longer keeps each by itself.
    for (std::size_t at = 0; at < piece.count && result.broken.empty();
         at += Aggregate::kMostBlocks) {
      CB_TRY_STATUS(measure_windows(source, text_of(piece), piece.first + at,
                                    std::min(piece.count - at, Aggregate::kMostBlocks), result));
    }
    result.window_seconds = seconds_since(start) / static_cast<double>(piece.count);
    return {};
  }

  Status measure_windows(LogitsSource& source, const SweepText& text, std::size_t first,
                         std::size_t count, PieceResult& result) {
    const std::size_t context = options_.context_tokens;
    CompareOptions compare;
    compare.context_tokens = context;
    compare.beginning = options_.beginning;
    compare.bootstrap.resamples = 1;  // the intervals come from the stored windows
    const auto tokens =
        std::span<const TokenId>(text.tokens).subspan(first * context, count * context);
    LogitsSource* const candidates[] = {&source};
    CB_TRY(const ComparisonResult compared,
           compare_models(candidates, &reference_, tokens, compare));
    const CandidateResult& found = compared.candidates.front();
    if (found.broken.has_value()) {
      result.broken = *found.broken;
      return {};
    }
    CB_CHECK(found.windows_per_block == 1 && found.blocks.blocks() == count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::span<const double> sums = found.blocks.block(i);
      result.windows.push_back({{.tokens = sums[kTokens],
                                 .loss = sums[kLoss],
                                 .reference_loss = sums[kReferenceLoss],
                                 .divergence = sums[kDivergence],
                                 .changed = sums[kChanged]},
                                text_bytes_of_window(text, first + i, context)});
    }
    return {};
  }

  SweepStore& store_;
  const SweepModel& model_;
  LogitsSource& reference_;
  std::span<const SweepCandidate> candidates_;
  std::span<const SweepText> texts_;
  const SweepWorkshop& workshop_;
  const SweepOptions& options_;
  Clock::time_point start_;
  std::set<std::pair<std::size_t, std::size_t>> elsewhere_;  ///< candidate and first window
  SweepOutcome outcome_;
};

}  // namespace

Result<SweepOutcome> run_sweep(SweepStore& store, const SweepModel& model, LogitsSource& reference,
                               std::span<const SweepCandidate> candidates,
                               std::span<const SweepText> texts, const SweepWorkshop& workshop,
                               const SweepOptions& options) {
  for (const SweepText& text : texts) {
    CB_CHECK(text.token_bytes.size() == text.tokens.size());
    if (text.tokens.size() >= options.context_tokens) continue;
    return fail(ErrorKind::budget,
                "{}: the text has {} tokens, at least {} are needed for one window: give a longer "
                "text or --context {}",
                text.name, text.tokens.size(), options.context_tokens, text.tokens.size());
  }
  return Sweep(store, model, reference, candidates, texts, workshop, options).run();
}

}  // namespace checkbit
