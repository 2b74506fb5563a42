// The bit error rate that a model survives: bits of its weights are flipped at random, and a noisy
// binary search finds where it is as likely to break as not.
//
// What: rates stand on a grid of four to a factor of ten. One trial flips bits of a temporary copy
//   of the file, opens it and reads a short text that the whole model wrote; it is broken when its
//   predictions diverge by more than kLimit nats a token, are not finite, or the file cannot be
//   opened any more. The outcome is noisy: which bits are hit decides. noisy_search.h spends trials
//   where they tell most. Norm weights and scales are hit as all other bits.
// Reference: "Sharp Noisy Binary Search with Monotonic Probabilities".

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/progress.h"
#include "measure/numerics/damaged_copy.h"
#include "measure/numerics/float_engine.h"
#include "measure/probes/probe.h"
#include "report/number.h"
#include "score/divergence.h"
#include "score/noisy_search.h"

namespace checkbit {
namespace {

constexpr double kLimit = 0.1;  // nats a token
constexpr std::size_t kUsualTokens = 32;
constexpr double kLowest = 1e-9;
constexpr int kOfDecade = 4;
constexpr int kDecades = 7;  // up to 1e-2
constexpr std::size_t kRates = kOfDecade * kDecades + 1;
constexpr double kWorst = 50;  // nats: stands for logits that are not finite

double rate_of(std::size_t index) {
  return kLowest * std::pow(10.0, static_cast<double>(index) / kOfDecade);
}

/// One damaged model after another, read over the same text.
class Trials {
 public:
  Trials(DamagedCopy copy, const SessionOptions& options, TokenSequence text,
         std::vector<std::vector<float>> rows, std::uint64_t seed)
      : copy_(std::move(copy)),
        options_(options),
        text_(std::move(text)),
        rows_(std::move(rows)),
        seed_(seed) {}

  /// Mean divergence at this rate, kWorst when there are no finite predictions.
  Result<double> damage(double rate) {
    if (cancel_requested()) return cancelled_error();
    CB_TRY(const std::uint64_t flips, copy_.flip(rate, seed_, ++trial_));
    flips_ += flips;
    Result<double> divergence = flips == 0 ? Result<double>(0.0) : read();
    CB_TRY_STATUS(copy_.restore());
    return divergence;
  }

 private:
  Result<double> read() {
    auto session = Session::open(copy_.path(), options_);
    if (!session) {  // scales that are not finite are refused by name
      const ErrorKind kind = session.error().kind;
      if (kind == ErrorKind::corrupt || kind == ErrorKind::unsupported) return kWorst;
      return session.error();
    }
    double sum = 0;
    const Status status = session->evaluate(
        text_, Logits::all, [&](std::size_t i, std::span<const float> row) -> Status {
          const RowComparison pair = compare_rows(rows_[i], row);
          const bool usable = pair.model.finite && std::isfinite(pair.kl_divergence);
          sum += usable ? std::min(pair.kl_divergence, kWorst) : kWorst;
          return {};
        });
    if (!status) return status.error();
    return sum / static_cast<double>(text_.size());
  }

  DamagedCopy copy_;
  SessionOptions options_;
  TokenSequence text_;
  std::vector<std::vector<float>> rows_;
  std::uint64_t seed_;
  std::uint64_t trial_ = 0;
  std::uint64_t flips_ = 0;
};

/// The undamaged model with the damaged ones' options: same arithmetic, nothing packed.
Result<Trials> prepare(Session& session, std::size_t tokens, std::uint64_t seed) {
  CB_TRY(FloatEngine writer, FloatEngine::open(session, static_cast<std::int64_t>(tokens)));
  CB_TRY(auto text, writer.sample(1, tokens, seed, nullptr));
  SessionOptions options = session.options();
  options.context_tokens = static_cast<std::int64_t>(tokens);
  options.max_logits = SessionOptions().max_logits;
  options.repack = false;
  CB_TRY(Session whole, Session::open(session.file().path(), options));
  std::vector<std::vector<float>> rows;
  CB_TRY_STATUS(
      whole.evaluate(text[0], Logits::all, [&](std::size_t, std::span<const float> row) -> Status {
        rows.emplace_back(row.begin(), row.end());
        return {};
      }));
  CB_TRY(DamagedCopy copy, DamagedCopy::create(session.file()));
  return Trials(std::move(copy), options, std::move(text[0]), std::move(rows), seed);
}

std::string print_rate(double rate) { return fmt::format("{:.2g}", rate); }

Table tally_table(const NoisySearchResult& found) {
  Table table{.caption = fmt::format("Trials at each bit error rate, {} in all; broken: more than "
                                     "{} nats a token",
                                     found.flips, kLimit),
              .columns = {"bit error rate", "trials", "broken"},
              .rows = {}};
  for (std::size_t i = 0; i < found.tallies.size(); ++i) {
    const CoinTally& tally = found.tallies[i];
    if (tally.flips == 0) continue;
    table.rows.push_back(
        {print_rate(rate_of(i)), std::to_string(tally.flips), std::to_string(tally.heads)});
  }
  return table;
}

Result<ProbeResult> run(const ProbeContext& context) {
  Session* session = context.subject.session();
  CB_CHECK(session != nullptr);
  CB_TRY(Trials trials,
         prepare(*session, context.limit > 0 ? context.limit : kUsualTokens, context.seed));
  const NoisySearchOptions options{.target = 0.5, .slack = 0.3, .failure = 0.05};
  Progress progress("flipping bits", 0, "trials");
  const auto flip = [&](std::size_t rate) -> Result<bool> {
    CB_TRY(const double divergence, trials.damage(rate_of(rate)));
    progress.advance();
    return divergence > kLimit;
  };
  CB_TRY(const NoisySearchResult found, noisy_search(kRates, flip, options));
  ProbeResult result;
  // Between the grid's neighbours; beyond its ends only a bound is known.
  const double low = found.gap == 0 ? 0 : rate_of(found.gap - 1);
  const double high = found.gap == kRates ? 1 : rate_of(found.gap);
  result.records.push_back({.name = "probe_bit_error_rate_survived",
                            .value = found.gap == 0        ? 0
                                     : found.gap == kRates ? low
                                                           : std::sqrt(low * high),
                            .unit = "",
                            .low = low,
                            .high = high});
  result.records.push_back({.name = "probe_bit_error_rate_trials",
                            .value = static_cast<double>(found.flips),
                            .unit = ""});
  result.blocks.emplace_back(tally_table(found));
  return result;
}

}  // namespace

extern const Probe bit_error_rate_probe;
const Probe bit_error_rate_probe = {
    .name = "bit_error_rate",
    .title = "Bit error rate",
    .papers = {123},
    .measures = "the rate of random bit flips in the weights at which the model breaks",
    .score = "none: a rate",
    .direction = Direction::neither,
    .run = run};

}  // namespace checkbit
