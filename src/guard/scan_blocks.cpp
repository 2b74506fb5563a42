#include "guard/scan_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <mutex>

namespace checkbit {
namespace {

constexpr std::uint64_t kRun = 32;  ///< weights of a plain type read as one block

bool is_plain(const Format& format) { return format.block_elements == 1; }

const std::uint8_t* row_bytes_at(const ModelTensor& tensor, std::uint64_t row) {
  return tensor.bytes.data() + row * tensor.info.row_bytes();
}

void decode_row(const ModelTensor& tensor, std::uint64_t row, float* out) {
  const Format& format = *tensor.info.format;
  format.decode(row_bytes_at(tensor, row), tensor.info.columns() / format.block_elements, out);
}

float amplitude_of(std::span<const float> weights, bool& finite) {
  float largest = 0;
  for (const float w : weights) {
    finite = finite && std::isfinite(w);
    largest = std::max(largest, std::abs(w));
  }
  return largest;
}

BlockFacts integer_facts(const Format& format, const std::uint8_t* bytes) {
  const IntegerForm& form = format.integer;
  IntegerBlock block;
  format.unpack(bytes, block);
  BlockFacts facts;
  const int n_sub = format.block_elements / form.sub_elements;
  for (int s = 0; s < n_sub; ++s) {
    if (form.has_sub_scale)
      facts.max_sub_scale = std::max<std::int16_t>(
          facts.max_sub_scale, static_cast<std::int16_t>(std::abs(block.sub_scale[s])));
    if (form.has_sub_min)
      facts.max_sub_min =
          std::max(facts.max_sub_min, static_cast<std::uint8_t>(std::abs(block.sub_min[s])));
  }
  for (int g = 0; g < format.block_elements / form.scale_elements; ++g) {
    facts.negative_scale = facts.negative_scale || std::signbit(block.scale[g]);
    facts.negative_min = facts.negative_min || (form.has_min && std::signbit(block.min_scale[g]));
  }
  const auto [low, high] =
      std::minmax_element(block.q.begin(), block.q.begin() + format.block_elements);
  facts.min_q = *low;
  facts.max_q = *high;
  facts.reach = static_cast<std::uint8_t>(
      std::max(std::abs(*low - form.q_offset), std::abs(*high - form.q_offset)));
  return facts;
}

/// Weights of a row that a sample of rows looks at: (first row, stride).
std::uint64_t sample_stride(std::uint64_t rows, std::uint64_t columns, std::uint64_t most) {
  const std::uint64_t wanted =
      std::max<std::uint64_t>(1, most / std::max<std::uint64_t>(1, columns));
  return std::max<std::uint64_t>(1, rows / wanted);
}

bool is_full_precision(const Format& format) {
  return format.name == "F32" || format.name == "F16" || format.name == "BF16";
}

std::vector<const Format*> types_for(const ModelTensor& tensor) {
  std::vector<const Format*> types;
  for (const Format* format : all_formats()) {
    const auto elements = static_cast<std::uint64_t>(format->block_elements);
    if (has_positions(*format) && !format->own && tensor.info.columns() % elements == 0)
      types.push_back(format);
  }
  return types;
}

/// Weights of sampled rows as our encoder rounds them, and the same weights blurred.
PositionResult positions_of(const Format& format, const ModelTensor& weights, std::uint64_t stride,
                            ThreadPool& pool) {
  const std::uint64_t columns = weights.info.columns();
  const auto elements = static_cast<std::uint64_t>(format.block_elements);
  const auto samples = static_cast<std::int64_t>((weights.info.rows() + stride - 1) / stride);
  PositionHistogram histogram;
  PositionHistogram blurred;
  std::mutex mutex;
  pool.for_ranges(samples, [&](std::int64_t begin, std::int64_t end) {
    PositionHistogram mine;
    PositionHistogram my_blurred;
    std::vector<float> row(columns);
    std::vector<std::uint8_t> blocks(columns / elements * format.block_bytes);
    const auto encode_and_add = [&](PositionHistogram& to) {
      format.encode(row.data(), columns / elements, nullptr, blocks.data());
      for (std::uint64_t at = 0; at < columns; at += elements)
        add_positions(format, blocks.data() + at / elements * format.block_bytes, row.data() + at,
                      to);
    };
    for (std::int64_t s = begin; s < end; ++s) {
      const std::uint64_t index = static_cast<std::uint64_t>(s) * stride;
      decode_row(weights, index, row.data());
      if (!std::ranges::all_of(row, [](float w) { return std::isfinite(w); })) continue;
      encode_and_add(mine);
      Random random(1, index);
      for (std::uint64_t at = 0; at < columns; at += elements)
        blur(format, blocks.data() + at / elements * format.block_bytes, random, row.data() + at);
      encode_and_add(my_blurred);
    }
    const std::lock_guard lock(mutex);
    histogram.add(mine);
    blurred.add(my_blurred);
  });
  PositionResult result = judge_positions(histogram, blurred);
  result.format = &format;
  return result;
}

bool on_lattice(const ModelTensor& tensor) {
  std::vector<float> rows;
  const std::uint64_t stride = sample_stride(tensor.info.rows(), tensor.info.columns(), 1 << 16);
  std::vector<float> row(tensor.info.columns());
  for (std::uint64_t r = 0; r < tensor.info.rows(); r += stride) {
    decode_row(tensor, r, row.data());
    rows.insert(rows.end(), row.begin(), row.end() - static_cast<std::ptrdiff_t>(row.size() % 16));
  }
  return lies_on_lattice(rows);
}

}  // namespace

BlockTable read_blocks(const ModelTensor& tensor, ThreadPool& pool) {
  const Format& format = *tensor.info.format;
  const std::uint64_t columns = tensor.info.columns();
  BlockTable table{.rows = tensor.info.rows()};
  table.block_elements =
      is_plain(format) ? kRun : static_cast<std::uint64_t>(format.block_elements);
  table.block_bytes = is_plain(format) ? kRun * format.block_bytes : format.block_bytes;
  table.row_blocks = (columns + table.block_elements - 1) / table.block_elements;
  table.integer = format.unpack != nullptr;
  table.facts.resize(table.rows * table.row_blocks);
  pool.for_ranges(static_cast<std::int64_t>(table.rows), [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(columns);
    for (std::int64_t r = begin; r < end; ++r) {
      decode_row(tensor, static_cast<std::uint64_t>(r), row.data());
      for (std::uint64_t b = 0; b < table.row_blocks; ++b) {
        BlockFacts& facts = table.facts[static_cast<std::uint64_t>(r) * table.row_blocks + b];
        if (table.integer)
          facts = integer_facts(
              format, row_bytes_at(tensor, static_cast<std::uint64_t>(r)) + b * format.block_bytes);
        const std::uint64_t first = b * table.block_elements;
        bool finite = true;
        facts.amplitude = amplitude_of(
            std::span(row).subspan(first, std::min(table.block_elements, columns - first)), finite);
        facts.finite = finite;
      }
    }
  });
  return table;
}

std::vector<float> error_ratios(const ModelTensor& tensor, const ModelTensor& original,
                                ThreadPool& pool) {
  constexpr double kFloor = 1e-7;  ///< of the block's energy
  const Format& format = *tensor.info.format;
  const std::uint64_t columns = tensor.info.columns();
  const std::uint64_t row_blocks = columns / format.block_elements;
  std::vector<float> ratios(tensor.info.rows() * row_blocks);
  pool.for_ranges(
      static_cast<std::int64_t>(tensor.info.rows()), [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> want(columns), have(columns), ours(columns);
        std::vector<std::uint8_t> encoded(row_blocks * format.block_bytes);
        for (std::int64_t r = begin; r < end; ++r) {
          const auto row = static_cast<std::uint64_t>(r);
          decode_row(original, row, want.data());
          decode_row(tensor, row, have.data());
          for (float& w : want) w = std::isfinite(w) ? w : 0;
          format.encode(want.data(), row_blocks, nullptr, encoded.data());
          format.decode(encoded.data(), row_blocks, ours.data());
          for (std::uint64_t b = 0; b < row_blocks; ++b) {
            double error = 0, best = 0, energy = 0;
            for (std::uint64_t i = b * format.block_elements; i < (b + 1) * format.block_elements;
                 ++i) {
              error += (have[i] - want[i]) * static_cast<double>(have[i] - want[i]);
              best += (ours[i] - want[i]) * static_cast<double>(ours[i] - want[i]);
              energy += static_cast<double>(want[i]) * want[i];
            }
            const double little = kFloor * energy + 1e-30;
            ratios[row * row_blocks + b] = static_cast<float>((error + little) / (best + little));
          }
        }
      });
  return ratios;
}

std::vector<PositionResult> measure_positions(const ModelTensor& tensor,
                                              const ModelTensor* original, const Format* only,
                                              std::uint64_t most_weights, ThreadPool& pool) {
  const ModelTensor& weights = original != nullptr ? *original : tensor;
  if (tensor.info.rows() < 2 || !is_full_precision(*weights.info.format)) return {};
  const std::uint64_t stride =
      sample_stride(weights.info.rows(), weights.info.columns(), most_weights);
  std::vector<PositionResult> results;
  const bool lattice = on_lattice(weights);
  const std::vector<const Format*> types =
      original != nullptr ? std::vector<const Format*>{tensor.info.format} : types_for(tensor);
  for (const Format* format : types) {
    if (!has_positions(*format) || (only != nullptr && only != format)) continue;
    results.push_back(positions_of(*format, weights, stride, pool));
    if (lattice) break;
  }
  for (PositionResult& result : results) {
    result.on_lattice = lattice;
    result.crafted = result.crafted && !lattice;
  }
  return results;
}

}  // namespace checkbit
