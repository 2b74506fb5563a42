// What a fork takes, as a view of an image and as a copy, for the shape of SmolLM2-135M in
// binary16.
//
// fork: a branch made and dropped. fork_and_read: it gets a token in every layer and head and all
// its keys and values are read once, as generating a token does. Goal: a view costs less than a
// copy from the length on at which forks share.

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <cstring>

#include "arch/kv_cache.h"

namespace checkbit {
namespace {

Hyperparameters shape() {
  Hyperparameters h;
  h.layers = 30;
  h.key_value_heads = 3;
  h.head_size = h.value_size = 64;
  return h;
}

/// Without files of any size there are no images.
void allow_images(bool allowed) {
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = allowed ? limit.rlim_max : 0;
  setrlimit(RLIMIT_FSIZE, &limit);
}

KvCache filled(std::int64_t positions) {
  const Hyperparameters h = shape();
  KvCache cache = *KvCache::create(h, 4096);
  cache.extend(positions);
  const auto bytes = static_cast<std::size_t>(cache_bytes(CacheType::f16, 64, positions));
  for (std::int64_t layer = 0; layer < h.layers; ++layer) {
    for (std::int64_t head = 0; head < h.key_value_heads; ++head) {
      std::memset(cache.keys(layer, head), 1, bytes);
      std::memset(cache.values(layer, head), 2, bytes);
    }
  }
  return cache;
}

std::uint64_t append_and_read(KvCache& branch) {
  const std::int64_t bytes = cache_bytes(CacheType::f16, 64, branch.length());
  std::uint64_t sum = 0;
  branch.extend(1);
  for (std::int64_t layer = 0; layer < 30; ++layer) {
    for (std::int64_t head = 0; head < 3; ++head) {
      for (void* region : {branch.keys(layer, head), branch.values(layer, head)}) {
        auto* words = static_cast<std::uint64_t*>(region);
        words[bytes / 8] = sum;
        for (std::int64_t i = 0; i < bytes / 8; ++i) sum += words[i];
      }
    }
  }
  return sum;
}

void fork(benchmark::State& state, bool share, bool read) {
  KvCache root = filled(state.range(0));
  allow_images(share);
  for (auto _ : state) {
    KvCache branch = *root.fork(state.range(0));
    if (read) benchmark::DoNotOptimize(append_and_read(branch));
    benchmark::DoNotOptimize(branch.keys(0, 0));
  }
  allow_images(true);
}

/// The first fork: it writes the image.
void first_fork(benchmark::State& state) {
  KvCache root = filled(state.range(0));
  for (auto _ : state) {
    KvCache branch = *root.fork(state.range(0));
    state.PauseTiming();
    root.truncate(0);
    root.extend(state.range(0));
    state.ResumeTiming();
  }
}

void lengths(benchmark::internal::Benchmark* each) {
  for (const std::int64_t positions : {32, 64, 128, 256, 512, 2000}) each->Arg(positions);
  each->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK_CAPTURE(fork, view, true, false)->Apply(lengths);
BENCHMARK_CAPTURE(fork, copy, false, false)->Apply(lengths);
BENCHMARK(first_fork)->Apply(lengths);
BENCHMARK_CAPTURE(fork, view_and_read, true, true)->Apply(lengths);
BENCHMARK_CAPTURE(fork, copy_and_read, false, true)->Apply(lengths);

}  // namespace
}  // namespace checkbit

BENCHMARK_MAIN();
