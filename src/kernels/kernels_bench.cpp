// Micro-benchmarks of the kernels, with the share of what the machine could do at most.
//
// What: every line of products.def over one token (bound by reading: GB/s of packed weights beside
//   those of merely reading a buffer of that size) and over a prompt (bound by arithmetic:
//   multiply-adds a second beside those of a loop of nothing but 8-bit dot products), on one
//   thread; attention of a generated token over every type of cache (bound by reading).
// Use: build/release/kernels_bench [--benchmark_filter=k32_b4_min]; CHECKBIT_ISA chooses the
// instruction set.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/random.h"
#include "kernels/kernels.h"

namespace checkbit {
namespace {

constexpr std::int64_t kColumns = 1536;
constexpr std::int64_t kPromptTokens = 256;
constexpr std::size_t kStreamBytes = 192u << 20;  ///< far above the caches

AlignedBuffer random_bytes(std::size_t size) {
  AlignedBuffer buffer = std::move(*AlignedBuffer::allocate(size, "benchmark"));
  Random random(1);
  // Bytes below 0x38 keep binary16 scales finite and small.
  for (std::size_t i = 0; i < size; ++i)
    buffer.data()[i] = static_cast<std::uint8_t>(random.next() % 0x38);
  return buffer;
}

double seconds(auto&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

const Kernels& kernels() {
  static const Kernels& chosen = kernels_for(*select_isa());
  return chosen;
}

/// Multiply-adds a second of a loop of nothing but 8-bit dot products, on one thread.
double integer_peak() {
  static const double peak = [] {
    double best = 0;
    for (int attempt = 0; attempt < 5; ++attempt) {
      std::int32_t sink = 0;
      std::int64_t done = 0;
      const double taken = seconds([&] { done = kernels().dot_products(1 << 20, &sink); });
      benchmark::DoNotOptimize(sink);
      best = std::max(best, static_cast<double>(done) / taken);
    }
    return best;
  }();
  return peak;
}

/// Packed weights of one shape, and activations for kPromptTokens tokens.
struct Operands {
  explicit Operands(const ProductLine& line, std::int64_t rows)
      : layout(panel_layout(line.form)),
        panel_bytes(layout.record_bytes *
                    static_cast<std::size_t>(kColumns / layout.record_columns)),
        n_panels(rows / kPanelRows),
        panels(random_bytes(panel_bytes * static_cast<std::size_t>(n_panels))),
        q(random_bytes(kPromptTokens * kColumns)),
        scales(kPromptTokens * kColumns / 32, 0.01f),
        sums(kPromptTokens * kColumns / 16, 100),
        scratch(product_scratch_bytes(kColumns)),
        y(static_cast<std::size_t>(kPromptTokens * rows)) {
    arguments.panels = panels.data();
    arguments.panel_bytes = panel_bytes;
    arguments.n_panels = n_panels;
    arguments.columns = kColumns;
    arguments.table = line.table ? table : nullptr;
    arguments.x = {q.as<std::int8_t>(), scales.data(), sums.data(), sums.data()};
    arguments.scratch = scratch.data();
    arguments.y = y.data();
    arguments.y_stride = rows;
  }
  std::uint8_t table[64] = {};
  PanelLayout layout;
  std::size_t panel_bytes;
  std::int64_t n_panels;
  AlignedBuffer panels, q;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;
  std::vector<std::uint8_t> scratch;
  std::vector<float> y;
  ProductArguments arguments;
};

void product(benchmark::State& state, const ProductLine& line, std::int64_t tokens,
             std::int64_t rows) {
  Operands operands(line, rows);
  operands.arguments.n_tokens = tokens;
  const ProductKernel kernel = kernels().products[static_cast<int>(line.kind)];
  for (auto _ : state) kernel(operands.arguments);
  const double runs = static_cast<double>(state.iterations());
  const double products = runs * static_cast<double>(tokens * rows * kColumns);
  state.counters["GMAC/s"] = benchmark::Counter(products / 1e9, benchmark::Counter::kIsRate);
  state.counters["of_peak"] =
      benchmark::Counter(products / integer_peak(), benchmark::Counter::kIsRate);
  state.counters["GB/s"] = benchmark::Counter(
      runs * static_cast<double>(operands.panels.size()) / 1e9, benchmark::Counter::kIsRate);
}

/// Rows of one token over heads of kAttended positions each, as generating does: how fast keys and
/// values are read.
void attention(benchmark::State& state, CacheType type, int n_rows, std::int64_t head_size) {
  constexpr std::int64_t kAttended = 8192;
  const auto half = static_cast<std::size_t>(cache_bytes(type, head_size, kAttended));
  const std::size_t heads = kStreamBytes / (2 * half);
  const AlignedBuffer cache = random_bytes(2 * half * heads);
  std::vector<float> query(static_cast<std::size_t>(head_size), 0.1f);
  std::vector<float> out(static_cast<std::size_t>(n_rows * head_size));
  std::vector<float> scores(static_cast<std::size_t>(n_rows * kAttended));
  std::vector<float> queries(static_cast<std::size_t>(attention_query_floats(head_size)));
  std::vector<float> sums(
      static_cast<std::size_t>(2 * kAttentionRows * attention_sum_floats(head_size)));
  AttentionRow rows[kAttentionRows];
  for (int r = 0; r < n_rows; ++r)
    rows[r] = {query.data(), out.data() + r * head_size, 0, kAttended - 1};
  AttentionArguments a{.cache_type = type,
                       .rows = rows,
                       .n_rows = n_rows,
                       .head_size = head_size,
                       .value_size = head_size,
                       .scale = 0.01f,
                       .scores = scores.data(),
                       .score_stride = kAttended,
                       .query_scratch = queries.data(),
                       .sum_scratch = sums.data()};
  for (auto _ : state) {
    for (std::size_t head = 0; head < heads; ++head) {
      a.keys = cache.data() + 2 * half * head;
      a.values = cache.data() + 2 * half * head + half;
      kernels().attend(a);
    }
  }
  state.counters["GB/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(cache.size()) / 1e9,
      benchmark::Counter::kIsRate);
}

void register_attention() {
  for (const CacheType type : kCacheTypes) {
    for (const auto& [rows, head_size] : {std::pair{1, 64}, {3, 64}, {7, 64}, {6, 128}, {4, 256}}) {
      const std::string name = "attention/" + std::string(to_string(type)) + "/" +
                               std::to_string(rows) + "_rows_of_" + std::to_string(head_size);
      benchmark::RegisterBenchmark(
          name.c_str(), [type, rows = rows, head_size = head_size](
                            benchmark::State& state) { attention(state, type, rows, head_size); })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond)
          ->Threads(1)
          ->Threads(2);
    }
  }
}

/// What reading alone reaches: the bound of a product with one token, and of attention.
void read_only(benchmark::State& state) {
  const AlignedBuffer buffer = random_bytes(kStreamBytes);
  for (auto _ : state) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < buffer.size() / 8; ++i) sum += buffer.as<std::uint64_t>()[i];
    benchmark::DoNotOptimize(sum);
  }
  state.counters["GB/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(buffer.size()) / 1e9,
      benchmark::Counter::kIsRate);
}

void register_all() {
  benchmark::RegisterBenchmark("read", read_only)
      ->UseRealTime()
      ->Threads(1)
      ->Threads(2)
      ->Unit(benchmark::kMillisecond);
  register_attention();
  for (const ProductLine& line : kProductLines) {
    const PanelLayout layout = panel_layout(line.form);
    const auto row_bytes = layout.record_bytes / kPanelRows *
                           static_cast<std::size_t>(kColumns / layout.record_columns);
    const auto stream_rows =
        static_cast<std::int64_t>(kStreamBytes / row_bytes / kPanelRows * kPanelRows);
    const auto add = [&](const char* what, std::int64_t tokens, std::int64_t rows) {
      return benchmark::RegisterBenchmark((std::string(line.name) + "/" + what).c_str(),
                                          [&line, tokens, rows](benchmark::State& state) {
                                            product(state, line, tokens, rows);
                                          })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
    };
    add("generate", 1, stream_rows)->Threads(1)->Threads(2);
    add("sequences_8", 8, stream_rows);
    add("prompt", kPromptTokens, 1536);
  }
}

}  // namespace
}  // namespace checkbit

int main(int argc, char** argv) {
  checkbit::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
