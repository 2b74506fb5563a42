#include "cli/speed_measurement.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "base/progress.h"
#include "cli/read_bandwidth.h"
#include "run/generate.h"

namespace checkbit {
namespace {

constexpr int kPairs = 24;
constexpr int kPeakTries = 8;
constexpr std::int64_t kPeakRounds = 1 << 17;  // some milliseconds
/// Bytes read on either side of a pair, about: long enough that caches hold little of the other
/// side, short enough that the speed of memory stays the same.
constexpr std::int64_t kPairBytes = std::int64_t{512} << 20;

/// Tokens that any vocabulary has.
std::vector<TokenId> some_tokens(const Session& session, std::int64_t count) {
  const std::int64_t vocabulary = session.model().hyperparameters().vocabulary;
  std::vector<TokenId> tokens;
  for (std::int64_t i = 0; i < count; ++i)
    tokens.push_back(static_cast<TokenId>((i * 7919 + 13) % vocabulary));
  return tokens;
}

/// Puts `depth` tokens into the context, unless they are there.
Status fill_context(Session& session, std::int64_t depth) {
  if (session.cache().length() < depth) {
    session.cache().truncate(0);
    CB_TRY_STATUS(session.evaluate(some_tokens(session, depth), Logits::none, {}));
  }
  session.cache().truncate(depth);
  return {};
}

/// Evaluates one token and generates until `evaluations` tokens have been evaluated.
Result<Generation> generate_from(Session& session, std::int64_t depth, std::int64_t evaluations) {
  CB_TRY_STATUS(fill_context(session, depth));
  GenerateOptions options;
  options.max_tokens = evaluations;
  options.ignore_end = true;
  options.sampler.temperature = 0;
  return generate(session, some_tokens(session, 1), options);
}

Status ignore_row(std::size_t, std::span<const float>) { return {}; }

}  // namespace

std::int64_t context_tokens(const SpeedPlan& plan) {
  return plan.depth_tokens + std::max(plan.prompt_tokens, plan.generated_tokens + 1);
}

Result<Speeds> measure_speeds(Session& session, const SpeedPlan& plan) {
  Speeds speeds;
  const std::vector<TokenId> prompt = some_tokens(session, plan.prompt_tokens);
  GenerateOptions only_prompt;
  only_prompt.max_tokens = 0;
  Progress progress("benchmark", static_cast<std::uint64_t>(plan.runs + 1), "runs");
  for (std::int64_t i = 0; i <= plan.runs; ++i) {
    double prompt_seconds = 0;
    if (!prompt.empty()) {
      CB_TRY_STATUS(fill_context(session, plan.depth_tokens));
      CB_TRY(const Generation read, generate(session, prompt, only_prompt));
      prompt_seconds = read.prompt_seconds;
    }
    CB_TRY(const Generation written,
           generate_from(session, plan.depth_tokens, plan.generated_tokens + 1));
    if (cancel_requested()) return cancelled_error();
    progress.advance();
    if (i == 0) continue;
    if (!prompt.empty())
      speeds.prompt.push_back(static_cast<double>(prompt.size()) / prompt_seconds);
    speeds.generation.push_back(static_cast<double>(plan.generated_tokens) /
                                written.generation_seconds);
  }
  return speeds;
}

Result<std::vector<double>> measure_sequences(Session& session, std::int64_t sequences,
                                              const SpeedPlan& plan) {
  std::vector<KvCache> caches;
  for (std::int64_t i = 0; i < sequences; ++i) {
    CB_TRY(KvCache cache, KvCache::create(session.model().hyperparameters(),
                                          plan.generated_tokens + 1, session.cache().type()));
    caches.push_back(std::move(cache));
  }
  const std::vector<TokenId> first = some_tokens(session, sequences);
  std::vector<double> speeds;
  Progress progress("sequences", static_cast<std::uint64_t>(plan.runs + 1), "runs");
  for (std::int64_t run = 0; run <= plan.runs; ++run) {
    std::vector<BatchToken> batch;
    for (std::size_t i = 0; i < caches.size(); ++i) {
      caches[i].truncate(0);
      batch.push_back({&caches[i], first[i], true});
    }
    CB_TRY_STATUS(session.executor().evaluate(batch));
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t t = 0; t < plan.generated_tokens; ++t) {
      CB_TRY_STATUS(session.executor().evaluate(batch));
      if (cancel_requested()) return cancelled_error();
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    progress.advance();
    if (run > 0) speeds.push_back(static_cast<double>(sequences * plan.generated_tokens) / seconds);
  }
  return speeds;
}

Result<Profiles> measure_profiles(Session& session, const SpeedPlan& plan) {
  Profiles profiles{StepProfiler(session.model()), StepProfiler(session.model())};
  if (plan.prompt_tokens > 0) {
    CB_TRY_STATUS(fill_context(session, plan.depth_tokens));
    const Observing observing(session.executor(), &profiles.prompt);
    CB_TRY_STATUS(
        session.evaluate(some_tokens(session, plan.prompt_tokens), Logits::last, ignore_row));
  }
  CB_TRY_STATUS(fill_context(session, plan.depth_tokens));
  const Observing observing(session.executor(), &profiles.generation);
  for (std::int64_t i = 0; i < plan.generated_tokens; ++i)
    CB_TRY_STATUS(session.evaluate(some_tokens(session, 1), Logits::last, ignore_row));
  return profiles;
}

std::int64_t bytes_per_token(const Session& session, std::int64_t depth_tokens) {
  const Model& model = session.model();
  auto bytes = static_cast<std::int64_t>(model.packed_bytes());
  const PackedMatrix* embedding = model.matrix(Role::token_embedding);
  if (embedding != nullptr && embedding != model.matrix(Role::output))
    bytes -= static_cast<std::int64_t>(embedding->packed_bytes());
  if (depth_tokens > 0)
    bytes += KvCache::bytes_read(model.hyperparameters(), depth_tokens - 1, session.cache_type());
  return bytes;
}

std::int64_t products_per_token(const Model& model) {
  std::int64_t products = 0;
  for (int r = 0; r < kRoleCount; ++r) {
    const Role role = static_cast<Role>(r);
    const std::int64_t layers = role_info(role).per_layer() ? model.hyperparameters().layers : 1;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const PackedMatrix* matrix = model.matrix(role, layer);
      // The embedding is looked up, and multiplied with only under the role of the output.
      if (matrix != nullptr && role != Role::token_embedding)
        products += matrix->rows() * matrix->columns();
    }
  }
  return products;
}

double measure_integer_peak(Session& session) {
  const Kernels& kernels = kernels_for(session.isa());
  double best = 0;
  for (int i = 0; i < kPeakTries; ++i) {
    std::atomic<std::int64_t> products{0};
    const auto start = std::chrono::steady_clock::now();
    session.pool().run([&](int, int) {
      std::int32_t sum = 0;
      products += kernels.dot_products(kPeakRounds, &sum);
    });
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(products.load()) / seconds);
  }
  return best;
}

Result<ReadShares> measure_read_shares(Session& session, std::int64_t depth_tokens) {
  const std::int64_t bytes = std::max<std::int64_t>(1, bytes_per_token(session, depth_tokens));
  const std::int64_t room = session.context_tokens() - depth_tokens - 1;
  const std::int64_t tokens =
      std::clamp<std::int64_t>(kPairBytes / bytes, 1, std::clamp<std::int64_t>(room, 1, 16));
  CB_TRY(ReadBuffer buffer, ReadBuffer::create(bytes, session.pool()));
  ReadShares shares;
  Progress progress("bandwidth", kPairs + 1, "pairs");
  for (int pair = 0; pair <= kPairs; ++pair) {
    CB_TRY(const Generation written, generate_from(session, depth_tokens, tokens + 1));
    if (cancel_requested()) return cancelled_error();
    const double reading = buffer.read(static_cast<int>(tokens));
    progress.advance();
    if (pair == 0) continue;  // the first finds cold caches
    shares.bandwidth.push_back(static_cast<double>(buffer.size_bytes() * tokens) / reading);
    shares.share.push_back(reading / written.generation_seconds);
  }
  return shares;
}

}  // namespace checkbit
