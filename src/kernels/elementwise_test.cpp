// Norms, activations and sums: the same bits from every instruction set for every length, and
// within stated distances of the functions they stand for, computed in double.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "kernels/kernel_test_inputs.h"

namespace checkbit {
namespace {

constexpr std::int64_t kLongest = 70;
constexpr std::int64_t kGuard = 16;
constexpr float kUntouched = 777.0f;

/// Runs `kernel(kernels, n, out)` for every length and instruction set, `out` starting as `start`.
/// Nothing behind out[n] may change; `check(n, out)` sees the common answer.
using RunKernel = std::function<void(const Kernels&, std::int64_t n, float* out)>;
using CheckOutput = std::function<void(std::int64_t n, const std::vector<float>& out)>;

void for_every_length(const std::vector<float>& start, const RunKernel& run,
                      const CheckOutput& check) {
  for (std::int64_t n = 1; n <= kLongest; ++n) {
    std::vector<float> expected;
    for (const Isa isa : present_isas()) {
      const Kernels& kernels = kernels_for(isa);
      ASSERT_EQ(kernels.isa, isa);
      std::vector<float> out(start.begin(), start.begin() + n);
      out.resize(static_cast<std::size_t>(n + kGuard), kUntouched);
      run(kernels, n, out.data());
      for (std::int64_t i = n; i < n + kGuard; ++i)
        ASSERT_EQ(out[static_cast<std::size_t>(i)], kUntouched) << n << " " << i;
      out.resize(static_cast<std::size_t>(n));
      if (expected.empty()) expected = out;
      const auto different = first_difference(out, expected);
      ASSERT_EQ(different, -1) << to_string(isa) << ", n = " << n << ": "
                               << out[static_cast<std::size_t>(different)] << " instead of "
                               << expected[static_cast<std::size_t>(different)];
    }
    check(n, expected);
  }
}

/// |got - want| <= share * |want| + least for every element.
void expect_close(const std::vector<float>& got, const std::function<double(std::size_t)>& want,
                  double share, double least) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want(i), share * std::abs(want(i)) + least)
        << "n = " << got.size() << ", element " << i;
  }
}

const std::vector<float> kX = random_floats(11, kLongest, 6);
const std::vector<float> kY = random_floats(12, kLongest, 2);

constexpr double kUlp = 0x1p-23;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double gelu(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

TEST(Elementwise, Add) {
  for_every_length(
      kX, [](const Kernels& k, std::int64_t n, float* out) { k.add(kY.data(), n, out); },
      [](std::int64_t, const std::vector<float>& out) {
        expect_close(
            out, [](std::size_t i) { return double{kX[i] + kY[i]}; }, 0, 0);
      });
}

TEST(Elementwise, Scale) {
  for_every_length(
      kX, [](const Kernels& k, std::int64_t n, float* out) { k.scale(1.7f, n, out); },
      [](std::int64_t, const std::vector<float>& out) {
        expect_close(
            out, [](std::size_t i) { return double{kX[i] * 1.7f}; }, 0, 0);
      });
}

TEST(Elementwise, Softcap) {
  for_every_length(
      kX, [](const Kernels& k, std::int64_t n, float* out) { k.softcap(3.0f, n, out); },
      [](std::int64_t, const std::vector<float>& out) {
        // 2 sigmoid - 1 cancels near zero, hence the absolute part.
        expect_close(
            out, [](std::size_t i) { return 3 * std::tanh(double{kX[i]} / 3); }, 2 * kUlp,
            3 * 3 * kUlp);
      });
}

TEST(Elementwise, SiluMultiply) {
  for_every_length(
      kX,
      [](const Kernels& k, std::int64_t n, float* out) { k.silu_multiply(out, kY.data(), n, out); },
      [](std::int64_t, const std::vector<float>& out) {
        expect_close(
            out, [](std::size_t i) { return kX[i] * sigmoid(kX[i]) * kY[i]; }, 5 * kUlp, 0);
      });
}

TEST(Elementwise, GeluMultiply) {
  for_every_length(
      kX,
      [](const Kernels& k, std::int64_t n, float* out) { k.gelu_multiply(out, kY.data(), n, out); },
      [](std::int64_t, const std::vector<float>& out) {
        // Far below zero the argument of exp is large, and so is the error of its rounding.
        expect_close(
            out, [](std::size_t i) { return gelu(kX[i]) * kY[i]; }, 40 * kUlp, 1e-12);
      });
}

TEST(Elementwise, RmsNorm) {
  constexpr float kEpsilon = 0.01f;
  for_every_length(
      kX,
      [](const Kernels& k, std::int64_t n, float* out) {
        k.rms_norm(out, kY.data(), kEpsilon, n, out);
      },
      [](std::int64_t n, const std::vector<float>& out) {
        double squares = 0;
        for (std::int64_t i = 0; i < n; ++i)
          squares += double{kX[static_cast<std::size_t>(i)]} * kX[static_cast<std::size_t>(i)];
        const double inverse = 1 / std::sqrt(squares / static_cast<double>(n) + double{kEpsilon});
        expect_close(
            out, [&](std::size_t i) { return kX[i] * inverse * kY[i]; }, 4 * kUlp, 0);
      });
}

TEST(Elementwise, RmsNormSumsInTheCanonicalTree) {
  const auto x = random_floats(5, 1000, 100);
  float lanes[16] = {};
  for (std::size_t i = 0; i < x.size(); ++i) lanes[i % 16] = std::fma(x[i], x[i], lanes[i % 16]);
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  const float inverse = 1.0f / std::sqrt(lanes[0] / 1000.0f + 1e-5f);
  const std::vector<float> weight(1000, 1.0f);
  std::vector<float> expected;
  for (const float v : x) expected.push_back(v * inverse);
  float in_order = 0;
  for (const float v : x) in_order = std::fma(v, v, in_order);
  EXPECT_NE(in_order, lanes[0]) << "another order must be visible";
  for (const Isa isa : present_isas()) {
    std::vector<float> out(1000);
    kernels_for(isa).rms_norm(x.data(), weight.data(), 1e-5f, 1000, out.data());
    EXPECT_EQ(first_difference(out, expected), -1) << to_string(isa);
  }
}

TEST(Elementwise, Exponentials) {
  for_every_length(
      kX, [](const Kernels& k, std::int64_t n, float* out) { k.exponentials(out, 1.5f, n, out); },
      [](std::int64_t, const std::vector<float>& out) {
        expect_close(
            out, [](std::size_t i) { return std::exp(double{kX[i] - 1.5f}); }, 2 * kUlp, 0);
      });
}

TEST(Elementwise, ExponentialIsWithinTwoUlpOverItsRange) {
  std::vector<float> x;
  for (int i = -87 * 4096; i <= 88 * 4096; i += 3) x.push_back(static_cast<float>(i) / 4096.0f);
  const auto n = static_cast<std::int64_t>(x.size());
  std::vector<float> first;
  for (const Isa isa : present_isas()) {
    std::vector<float> y(x.size());
    kernels_for(isa).exponentials(x.data(), 0, n, y.data());
    if (first.empty()) first = y;
    EXPECT_EQ(first_difference(y, first), -1) << to_string(isa);
  }
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, std::abs(first[i] / std::exp(double{x[i]}) - 1));
  RecordProperty("worst_relative", std::to_string(worst / kUlp) + " ulp");
  EXPECT_LE(worst, 2 * kUlp);
}

TEST(Elementwise, ExponentialOutsideItsRange) {
  for (const Isa isa : present_isas()) {
    const std::vector<float> x = {-INFINITY, -1e30f, -87.5f, -87.0f,   0.0f,
                                  -0.0f,     88.0f,  1e30f,  INFINITY, 1e-45f};
    std::vector<float> y(x.size());
    kernels_for(isa).exponentials(x.data(), 0, static_cast<std::int64_t>(x.size()), y.data());
    EXPECT_EQ(y[0], 0.0f);
    EXPECT_EQ(y[1], 0.0f);
    EXPECT_EQ(y[2], 0.0f);
    EXPECT_GT(y[3], 0.0f);
    EXPECT_EQ(y[4], 1.0f);
    EXPECT_EQ(y[5], 1.0f);
    EXPECT_EQ(y[7], y[6]) << "clamped at 88";
    EXPECT_EQ(y[8], y[6]);
    EXPECT_EQ(y[9], 1.0f);
  }
}

}  // namespace
}  // namespace checkbit
