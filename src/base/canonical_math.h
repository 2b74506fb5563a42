// exp, log, sine and cosine in double, the same bits on every machine.
//
// What: built from +, -, *, / only, which IEEE 754 defines exactly; the C library's versions differ
//   between builds. Error below 1e-14 relative (absolute for sine and cosine with |x| <= 1e6;
//   2e-9 up to 1e7, still far below the binary32 they are rounded to).
// Preconditions: finite x; canonical_log: x > 0.
// Threads: pure functions.
#pragma once

namespace checkbit {

double canonical_exp(double x);
double canonical_log(double x);
void canonical_sincos(double x, double& sine, double& cosine);
/// base^exponent for base > 0.
inline double canonical_pow(double base, double exponent) { return canonical_exp(exponent * canonical_log(base)); }

}  // namespace checkbit
