#include "cli/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "base/aligned_buffer.h"

namespace checkbit {
namespace {

constexpr std::int64_t kBytes = std::int64_t{512} << 20;
constexpr int kPasses = 6;

/// Sixteen independent sums keep the loads, not the additions, the limit.
std::uint64_t sum(const std::uint64_t* words, std::int64_t count) {
  std::uint64_t sums[16] = {};
  for (std::int64_t i = 0; i + 16 <= count; i += 16) {
    for (int lane = 0; lane < 16; ++lane) sums[lane] += words[i + lane];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t s : sums) total += s;
  return total;
}

}  // namespace

double measure_read_bandwidth(ThreadPool& pool) {
  auto buffer = AlignedBuffer::allocate(kBytes, "read bandwidth");
  if (!buffer.ok()) return 0;
  auto* words = buffer->as<std::uint64_t>();
  constexpr std::int64_t kWords = kBytes / 8;
  // Touched by the threads that read it, so that pages lie near them.
  pool.for_ranges(kWords, [&](std::int64_t begin, std::int64_t end) {
    std::memset(words + begin, 1, static_cast<std::size_t>(end - begin) * 8);
  });
  std::atomic<std::uint64_t> total{0};
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.for_ranges(kWords, [&](std::int64_t begin, std::int64_t end) {
      total += sum(words + begin, end - begin);
    });
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(kBytes) / seconds);
  }
  // The sums must have a use, or the compiler may drop the loads.
  return total.load() == 0 ? 0 : best;
}

}  // namespace checkbit
