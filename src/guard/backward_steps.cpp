#include "guard/backward_steps.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "arch/rope.h"

namespace checkbit {
namespace {

/// Four floats at a time.
using Four = float __attribute__((vector_size(16)));

Four load_four(const float* from) {
  Four four;
  std::memcpy(&four, from, sizeof four);
  return four;
}

float dot(const float* a, const float* b, std::int64_t n) {
  Four sums{};
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) sums += load_four(a + i) * load_four(b + i);
  float total = (sums[0] + sums[2]) + (sums[1] + sums[3]);
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

/// Softmax of the scores of one query over the keys it sees.
struct Attended {
  std::int64_t first = 0;
  std::vector<float> weights;
};

Attended attended(const Hyperparameters& h, std::int64_t layer, std::int64_t t, const float* query,
                  const Matrix& key, std::int64_t key_head) {
  Attended a{.first = h.first_seen(layer, t), .weights = {}};
  float most = -INFINITY;
  for (std::int64_t s = a.first; s <= t; ++s) {
    a.weights.push_back(h.attention_scale *
                        dot(query, key.row(s) + key_head * h.head_size, h.head_size));
    most = std::max(most, a.weights.back());
  }
  float total = 0;
  for (float& w : a.weights) total += w = std::exp(w - most);
  for (float& w : a.weights) w /= total;
  return a;
}

}  // namespace

void add_scaled(const float* x, float factor, std::int64_t n, float* out) {
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const Four v = load_four(out + i) + factor * load_four(x + i);
    std::memcpy(out + i, &v, sizeof v);
  }
  for (; i < n; ++i) out[i] += factor * x[i];
}

void back_rms_norm(const Matrix& in, const float* weight, float epsilon, std::int64_t group,
                   const Matrix& out_gradient, Matrix& in_gradient) {
  for (std::int64_t t = 0; t < in.rows; ++t) {
    for (std::int64_t at = 0; at < in.columns; at += group) {
      const float* x = in.row(t) + at;
      const float* g = out_gradient.row(t) + at;
      float* to = in_gradient.row(t) + at;
      const float inverse = 1 / std::sqrt(dot(x, x, group) / static_cast<float>(group) + epsilon);
      float along = 0;
      for (std::int64_t i = 0; i < group; ++i) along += g[i] * weight[i] * x[i];
      along *= inverse * inverse * inverse / static_cast<float>(group);
      for (std::int64_t i = 0; i < group; ++i) to[i] += g[i] * weight[i] * inverse - along * x[i];
    }
  }
}

void back_gate(bool gelu, const Matrix& gate, const Matrix& up, const Matrix& out_gradient,
               Matrix& gate_gradient, Matrix& up_gradient) {
  for (std::size_t i = 0; i < gate.values.size(); ++i) {
    const float x = gate.values[i];
    // Both are x * sigmoid(inner(x)).
    const float inner = gelu ? 1.5957691216f * (x + 0.044715f * x * x * x) : x;
    const float slope = gelu ? 1.5957691216f * (1 + 3 * 0.044715f * x * x) : 1;
    const float s = 1 / (1 + std::exp(-inner));
    const float g = out_gradient.values[i];
    up_gradient.values[i] += g * x * s;
    gate_gradient.values[i] += g * up.values[i] * (s + x * s * (1 - s) * slope);
  }
}

void back_softcap(float cap, const Matrix& out, Matrix& gradient) {
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    const float share = out.values[i] / cap;
    gradient.values[i] *= 1 - share * share;
  }
}

void back_rope(const RopeParameters& parameters, const float* factors, RopePairing pairing,
               std::int64_t head_size, Matrix& gradient) {
  const Rope rope(parameters, factors);
  const std::int64_t pairs = rope.pairs();
  std::vector<float> cosines(static_cast<std::size_t>(pairs));
  std::vector<float> sines(static_cast<std::size_t>(pairs));
  for (std::int64_t t = 0; t < gradient.rows; ++t) {
    rope.table(t, cosines.data(), sines.data());
    for (float& s : sines) s = -s;
    for (std::int64_t at = 0; at < gradient.columns; at += head_size)
      rotate(gradient.row(t) + at, pairs, pairing, cosines.data(), sines.data());
  }
}

void back_attention(const Hyperparameters& h, std::int64_t layer, const Matrix& query,
                    const Matrix& key, const Matrix& value, const Matrix& out_gradient,
                    Matrix& query_gradient, Matrix& key_gradient, Matrix& value_gradient) {
  const std::int64_t shared = h.heads / h.key_value_heads;
  for (std::int64_t t = 0; t < query.rows; ++t) {
    for (std::int64_t head = 0; head < h.heads; ++head) {
      const std::int64_t kv = head / shared;
      const float* q = query.row(t) + head * h.head_size;
      const float* g = out_gradient.row(t) + head * h.value_size;
      const Attended a = attended(h, layer, t, q, key, kv);
      std::vector<float> by_weight;
      float mean = 0;
      for (std::size_t i = 0; i < a.weights.size(); ++i) {
        const std::int64_t s = a.first + static_cast<std::int64_t>(i);
        by_weight.push_back(dot(g, value.row(s) + kv * h.value_size, h.value_size));
        mean += a.weights[i] * by_weight.back();
        add_scaled(g, a.weights[i], h.value_size, value_gradient.row(s) + kv * h.value_size);
      }
      for (std::size_t i = 0; i < a.weights.size(); ++i) {
        const std::int64_t s = a.first + static_cast<std::int64_t>(i);
        const float by_score = h.attention_scale * a.weights[i] * (by_weight[i] - mean);
        add_scaled(key.row(s) + kv * h.head_size, by_score, h.head_size,
                   query_gradient.row(t) + head * h.head_size);
        add_scaled(q, by_score, h.head_size, key_gradient.row(s) + kv * h.head_size);
      }
    }
  }
}

void back_linear(const PackedMatrix& matrix, const MatrixGradient& gradient, ThreadPool& pool,
                 Matrix& in_gradient) {
  // Parts of a fixed number, added in order: the same bits whatever the threads.
  constexpr std::int64_t kParts = 8;
  std::vector<Matrix> parts(kParts);
  pool.for_ranges(kParts, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(static_cast<std::size_t>(matrix.columns()));
    for (std::int64_t part = begin; part < end; ++part) {
      Matrix& mine = parts[static_cast<std::size_t>(part)];
      mine = Matrix(in_gradient.rows, in_gradient.columns);
      for (std::int64_t r = matrix.rows() * part / kParts; r < matrix.rows() * (part + 1) / kParts;
           ++r) {
        if (!gradient.matters(r)) continue;
        matrix.decode_row(r, row.data());
        for (std::int64_t t = 0; t < gradient.n_tokens; ++t)
          add_scaled(row.data(), gradient.out_gradient[t * gradient.rows + r], matrix.columns(),
                     mine.row(t));
      }
    }
  });
  for (const Matrix& part : parts) {
    for (std::size_t i = 0; i < part.values.size(); ++i) in_gradient.values[i] += part.values[i];
  }
}

}  // namespace checkbit
