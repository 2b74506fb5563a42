// The derivative of each step, one function each. Gradients are added to what stands there.
//
// Threads: pure but for back_linear, which uses the pool.
#pragma once

#include <cstdint>
#include <vector>

#include "arch/model.h"
#include "base/thread_pool.h"
#include "guard/backward.h"

namespace checkbit {

struct Matrix {
  Matrix() = default;
  Matrix(std::int64_t r, std::int64_t c)
      : rows(r), columns(c), values(static_cast<std::size_t>(r * c)) {}
  float* row(std::int64_t r) { return values.data() + r * columns; }
  const float* row(std::int64_t r) const { return values.data() + r * columns; }
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::vector<float> values;
};

/// out += factor * x, [n].
void add_scaled(const float* x, float factor, std::int64_t n, float* out);

/// Norms of `group` values each, with one weight [group] for all.
void back_rms_norm(const Matrix& in, const float* weight, float epsilon, std::int64_t group,
                   const Matrix& out_gradient, Matrix& in_gradient);
void back_gate(bool gelu, const Matrix& gate, const Matrix& up, const Matrix& out_gradient,
               Matrix& gate_gradient, Matrix& up_gradient);
void back_softcap(float cap, const Matrix& out, Matrix& gradient);
/// Turns heads back: rows stand at positions 0, 1, ...
void back_rope(const RopeParameters& parameters, const float* factors, RopePairing pairing,
               std::int64_t head_size, Matrix& gradient);
void back_attention(const Hyperparameters& h, std::int64_t layer, const Matrix& query,
                    const Matrix& key, const Matrix& value, const Matrix& out_gradient,
                    Matrix& query_gradient, Matrix& key_gradient, Matrix& value_gradient);
void back_linear(const PackedMatrix& matrix, const MatrixGradient& gradient, ThreadPool& pool,
                 Matrix& in_gradient);

}  // namespace checkbit
