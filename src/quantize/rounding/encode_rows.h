// Rounding row by row with a format's own encoder, and walking a matrix in chunks of rows.
//
// Threads: functions use the pool.
#pragma once

#include <atomic>

#include "base/progress.h"
#include "quantize/rounding/chunk_rounder.h"
#include "quantize/rounding/rounding.h"

namespace checkbit {

/// `importance` null or [columns].
Status encode_rows(const RoundingTask& task, const float* importance, ThreadPool& pool,
                   std::uint8_t* out);

/// Rows [first, first + rows) of the task, columns of the metric -> target [positions][kRowChunk].
void read_chunk(const RoundingTask& task, const Metric& metric, std::int64_t first, int rows,
                std::vector<float>& target);

/// f(first row, rows) for every chunk of rows, dealt over threads one at a time. `make()` is called
/// once on each thread and its result is given to f.
template <class Make, class F>
Status for_chunks(std::int64_t rows, ThreadPool& pool, Make&& make, F&& f) {
  std::atomic<std::int64_t> next{0};
  pool.run([&](int, int) {
    auto local = make();
    for (std::int64_t first = kRowChunk * next++; first < rows; first = kRowChunk * next++) {
      if (cancel_requested()) return;
      f(local, first, static_cast<int>(std::min<std::int64_t>(kRowChunk, rows - first)));
    }
  });
  if (cancel_requested()) return cancelled_error();
  return {};
}

/// Error feedback and, after it, sweeps of descent; with drift, around compensated targets.
Status round_chunks(const RoundingTask& task, int sweeps, double propagation, ThreadPool& pool,
                    std::uint8_t* out);

}  // namespace checkbit
