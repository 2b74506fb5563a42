// Flipped bits of keys and values, and steps that compute wrongly: found, and the logits are right.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>

#include "arch/executor.h"

namespace checkbit {
namespace {

std::string tiny(const std::string& name) {
  return std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + name + ".gguf";
}

/// A tiny model with one guarded executor.
struct Engine {
  std::optional<ModelFile> file;
  ThreadPool pool{2};
  std::optional<Model> model;
  std::optional<Executor> executor;

  explicit Engine(GuardLevel level, std::uint32_t every = 1,
                  const Kernels& kernels = kernels_for(Isa::scalar),
                  const std::string& name = "llama-llama3") {
    file.emplace(*ModelFile::open(tiny(name)));
    PackOptions options;
    options.checks = level >= GuardLevel::check;
    model.emplace(*Model::load(*file, options, pool));
    executor.emplace(*Executor::create(*model, kernels, pool, 16, 16, level));
    executor->set_guard_every(every);
  }
  KvCache cache(std::int64_t capacity = 64, CacheType type = CacheType::f16) const {
    return *KvCache::create(model->hyperparameters(), capacity, type);
  }
  /// Logits of the last token, or none with the error in `message`.
  std::vector<float> feed(KvCache& sequence, std::span<const std::int32_t> tokens) {
    std::vector<float> last;
    for (std::size_t at = 0; at < tokens.size();) {
      std::vector<BatchToken> batch;
      while (at < tokens.size() && std::ssize(batch) < executor->max_batch())
        batch.push_back({&sequence, tokens[at++], at == tokens.size()});
      auto logits = executor->evaluate(batch);
      if (!logits) {
        message = logits.error().message;
        return {};
      }
      if (logits->rows > 0) last.assign(logits->row(0).begin(), logits->row(0).end());
    }
    return last;
  }
  std::string message;
};

std::vector<std::int32_t> tokens_of(int count) {
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 37 + 11) % 200);
  return tokens;
}

std::vector<float> unharmed(int count, CacheType type = CacheType::f16) {
  Engine engine(GuardLevel::off);
  KvCache cache = engine.cache(64, type);
  return engine.feed(cache, tokens_of(count));
}

/// Byte `at` of the keys (or values) of a layer's last head.
std::uint8_t& byte_of(const KvCache& cache, bool keys, std::int64_t at) {
  const std::int64_t layer = cache.layers() - 1, head = cache.heads() - 1;
  return static_cast<std::uint8_t*>(keys ? cache.keys(layer, head) : cache.values(layer, head))[at];
}

TEST(KvGuard, AFlippedBitAnywhereIsComputedAgain) {
  constexpr int kTokens = 43;
  const auto tokens = tokens_of(kTokens);
  for (const CacheType type : kCacheTypes) {
    const std::vector<float> right = unharmed(kTokens, type);
    for (const bool keys : {true, false}) {
      for (const std::int64_t at : {0, 700, 1234}) {  // in a whole block, and in the last one
        Engine engine(GuardLevel::verify);
        KvCache cache = engine.cache(64, type);
        engine.feed(cache, std::span(tokens).first(kTokens - 1));
        byte_of(cache, keys, at) ^= 0x20;
        EXPECT_EQ(engine.feed(cache, std::span(tokens).last(1)), right)
            << to_string(type) << " " << keys << " " << at << " " << engine.message;
        EXPECT_EQ(engine.executor->memory_counters().kv_damaged, 1u);
        EXPECT_GT(engine.executor->memory_counters().kv_recomputed_tokens, 0u);
        EXPECT_EQ(cache.length(), kTokens);
      }
    }
  }
}

TEST(KvGuard, WithoutFaultsNothingIsComputedAgain) {
  constexpr int kTokens = 43;
  const auto tokens = tokens_of(kTokens);
  for (const GuardLevel level : {GuardLevel::verify, GuardLevel::check, GuardLevel::full}) {
    Engine engine(level, 0);
    KvCache cache = engine.cache();
    std::vector<float> last;
    for (const std::int32_t token : tokens) last = engine.feed(cache, {&token, 1});
    EXPECT_EQ(last, unharmed(kTokens));
    const MemoryCounters& counters = engine.executor->memory_counters();
    EXPECT_EQ(counters.kv_damaged, 0u);
    EXPECT_EQ(counters.steps_disagreed, 0u);
    EXPECT_GT(counters.kv_blocks_verified, 0u);
    if (level == GuardLevel::full) {
      EXPECT_EQ(counters.steps_twice, counters.steps);
    }
    if (level == GuardLevel::check) {
      EXPECT_GT(counters.steps_twice, counters.steps / 256);
      EXPECT_LT(counters.steps_twice, counters.steps / 16);
    }
    if (level == GuardLevel::verify) {
      EXPECT_EQ(counters.steps_twice, 0u);
    }
  }
}

TEST(KvGuard, EveryBlockIsVerifiedWithinSoManyTokens) {
  constexpr std::uint32_t kEvery = 8;
  Engine engine(GuardLevel::verify, kEvery);
  KvCache cache = engine.cache();
  const auto tokens = tokens_of(56);
  engine.feed(cache, std::span(tokens).first(40));
  byte_of(cache, true, 5) ^= 1;
  for (std::uint32_t i = 0; i < kEvery + 1; ++i)
    engine.feed(cache, std::span(tokens).subspan(40 + i, 1));
  EXPECT_EQ(engine.executor->memory_counters().kv_damaged, 1u);
}

TEST(KvGuard, ForksInheritChecksAndFindTheirOwnDamage) {
  const auto tokens = tokens_of(44);
  const std::vector<float> right = unharmed(44);
  Engine engine(GuardLevel::verify);
  KvCache root = engine.cache();
  engine.feed(root, std::span(tokens).first(43));
  KvCache short_fork = *root.fork(37);  // in the middle of a block whose rest the root has filled
  KvCache fork = *root.fork(43);
  EXPECT_EQ(engine.feed(fork, std::span(tokens).last(1)), right);
  EXPECT_EQ(engine.feed(short_fork, std::span(tokens).subspan(37)), right);
  EXPECT_EQ(engine.executor->memory_counters().kv_damaged, 0u);
  KvCache damaged = *root.fork(43);
  byte_of(damaged, false, 33) ^= 4;
  EXPECT_EQ(engine.feed(damaged, std::span(tokens).last(1)), right);
  EXPECT_EQ(engine.executor->memory_counters().kv_damaged, 1u);
  EXPECT_EQ(engine.feed(root, std::span(tokens).last(1)), right);
  EXPECT_EQ(engine.executor->memory_counters().kv_damaged, 1u);
}

TEST(KvGuard, WhatNobodyCanComputeAgainFailsClearly) {
  Engine engine(GuardLevel::verify);
  KvCache cache = engine.cache();
  cache.extend(20);
  const auto tokens = tokens_of(2);
  engine.feed(cache, std::span(tokens).first(1));
  EXPECT_EQ(engine.message, "");
  byte_of(cache, true, 0) ^= 1;
  EXPECT_TRUE(engine.feed(cache, std::span(tokens).last(1)).empty());
  EXPECT_NE(engine.message.find("wrong from position 0 on"), std::string::npos) << engine.message;
}

std::atomic<int> calls{0};
std::atomic<int> wrong_from{0};
std::atomic<int> wrong_calls{0};

/// The scalar kernels, whose norm is wrong in `wrong_calls` calls from number `wrong_from` on.
const Kernels& failing_kernels(int from, int count) {
  static Kernels kernels = [] {
    Kernels k = kernels_for(Isa::scalar);
    k.rms_norm = [](const float* x, const float* weight, float epsilon, std::int64_t n,
                    float* out) {
      kernels_for(Isa::scalar).rms_norm(x, weight, epsilon, n, out);
      const int call = calls++;
      if (call >= wrong_from && call < wrong_from + wrong_calls) out[0] += 1 + float(call);
    };
    return k;
  }();
  calls = 0;
  wrong_from = from;
  wrong_calls = count;
  return kernels;
}

TEST(StepGuard, AStepThatIsWrongOnceIsFoundAndDecidedByAThird) {
  const auto tokens = tokens_of(1);
  Engine engine(GuardLevel::full, 1, failing_kernels(2, 1));
  KvCache cache = engine.cache();
  EXPECT_EQ(engine.feed(cache, tokens), unharmed(1)) << engine.message;
  EXPECT_EQ(engine.executor->memory_counters().steps_disagreed, 1u);
}

TEST(StepGuard, AStepThatIsNeverTheSameFailsByName) {
  const auto tokens = tokens_of(1);
  Engine engine(GuardLevel::full, 1, failing_kernels(2, 3));
  KvCache cache = engine.cache();
  EXPECT_TRUE(engine.feed(cache, tokens).empty());
  EXPECT_NE(engine.message.find("three different answers"), std::string::npos) << engine.message;
  EXPECT_EQ(cache.length(), 0);
}

}  // namespace
}  // namespace checkbit
