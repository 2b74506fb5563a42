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
      const std::vector<SweepWork> batch = next_batch(work, fit, costs.has_value());
      if (options_.news) {
        const std::size_t number = outcome_.done + 1;
        std::string names = candidates_[batch.front().candidate].name;
        if (batch.size() > 1) names += fmt::format(" and {} more", batch.size() - 1);
        options_.news({.candidate = names,
                       .number = number,
                       .of = outcome_.done + work.size(),
                       .seconds_left = seconds,
                       .that_fit = fit});
      }
      CB_TRY_STATUS(do_work(batch));
    }
  }

 private:
  /// A candidate whose pieces are claimed; claims go as they are finished.
  struct Begun {
    const SweepCandidate* candidate = nullptr;
    std::vector<SweepPiece> claims;
    std::unique_ptr<FileGuard> guard;     ///< outlives the open file
    std::unique_ptr<OpenCandidate> open;  ///< null: not made, or broken
    PieceResult result;
  };

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

  /// The next pieces of work that read the same windows, at most `together` and what fits.
  std::vector<SweepWork> next_batch(const std::vector<SweepWork>& work, std::size_t fit,
                                    bool costs_known) const {
    std::size_t most = std::max<std::size_t>(options_.together, 1);
    if (options_.budget_seconds > 0) most = costs_known ? std::min(most, fit) : 1;
    std::vector<SweepWork> batch;
    for (const SweepWork& w : work) {
      if (batch.size() == most || w.pieces != work.front().pieces) break;
      batch.push_back(w);
    }
    return batch;
  }

  Status do_work(std::span<const SweepWork> works) {
    std::vector<Begun> batch;
    for (const SweepWork& work : works) {
      const SweepCandidate& candidate = candidates_[work.candidate];
      Begun begun{.candidate = &candidate};
      for (const SweepPiece& piece : work.pieces) {
        CB_TRY(const bool mine, store_.claim(subject_of(piece), candidate, piece));
        if (mine) begun.claims.push_back(piece);
      }
      if (begun.claims.size() < work.pieces.size())
        elsewhere_.insert({work.candidate, work.pieces.front().first});
      if (!begun.claims.empty()) batch.push_back(std::move(begun));
    }
    Status status = begin(batch);
    const Status measured = measure(batch, works.front().pieces);
    if (!measured.ok() && (status.ok() || cancel_requested())) status = measured;
    for (const Begun& begun : batch) {
      if (begun.claims.empty()) ++outcome_.done;
      for (const SweepPiece& piece : begun.claims) {
        // What stops the sweep is the first error; a claim that stays ends with this process.
        static_cast<void>(store_.give_up(subject_of(piece), *begun.candidate, piece));
      }
    }
    return status;
  }

  /// Makes and opens files. An error that is not a candidate's own stops here, and what was made is
  /// still measured.
  Status begin(std::span<Begun> batch) {
    for (Begun& begun : batch) {
      const SweepCandidate& candidate = *begun.candidate;
      const std::string path = path_of(candidate);
      begun.guard = std::make_unique<FileGuard>(path, options_.keep);
      const Clock::time_point start = Clock::now();
      auto made = workshop_.make(candidate, path);
      if (!made.ok() && is_of_candidate(made.error())) {
        CB_TRY_STATUS(finish_broken(begun, made.error().message));
        continue;
      }
      CB_TRY(begun.result.file, std::move(made));
      begun.result.make_seconds = seconds_since(start);
      CB_TRY(begun.open, workshop_.open(path));
      if (!candidate.emulated) {
        CB_TRY(begun.result.speed, begun.open->measure_speed());
      }
    }
    return {};
  }

  /// Every piece by all that have it, in lockstep: the reference is read once for them.
  Status measure(std::span<Begun> batch, const std::vector<SweepPiece>& pieces) {
    for (const SweepPiece& piece : pieces) {
      std::vector<Begun*> measured;
      for (Begun& begun : batch) {
        if (begun.open != nullptr && std::ranges::find(begun.claims, piece) != begun.claims.end())
          measured.push_back(&begun);
      }
      if (measured.empty()) continue;
      CB_TRY_STATUS(measure_piece(measured, piece));
      for (Begun* begun : measured) {
        if (!begun->result.broken.empty()) {
          CB_TRY_STATUS(finish_broken(*begun, begun->result.broken));
          continue;
        }
        CB_TRY_STATUS(store_.finish(subject_of(piece), *begun->candidate, piece, begun->result));
        std::erase(begun->claims, piece);
      }
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

  Status finish_broken(Begun& begun, const std::string& why) {
    begun.result.broken = why;
    begun.result.windows.clear();
    begun.open = nullptr;
    while (!begun.claims.empty()) {
      const SweepPiece& piece = begun.claims.back();
      CB_TRY_STATUS(store_.finish(subject_of(piece), *begun.candidate, piece, begun.result));
      begun.claims.pop_back();
    }
    return {};
  }

  /// Windows of a piece, or why a candidate is broken.
  Status measure_piece(std::span<Begun* const> batch, const SweepPiece& piece) {
    const Clock::time_point start = Clock::now();
    for (Begun* begun : batch) begun->result.windows.clear();
    // Beyond so many windows a comparison no longer keeps each by itself.
    for (std::size_t at = 0; at < piece.count; at += Aggregate::kMostBlocks) {
      CB_TRY_STATUS(measure_windows(batch, text_of(piece), piece.first + at,
                                    std::min(piece.count - at, Aggregate::kMostBlocks)));
    }
    const double seconds =
        seconds_since(start) / static_cast<double>(piece.count) / static_cast<double>(batch.size());
    for (Begun* begun : batch) begun->result.window_seconds = seconds;
    return {};
  }

  Status measure_windows(std::span<Begun* const> batch, const SweepText& text, std::size_t first,
                         std::size_t count) {
    std::vector<Begun*> healthy;
    std::vector<LogitsSource*> sources;
    for (Begun* begun : batch) {
      if (!begun->result.broken.empty()) continue;
      healthy.push_back(begun);
      sources.push_back(&begun->open->source());
    }
    if (healthy.empty()) return {};
    const std::size_t context = options_.context_tokens;
    CompareOptions compare;
    compare.context_tokens = context;
    compare.beginning = options_.beginning;
    compare.bootstrap.resamples = 1;  // the intervals come from the stored windows
    const auto tokens =
        std::span<const TokenId>(text.tokens).subspan(first * context, count * context);
    CB_TRY(const ComparisonResult compared, compare_models(sources, &reference_, tokens, compare));
    for (std::size_t i = 0; i < healthy.size(); ++i) {
      const CandidateResult& found = compared.candidates[i];
      PieceResult& result = healthy[i]->result;
      if (found.broken.has_value()) {
        result.broken = *found.broken;
        continue;
      }
      CB_CHECK(found.windows_per_block == 1 && found.blocks.blocks() == count);
      for (std::size_t w = 0; w < count; ++w) {
        const std::span<const double> sums = found.blocks.block(w);
        result.windows.push_back({{.tokens = sums[kTokens],
                                   .loss = sums[kLoss],
                                   .reference_loss = sums[kReferenceLoss],
                                   .divergence = sums[kDivergence],
                                   .changed = sums[kChanged]},
                                  text_bytes_of_window(text, first + w, context)});
      }
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
