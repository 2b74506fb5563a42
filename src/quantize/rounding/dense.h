// Dense arithmetic of second moments: products of tall matrices, Cholesky factors.
//
// What: `add_products` adds A^T B to C for A [depth, rows] and B [depth, columns] row-major;
//   `factorize` writes a damped symmetric matrix H as U D U^T-like: H = L L^T with L lower, kept as
//   `unit` (L with its columns divided by their diagonal) and `weight` (the diagonal squared).
// Numbers: float; every element of C is summed over k in order, product and sum rounded apart, so
//   the result is the same bits for every instruction set and thread count.
// Errors: of factorize, false when a pivot is not positive (damp more).
// Threads: add_products is pure; factorize uses the pool.
// Reference: the factor is what GPTQ (arXiv 2210.17323) and LDLQ (QuIP, 2307.13304) feed back with.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace checkbit {

/// A row-major matrix that is not owned.
struct MatrixSpan {
  const float* data = nullptr;
  std::int64_t stride = 0;
};

/// C [rows, columns] += (or, with `subtract`, -=) A^T B.
void add_products(MatrixSpan a, MatrixSpan b, std::int64_t depth, float* c, std::int64_t c_stride,
                  std::int64_t rows, std::int64_t columns, bool subtract = false);

/// The lower triangle of C [n, n] += X^T X for X [depth, n]; above it anything may stand.
void add_moments(MatrixSpan x, std::int64_t depth, float* c, std::int64_t n, ThreadPool& pool);

struct Factor {
  std::int64_t n = 0;
  std::vector<float> unit;    ///< [n][n], lower; the diagonal is 1
  std::vector<float> weight;  ///< [n]
};

/// `lower` [n][n] holds the lower triangle and becomes `factor.unit`'s memory.
bool factorize(std::vector<float> lower, std::int64_t n, ThreadPool& pool, Factor& factor);

}  // namespace checkbit
