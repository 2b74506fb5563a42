#include "quantize/rounding/trellis_coder.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "quantize/rounding/chunk_lanes.h"
#include "quantize/rounding/inner_feedback.h"

namespace checkbit {
namespace {

using Choices = std::int32_t __attribute__((vector_size(16)));

constexpr int kN = kTrellisWeights;
constexpr int kMostStates = 16;

/// S = U D U^T with U upper and its diagonal 1, places in the order of the circle: what the errors
/// of places before t ask of t is sum over j < t of feedback[j][t] * error[j].
struct CircleMetric {
  float feedback[kN][kN];
  float weight[kN];
  int position[kN];  ///< of the block's metric, by place

  explicit CircleMetric(const BlockMetric& metric) {
    for (int p = 0; p < kN; ++p)
      position[trellis_place(metric.order[static_cast<std::size_t>(p)])] = p;
    double s[kN][kN];
    for (int i = 0; i < kN; ++i) {
      for (int j = 0; j <= i; ++j) s[i][j] = s[j][i] = moment(metric, position[i], position[j]);
    }
    // Places are eliminated from the last to the first: the last is the freest to make up for
    // others.
    for (int t = kN - 1; t >= 0; --t) {
      weight[t] = static_cast<float>(s[t][t]);
      for (int j = 0; j < t; ++j) feedback[j][t] = static_cast<float>(s[j][t] / s[t][t]);
      for (int i = 0; i < t; ++i) {
        const double share = s[i][t] / s[t][t];
        for (int j = 0; j < t; ++j) s[i][j] -= share * s[t][j];
      }
    }
  }

 private:
  static double moment(const BlockMetric& metric, int a, int b) {
    const float* row_a = metric.unit.data + a * metric.unit.stride;
    const float* row_b = metric.unit.data + b * metric.unit.stride;
    double sum = 0;
    for (int k = 0; k <= std::min(a, b); ++k)
      sum += double{metric.weight[k]} * (k == a ? 1 : row_a[k]) * (k == b ? 1 : row_b[k]);
    return sum;
  }
};

/// The open paths of kLanes rows.
class OpenPaths {
 public:
  OpenPaths(const Trellis& trellis, const CircleMetric& metric, Lanes scales,
            const int (&closed)[kLanes])
      : trellis_(trellis), metric_(metric), closed_(closed) {
    for (int q = 0; q < kTrellisTable; ++q) values_[q] = scales * trellis.value(q);
    for (int s = 0; s < trellis.states(); ++s) {
      for (int lane = 0; lane < kLanes; ++lane)
        cost_[s][lane] = s == closed[lane] ? 0 : std::numeric_limits<float>::infinity();
    }
  }

  void take(int t, Lanes center) {
    const int states = trellis_.states();
    Lanes wanted[kMostStates], next_cost[kMostStates];
    for (int s = 0; s < states; ++s) {
      wanted[s] = center;
      for (int j = 0; j < t; ++j) wanted[s] += metric_.feedback[j][t] * (*miss_)[s][j];
    }
    for (int s = 0; s < states; ++s) {
      Lanes least = Lanes{} + std::numeric_limits<float>::infinity();
      Lanes value{};
      Choices chosen{};
      for (int oldest = 0; oldest < trellis_.codes(); ++oldest) {
        const int q = trellis_.window_into(s, oldest);
        const int from = trellis_.state_before(q);
        const Lanes step = wanted[from] - values_[q];
        const Lanes cost = cost_[from] + metric_.weight[t] * step * step;
        const Choices better = cost < least;
        least = better ? cost : least;
        value = better ? values_[q] : value;
        chosen = better ? Choices{} + oldest : chosen;
      }
      next_cost[s] = least;
      oldest_[t][s] = chosen;
      follow(s, t, chosen);
      (*next_miss_)[s][t] = center - value;
    }
    std::copy_n(next_cost, states, cost_);
    std::swap(miss_, next_miss_);
  }

  void codes(int lane, std::uint8_t* out) const {
    const auto forgotten = [&](int t, int state) { return oldest_[t][state][lane]; };
    trace_path(trellis_, closed_[lane], forgotten, out);
  }

 private:
  /// The errors of the path that each row comes from.
  void follow(int state, int t, Choices chosen) {
    const int first = trellis_.state_before(trellis_.window_into(state, 0));
    for (int j = 0; j < t; ++j) {
      Lanes error = (*miss_)[first][j];
      for (int oldest = 1; oldest < trellis_.codes(); ++oldest)
        error = chosen == Choices{} + oldest ? (*miss_)[first + oldest][j] : error;
      (*next_miss_)[state][j] = error;
    }
  }

  using Misses = std::array<std::array<Lanes, kN>, kMostStates>;

  const Trellis& trellis_;
  const CircleMetric& metric_;
  const int (&closed_)[kLanes];
  Lanes values_[kTrellisTable];
  Lanes cost_[kMostStates];
  Misses buffers_[2] = {};
  Misses* miss_ = &buffers_[0];
  Misses* next_miss_ = &buffers_[1];
  Choices oldest_[kN][kMostStates];
};

}  // namespace

void TrellisCoder::round(const BlockMetric& metric, const float* center, int rows,
                         std::uint8_t* blocks, float* values, float* loss) {
  const CircleMetric circle(metric);
  const std::vector<float> weights = gathered_weights(metric);
  std::fill_n(values, kN * kRowChunk, 0.0f);
  for (int first = 0; first < rows; first += kLanes) {
    const int lanes = std::min(kLanes, rows - first);
    Lanes scales{};
    int closed[kLanes] = {};
    std::uint8_t codes[kN];
    float row[kN];
    for (int lane = 0; lane < lanes; ++lane) {
      std::uint8_t* block = blocks + (first + lane) * format_.block_bytes;
      gather_row(metric, center, first + lane, row);
      format_.encode(row, 1, weights.data(), block);
      scales[lane] = trellis_scale(block[0]);
      read_trellis_codes(trellis_, block + 1, codes);
      for (int age = trellis_.window - 2; age >= 0; --age)
        closed[lane] = closed[lane] >> trellis_.code_bits |
                       codes[kN - 1 - age] << (trellis_.code_bits * (trellis_.window - 2));
    }
    OpenPaths paths(trellis_, circle, scales, closed);
    for (int t = 0; t < kN; ++t)
      paths.take(t, load_lanes(center + circle.position[t] * kRowChunk + first));
    for (int lane = 0; lane < lanes; ++lane) {
      std::uint8_t* block = blocks + (first + lane) * format_.block_bytes;
      paths.codes(lane, codes);
      if (block[0] == 0) std::fill_n(codes, kN, std::uint8_t{0});
      write_trellis_codes(trellis_, codes, block + 1);
      format_.decode(block, 1, row);
      for (int t = 0; t < kN; ++t)
        values[circle.position[t] * kRowChunk + first + lane] = row[trellis_weight(t)];
    }
  }
  metric_loss(metric, center, values, loss);
}

}  // namespace checkbit
