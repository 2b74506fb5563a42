#include "base/canonical_math.h"

#include <cmath>

namespace checkbit {
namespace {

constexpr double kLn2High = 6.93147180369123816490e-01;  // ln 2 with its last 20 bits zero
constexpr double kLn2Low = 1.90821492927058770002e-10;
// pi / 2 in three parts of 33 bits: n times the first two is exact for n < 2^20.
constexpr double kHalfPi1 = 1.57079632673412561417e+00;
constexpr double kHalfPi2 = 6.07710050630396597660e-11;
constexpr double kHalfPi3 = 2.02226624879595063154e-21;

/// Taylor sums from the smallest term; |r| <= pi/4 or ln 2 / 2.
double sine_series(double r) {
  const double s = r * r;
  double sum = 0;
  for (int k = 21; k >= 3; k -= 2) sum = -(sum + 1.0) * s / (k * (k - 1.0));
  return r + r * sum;
}

double cosine_series(double r) {
  const double s = r * r;
  double sum = 0;
  for (int k = 22; k >= 2; k -= 2) sum = -(sum + 1.0) * s / (k * (k - 1.0));
  return 1.0 + sum;
}

}  // namespace

double canonical_exp(double x) {
  if (x > 709.0) return HUGE_VAL;
  if (x < -745.0) return 0.0;
  const double n = std::nearbyint(x / 6.93147180559945286227e-01);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 1.0;
  for (int k = 18; k >= 1; --k) sum = 1.0 + sum * r / k;
  return std::ldexp(sum, static_cast<int>(n));
}

double canonical_log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // exact; m in [0.5, 1)
  if (m < 0.70710678118654752440) {
    m *= 2.0;
    --exponent;
  }
  // log m = 2 atanh(u), u = (m - 1) / (m + 1), |u| < 0.172
  const double u = (m - 1.0) / (m + 1.0);
  const double s = u * u;
  double sum = 0;
  for (int k = 25; k >= 3; k -= 2) sum = (sum + 1.0 / k) * s;
  return exponent * kLn2High + (exponent * kLn2Low + 2.0 * (u + u * sum));
}

void canonical_sincos(double x, double& sine, double& cosine) {
  const double n = std::nearbyint(x / 1.57079632679489655800e+00);
  const double r = ((x - n * kHalfPi1) - n * kHalfPi2) - n * kHalfPi3;
  const double s = sine_series(r);
  const double c = cosine_series(r);
  const long long quadrant = static_cast<long long>(n) & 3;
  sine = quadrant == 0 ? s : quadrant == 1 ? c : quadrant == 2 ? -s : -c;
  cosine = quadrant == 0 ? c : quadrant == 1 ? -s : quadrant == 2 ? -c : s;
}

}  // namespace checkbit
