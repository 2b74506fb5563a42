#include "measure/numerics/float_engine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "arch/step_profiler.h"
#include "base/progress.h"
#include "base/random.h"
#include "score/divergence.h"

namespace checkbit {

std::string operation_name(const Step& step) {
  const bool by_role = step.kind == StepKind::linear || step.kind == StepKind::rms_norm ||
                       step.kind == StepKind::head_norm;
  return std::string(by_role ? role_info(step.weight).name : kind_name(step.kind));
}

std::vector<std::string> operations_of(const Model& model) {
  std::vector<std::string> names;
  const Architecture& architecture = model.architecture();
  for (const auto& steps : {architecture.prologue, architecture.layer, architecture.epilogue}) {
    for (const Step& step : steps) {
      const bool absent =
          (step.kind == StepKind::softcap && model.hyperparameters().final_softcap == 0) ||
          (step.kind == StepKind::scale && model.hyperparameters().embedding_scale == 1);
      const std::string name = operation_name(step);
      if (!absent && std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

void Emulation::after(const StepView& view) {
  const auto found = formats_.find(operation_name(view.step));
  if (found == formats_.end() && !usual_) return;
  const FloatFormat& format = found == formats_.end() ? *usual_ : found->second;
  for (std::int64_t t = 0; t < view.n_tokens; ++t)
    round_to(format, {view.out + t * view.out_stride, static_cast<std::size_t>(view.out_size)});
}

Result<FloatEngine> FloatEngine::open(const Session& like, std::int64_t context) {
  SessionOptions options = like.options();
  options.activations = ActivationMode::f32;
  options.cache_type = CacheType::f32;
  options.context_tokens = context;
  options.max_logits = SessionOptions().max_logits;
  CB_TRY(Session session, Session::open(like.file().path(), options));
  return FloatEngine(std::move(session));
}

Status FloatEngine::read(std::span<const TokenId> tokens, StepObserver* observer,
                         const Session::RowCallback& row) {
  session_.cache().truncate(0);
  const Observing observing(session_.executor(), observer);
  return session_.evaluate(tokens, Logits::all, row);
}

TokenId sample_token(std::span<const float> logits, double draw) {
  const RowSummary summary = summarize_row(logits);
  CB_CHECK(summary.finite);
  const double norm = summary.max + summary.log_sum;
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    sum += std::exp(static_cast<double>(logits[i]) - norm);
    if (sum > draw) return static_cast<TokenId>(i);
  }
  return static_cast<TokenId>(summary.top);  // the sum fell short of 1 by rounding
}

Result<std::vector<TokenSequence>> FloatEngine::sample(std::size_t count, std::size_t length,
                                                       std::uint64_t seed, StepObserver* observer) {
  CB_CHECK(count > 0 && length > 0 &&
           static_cast<std::int64_t>(count) <= session_.executor().max_logits());
  const Tokenizer& tokenizer = session_.tokenizer();
  std::vector<KvCache> caches;
  std::vector<TokenSequence> sequences(count);
  std::vector<Random> randoms;
  for (std::size_t s = 0; s < count; ++s) {
    CB_TRY(KvCache cache, KvCache::create(model().hyperparameters(),
                                          static_cast<std::int64_t>(length), CacheType::f32));
    caches.push_back(std::move(cache));
    randoms.emplace_back(seed, s);
    const auto any = static_cast<TokenId>(randoms[s].below(tokenizer.size()));
    sequences[s].push_back(tokenizer.bos().value_or(any));
  }
  const Observing observing(session_.executor(), observer);
  Progress progress("sampling text", count * length, "tokens");
  std::vector<BatchToken> batch(count);
  for (std::size_t at = 1; at < length; ++at) {
    if (cancel_requested()) return cancelled_error();
    for (std::size_t s = 0; s < count; ++s) batch[s] = {&caches[s], sequences[s].back(), true};
    CB_TRY(const LogitsView logits, session_.executor().evaluate(batch));
    for (std::size_t s = 0; s < count; ++s) {
      const auto row = logits.row(static_cast<std::int64_t>(s)).first(tokenizer.size());
      if (!summarize_row(row).finite) {
        return fail(ErrorKind::corrupt, "{}: logits are not finite: the model is damaged",
                    session_.file().path());
      }
      sequences[s].push_back(sample_token(row, randoms[s].uniform()));
    }
    progress.advance(count);
  }
  return sequences;
}

Result<KeptLogits> KeptLogits::read(FloatEngine& engine, std::vector<TokenSequence> sequences) {
  KeptLogits kept;
  for (const TokenSequence& tokens : sequences) {
    CB_TRY_STATUS(
        engine.read(tokens, nullptr, [&](std::size_t, std::span<const float> row) -> Status {
          if (!summarize_row(row).finite) {
            return fail(ErrorKind::corrupt, "{}: logits are not finite: the model is damaged",
                        engine.session().file().path());
          }
          kept.rows_.emplace_back(row.begin(), row.end());
          return {};
        }));
  }
  kept.sequences_ = std::move(sequences);
  return kept;
}

Result<double> KeptLogits::divergence(FloatEngine& engine, StepObserver* observer) const {
  double sum = 0;
  std::size_t next = 0;
  for (const TokenSequence& tokens : sequences_) {
    CB_TRY_STATUS(
        engine.read(tokens, observer, [&](std::size_t, std::span<const float> row) -> Status {
          const RowComparison pair = compare_rows(rows_[next++], row);
          sum += pair.model.finite ? pair.kl_divergence : std::numeric_limits<double>::infinity();
          return {};
        }));
  }
  return sum / static_cast<double>(next);
}

}  // namespace checkbit
