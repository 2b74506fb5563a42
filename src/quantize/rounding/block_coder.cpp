#include "quantize/rounding/block_coder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "formats/unit_coder.h"
#include "quantize/rounding/chunk_lanes.h"
#include "quantize/rounding/inner_feedback.h"
#include "quantize/rounding/level_map.h"
#include "quantize/rounding/trellis_coder.h"

namespace checkbit {
namespace {

/// Scales and offsets of a chunk of rows, by sub-block: a value is step * (q - q_offset) - minimum.
struct ChunkScales {
  std::vector<float> step, inverse, minimum;  ///< [subs][kRowChunk]

  explicit ChunkScales(std::size_t subs) : step(subs * kRowChunk), inverse(step), minimum(step) {}

  void take(const Format& format, const IntegerBlock& block, int row) {
    const IntegerForm& form = format.integer;
    for (int s = 0; s * form.sub_elements < format.block_elements; ++s) {
      const auto sub = static_cast<std::size_t>(s);
      const auto group = static_cast<std::size_t>(s * form.sub_elements / form.scale_elements);
      const std::size_t at = sub * kRowChunk + static_cast<std::size_t>(row);
      step[at] = block.scale[group] * static_cast<float>(block.sub_scale[sub]);
      inverse[at] = step[at] == 0 ? 0 : 1 / step[at];
      minimum[at] =
          form.has_min ? block.min_scale[group] * static_cast<float>(block.sub_min[sub]) : 0;
    }
  }
};

/// Formats whose integers stand as plain bits.
class ScalarCoder : public BlockCoder {
 public:
  ScalarCoder(const Format& format, LevelMap map)
      : format_(format), map_(std::move(map)), table_(sorted_table(format)) {}

  int unit_elements() const override { return 1; }

  void round(const BlockMetric& metric, const float* center, int rows, std::uint8_t* blocks,
             float* values, float* loss) override {
    const auto elements = static_cast<std::size_t>(metric.elements);
    ChunkScales scales(elements / static_cast<std::size_t>(format_.integer.sub_elements));
    choose_scales(metric, center, rows, blocks, scales);
    levels_.assign(elements * kRowChunk, 0);
    std::fill_n(loss, kRowChunk, 0.0f);
    InnerFeedback feedback(metric, center, center);
    for_positions(metric, feedback, [&](int p) {
      float* value = values + p * kRowChunk;
      nearest(scales, metric.order[static_cast<std::size_t>(p)], feedback.wanted(p), value);
      feedback.add_loss(p, value, loss);
      feedback.settle(p, value);
    });
    std::vector<std::uint8_t> q(elements);
    for (int r = 0; r < rows; ++r) {
      for (std::size_t i = 0; i < elements; ++i)
        q[i] = static_cast<std::uint8_t>(
            static_cast<int>(levels_[i * kRowChunk + static_cast<std::size_t>(r)]));
      map_.write(q.data(), blocks + r * format_.block_bytes);
    }
  }

 private:
  struct Entry {
    float value;
    std::uint8_t code;
  };

  static std::vector<Entry> sorted_table(const Format& format) {
    const IntegerForm& form = format.integer;
    std::vector<Entry> table;
    for (unsigned code = 0; form.table != nullptr && code < 16; ++code)
      table.push_back(
          {static_cast<float>(form.table[code] - form.q_offset), static_cast<std::uint8_t>(code)});
    std::ranges::sort(table, {}, &Entry::value);
    return table;
  }

  void choose_scales(const BlockMetric& metric, const float* center, int rows, std::uint8_t* blocks,
                     ChunkScales& scales) const {
    const std::vector<float> weights = gathered_weights(metric);
    std::vector<float> row(static_cast<std::size_t>(metric.elements));
    IntegerBlock block;
    for (int r = 0; r < rows; ++r) {
      gather_row(metric, center, r, row.data());
      format_.encode(row.data(), 1, weights.data(), blocks + r * format_.block_bytes);
      format_.unpack(blocks + r * format_.block_bytes, block);
      scales.take(format_, block, r);
    }
  }

  void nearest(const ChunkScales& scales, int element, const float* wanted, float* values) {
    const auto at = static_cast<std::size_t>(element / format_.integer.sub_elements) * kRowChunk;
    const float* step = scales.step.data() + at;
    const float* inverse = scales.inverse.data() + at;
    const float* minimum = scales.minimum.data() + at;
    float* levels = levels_.data() + static_cast<std::size_t>(element) * kRowChunk;
    if (!table_.empty()) return nearest_of_table(step, inverse, wanted, levels, values);
    const Lanes offset = Lanes{} + static_cast<float>(format_.integer.q_offset);
    const Lanes highest = Lanes{} + static_cast<float>((1 << format_.integer.bits) - 1);
    for (int r = 0; r < kRowChunk; r += kLanes) {
      const Lanes low = load_lanes(minimum + r);
      Lanes level = (load_lanes(wanted + r) + low) * load_lanes(inverse + r) + offset;
      level = level > Lanes{} ? level : Lanes{};
      level = level < highest ? level : highest;
      constexpr float kRound = 12582912.0f;  // leaves no fraction bits
      level = (level + kRound) - kRound;
      store_lanes(level, levels + r);
      store_lanes(load_lanes(step + r) * (level - offset) - low, values + r);
    }
  }

  void nearest_of_table(const float* step, const float* inverse, const float* wanted, float* levels,
                        float* values) const {
    for (int r = 0; r < kRowChunk; ++r) {
      const float place = wanted[r] * inverse[r];
      std::size_t best = 0;
      for (std::size_t i = 1; i < table_.size(); ++i) {
        if (2 * place > table_[i - 1].value + table_[i].value) best = i;
      }
      levels[r] = static_cast<float>(table_[best].code);
      values[r] = step[r] * table_[best].value;
    }
  }

  const Format& format_;
  LevelMap map_;
  std::vector<Entry> table_;   ///< ascending; empty where the value is q itself
  std::vector<float> levels_;  ///< [elements][kRowChunk]
};

/// Formats whose codes stand for several weights: unit after unit.
class UnitwiseCoder : public BlockCoder {
 public:
  explicit UnitwiseCoder(const Format& format) : format_(format) {
    for (auto& coder : coders_) coder = make_unit_coder(format);
  }
  int unit_elements() const override { return coders_[0]->unit_elements(); }

  void round(const BlockMetric& metric, const float* center, int rows, std::uint8_t* blocks,
             float* values, float* loss) override {
    std::vector<float> row(static_cast<std::size_t>(metric.elements));
    const std::vector<float> weights = gathered_weights(metric);
    for (int r = 0; r < rows; ++r) {
      gather_row(metric, center, r, row.data());
      coders_[static_cast<std::size_t>(r)]->begin(row.data(), weights.data());
    }
    std::fill_n(loss, kRowChunk, 0.0f);
    std::fill_n(values, metric.elements * kRowChunk, 0.0f);
    InnerFeedback feedback(metric, center, center);
    const int unit = unit_elements();
    for_positions(metric, feedback, [&](int p) {
      const int first = p / unit * unit;
      if (p == first + unit - 1) code_unit(metric, center, first, rows, feedback, values);
      feedback.add_loss(p, values + p * kRowChunk, loss);
      feedback.settle(p, values + p * kRowChunk);
    });
    for (int r = 0; r < rows; ++r)
      coders_[static_cast<std::size_t>(r)]->finish(blocks + r * format_.block_bytes);
  }

 private:
  /// Positions [first, first + unit) around their best place, given all that is settled.
  void code_unit(const BlockMetric& metric, const float* center, int first, int rows,
                 InnerFeedback& feedback, float* values) {
    const int unit = unit_elements();
    best_.resize(static_cast<std::size_t>(unit) * kRowChunk);
    std::vector<float> weights(static_cast<std::size_t>(unit));
    const int number = metric.order[static_cast<std::size_t>(first)] / unit;
    for (int i = unit - 1; i >= 0; --i) {
      float* best = best_.data() + i * kRowChunk;
      std::copy_n(feedback.wanted(first + i), kRowChunk, best);
      for (int j = i + 1; j < unit; ++j) {
        const float factor = metric.unit.data[(first + j) * metric.unit.stride + first + i];
        float miss[kRowChunk];
        subtract_rows(center + (first + j) * kRowChunk, best_.data() + j * kRowChunk, miss);
        add_scaled_rows(factor, miss, best);
      }
      // The metric's own diagonal within the unit.
      float diagonal = 0;
      for (int k = 0; k <= i; ++k) {
        const float factor = metric.unit.data[(first + i) * metric.unit.stride + first + k];
        diagonal += factor * factor * metric.weight[first + k];
      }
      weights[static_cast<std::size_t>(element(metric, first + i))] = diagonal;
    }
    std::vector<float> in(static_cast<std::size_t>(unit)), out(in);
    for (int r = 0; r < rows; ++r) {
      for (int i = 0; i < unit; ++i)
        in[static_cast<std::size_t>(element(metric, first + i))] =
            best_[static_cast<std::size_t>(i * kRowChunk + r)];
      coders_[static_cast<std::size_t>(r)]->code(number, in.data(), weights.data(), out.data());
      for (int i = 0; i < unit; ++i)
        values[(first + i) * kRowChunk + r] =
            out[static_cast<std::size_t>(element(metric, first + i))];
    }
  }

  /// Of its unit, the weight at a position.
  int element(const BlockMetric& metric, int p) const {
    return metric.order[static_cast<std::size_t>(p)] % unit_elements();
  }

  const Format& format_;
  std::array<std::unique_ptr<UnitCoder>, kRowChunk> coders_;
  std::vector<float> best_;  ///< [unit][kRowChunk]
};

/// Anything that has an encoder: all elements at once, nothing fed back inside.
class WholeCoder : public BlockCoder {
 public:
  WholeCoder(const Format& format, int elements) : format_(format), elements_(elements) {}
  int unit_elements() const override { return elements_; }

  void round(const BlockMetric& metric, const float* center, int rows, std::uint8_t* blocks,
             float* values, float* loss) override {
    const auto elements = static_cast<std::size_t>(elements_);
    const std::size_t n_blocks = elements / static_cast<std::size_t>(format_.block_elements);
    const std::size_t bytes = n_blocks * static_cast<std::size_t>(format_.block_bytes);
    const std::vector<float> weights = gathered_weights(metric);
    std::vector<float> row(elements);
    std::fill_n(values, elements * kRowChunk, 0.0f);
    for (int r = 0; r < rows; ++r) {
      std::uint8_t* block = blocks + static_cast<std::size_t>(r) * bytes;
      gather_row(metric, center, r, row.data());
      format_.encode(row.data(), n_blocks, weights.data(), block);
      format_.decode(block, n_blocks, row.data());
      for (int p = 0; p < elements_; ++p)
        values[p * kRowChunk + r] =
            row[static_cast<std::size_t>(metric.order[static_cast<std::size_t>(p)])];
    }
    metric_loss(metric, center, values, loss);
  }

 private:
  const Format& format_;
  int elements_;
};

}  // namespace

int coder_elements(const Format& format) {
  return format.block_elements >= 16 ? format.block_elements : kInner;
}

std::unique_ptr<BlockCoder> BlockCoder::create(const Format& format, int elements) {
  if (elements == format.block_elements) {
    if (auto map = LevelMap::find(format))
      return std::make_unique<ScalarCoder>(format, *std::move(map));
    if (const Trellis* trellis = find_trellis(format))
      return std::make_unique<TrellisCoder>(format, *trellis);
    if (make_unit_coder(format) != nullptr) return std::make_unique<UnitwiseCoder>(format);
  }
  return std::make_unique<WholeCoder>(format, elements);
}

}  // namespace checkbit
