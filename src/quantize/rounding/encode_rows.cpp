#include "quantize/rounding/encode_rows.h"

#include <algorithm>

#include "quantize/rounding/inner_feedback.h"

namespace checkbit {

Status encode_rows(const RoundingTask& task, const float* importance, ThreadPool& pool,
                   std::uint8_t* out) {
  const auto columns = static_cast<std::size_t>(task.columns);
  const std::size_t blocks = columns / static_cast<std::size_t>(task.format->block_elements);
  return for_chunks(
      task.rows, pool, [&] { return std::vector<float>(columns); },
      [&](std::vector<float>& values, std::int64_t first, int rows) {
        for (std::int64_t r = first; r < first + rows; ++r) {
          task.read_row(r, values.data());
          task.format->encode(values.data(), blocks, importance,
                              out + static_cast<std::size_t>(r) * task.row_bytes());
        }
      });
}

void read_chunk(const RoundingTask& task, const Metric& metric, std::int64_t first, int rows,
                std::vector<float>& target) {
  target.assign(static_cast<std::size_t>(metric.size()) * kRowChunk, 0.0f);
  std::vector<float> row(static_cast<std::size_t>(task.columns));
  for (int r = 0; r < rows; ++r) {
    task.read_row(first + r, row.data());
    for (std::size_t p = 0; p < metric.order.size(); ++p)
      target[p * kRowChunk + static_cast<std::size_t>(r)] =
          row[static_cast<std::size_t>(metric.first_column + metric.order[p])];
  }
}

Status round_chunks(const RoundingTask& task, int sweeps, double propagation, ThreadPool& pool,
                    std::uint8_t* out) {
  for (std::size_t m = 0; m < task.metrics.size(); ++m) {
    const Metric& metric = task.metrics[m];
    LocalFactors local;
    if (sweeps > 0) {
      CB_TRY(local, local_factors(metric, coder_elements(*task.format), pool));
    }
    const std::size_t begin = static_cast<std::size_t>(metric.first_column) /
                              static_cast<std::size_t>(task.format->block_elements) *
                              static_cast<std::size_t>(task.format->block_bytes);
    struct Worker {
      ChunkRounder rounder;
      std::vector<float> target;
    };
    CB_TRY_STATUS(for_chunks(
        task.rows, pool,
        [&] {
          return Worker{ChunkRounder(*task.format, metric), {}};
        },
        [&](Worker& worker, std::int64_t first, int rows) {
          read_chunk(task, metric, first, rows, worker.target);
          if (!task.drifts.empty() && propagation > 0)
            compensate(metric, task.drifts[m], static_cast<float>(propagation),
                       worker.target.data());
          worker.rounder.feed_back(worker.target.data(), rows);
          for (int sweep = 0; sweep < sweeps; ++sweep) {
            if (worker.rounder.descend(local, worker.target.data(), rows) == 0) break;
          }
          for (int r = 0; r < rows; ++r) {
            worker.rounder.write_row(
                r, out + static_cast<std::size_t>(first + r) * task.row_bytes() + begin);
          }
        }));
  }
  return {};
}

double rounding_loss(const RoundingTask& task, ThreadPool& pool, const std::uint8_t* encoded) {
  const Format& format = *task.format;
  const auto columns = static_cast<std::size_t>(task.columns);
  std::vector<double> losses(static_cast<std::size_t>(task.rows), 0.0);
  for (const Metric& metric : task.metrics) {
    const BlockMetric whole = {.elements = static_cast<int>(metric.size()),
                               .unit = {metric.factor.unit.data(), metric.size()},
                               .weight = metric.factor.weight.data(),
                               .order = metric.order};
    static_cast<void>(for_chunks(
        task.rows, pool, [&] { return std::vector<float>(columns); },
        [&](std::vector<float>& decoded, std::int64_t first, int rows) {
          std::vector<float> target, values(metric.order.size() * kRowChunk, 0.0f);
          read_chunk(task, metric, first, rows, target);
          for (int r = 0; r < rows; ++r) {
            format.decode(encoded + static_cast<std::size_t>(first + r) * task.row_bytes(),
                          columns / static_cast<std::size_t>(format.block_elements),
                          decoded.data());
            for (std::size_t p = 0; p < metric.order.size(); ++p)
              values[p * kRowChunk + static_cast<std::size_t>(r)] =
                  decoded[static_cast<std::size_t>(metric.first_column + metric.order[p])];
          }
          float loss[kRowChunk];
          metric_loss(whole, target.data(), values.data(), loss);
          for (int r = 0; r < rows; ++r) losses[static_cast<std::size_t>(first + r)] += loss[r];
        }));
  }
  double sum = 0;
  for (const double loss : losses) sum += loss;
  return sum;
}

}  // namespace checkbit
