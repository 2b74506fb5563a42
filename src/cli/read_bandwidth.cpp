#include "cli/read_bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <utility>

namespace checkbit {
namespace {

constexpr std::int64_t kChunkBytes = 4096;  // threads get whole chunks

/// As wide as a cache line; the compiler splits it where registers are narrower.
using Line = std::uint64_t __attribute__((vector_size(64)));

/// Four independent sums keep the loads, not the additions, the limit.
#define CHECKBIT_DEFINE_SUM_LINES(name)                         \
  std::uint64_t name(const Line* lines, std::int64_t n_lines) { \
    Line a = {}, b = {}, c = {}, d = {};                        \
    for (std::int64_t i = 0; i + 4 <= n_lines; i += 4) {        \
      a += lines[i];                                            \
      b += lines[i + 1];                                        \
      c += lines[i + 2];                                        \
      d += lines[i + 3];                                        \
    }                                                           \
    a += b + c + d;                                             \
    std::uint64_t total = 0;                                    \
    for (int i = 0; i < 8; ++i) total += a[i];                  \
    return total;                                               \
  }

CHECKBIT_DEFINE_SUM_LINES(sum_lines)
#if defined(__x86_64__)
__attribute__((target("avx2"))) CHECKBIT_DEFINE_SUM_LINES(sum_lines_avx2)
    __attribute__((target("avx512f"))) CHECKBIT_DEFINE_SUM_LINES(sum_lines_avx512)
#endif
#undef CHECKBIT_DEFINE_SUM_LINES

        using SumLines = std::uint64_t(*)(const Line*, std::int64_t);

SumLines widest_sum() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return sum_lines_avx512;
  if (__builtin_cpu_supports("avx2")) return sum_lines_avx2;
#endif
  return sum_lines;
}

}  // namespace

ReadBuffer::ReadBuffer(AlignedBuffer buffer, ThreadPool& pool)
    : buffer_(std::move(buffer)), pool_(&pool) {}

Result<ReadBuffer> ReadBuffer::create(std::int64_t size_bytes, ThreadPool& pool) {
  const std::int64_t chunks =
      std::max<std::int64_t>(1, (size_bytes + kChunkBytes - 1) / kChunkBytes);
  CB_TRY(AlignedBuffer buffer,
         AlignedBuffer::allocate(static_cast<std::size_t>(chunks * kChunkBytes), "read bandwidth"));
  ReadBuffer made(std::move(buffer), pool);
  // Touched by the threads that read it, so that pages lie near them.
  pool.for_ranges(chunks, [&](std::int64_t begin, std::int64_t end) {
    std::memset(made.buffer_.data() + begin * kChunkBytes, 1,
                static_cast<std::size_t>((end - begin) * kChunkBytes));
  });
  return made;
}

double ReadBuffer::read(int passes) {
  const SumLines sum = widest_sum();
  // The sums must have a use, or the compiler may drop the loads.
  static std::atomic<std::uint64_t> use{0};
  const auto start = std::chrono::steady_clock::now();
  for (int pass = 0; pass < passes; ++pass) {
    pool_->for_ranges(size_bytes() / kChunkBytes, [&](std::int64_t begin, std::int64_t end) {
      const auto* lines = reinterpret_cast<const Line*>(buffer_.data() + begin * kChunkBytes);
      use += sum(lines, (end - begin) * kChunkBytes / static_cast<std::int64_t>(sizeof(Line)));
    });
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace checkbit
