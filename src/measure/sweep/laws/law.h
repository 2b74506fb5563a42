// Published laws of what bits cost, fitted to what a store of sweeps holds.
//
// What: a law picks its points, states the formula with its parameters, and says in sentences what
//   the fit means and what these models cannot tell. Laws are listed in laws.def.
// Intervals: 95 %, from the covariance of the fit (score/fit.h); never more parameters than points
//   minus two. A parameter that the points do not determine has no interval and is named.
// Units: bits, nats, nats per byte of text.
// Threads: pure functions.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "measure/sweep/points.h"
#include "score/fit.h"

namespace checkbit {

/// A candidate of some model.
struct LawPoint {
  std::string model;
  std::string family;      ///< the model's name without its size
  double parameters = 0;   ///< of the model
  double source_bits = 0;  ///< per weight, of the file it was made of
  SweepPoint point;

  double bits() const { return point.file.bits_per_weight; }
  double total_bits() const { return 8 * static_cast<double>(point.file.file_bytes); }
};

struct LawParameter {
  std::string name;
  Estimate fitted;
};

struct FittedLaw {
  std::string name;
  std::vector<LawParameter> parameters;
  std::size_t points = 0;
  double residual_deviation = 0;      ///< in the units of the formula's left side
  std::string refused;                ///< why it was not fitted, or ""
  std::vector<std::string> findings;  ///< sentences
};

struct Law {
  std::string_view name;
  int paper = 0;  ///< its number in docs/systems.md
  std::string_view title;
  std::string_view formula;
  FittedLaw (*fit)(std::span<const LawPoint> points) = nullptr;
};

/// In the order of laws.def.
const std::vector<const Law*>& all_laws();

std::vector<LawPoint> law_points(const std::vector<StoredModel>& models);

/// "law_NAME_PARAMETER", with interval.
std::vector<Record> to_records(const FittedLaw& law, const std::string& command);

namespace detail {

/// A law's formula on its points.
struct LawDesign {
  std::vector<std::string> names;
  std::vector<double> start;
  std::vector<double> observed;
  std::function<double(std::span<const double> parameters, std::size_t point)> predict;
};

/// Fits and names what is not determined; refuses where there are too few points.
FittedLaw fit_design(std::string_view law, const LawDesign& design);
FittedLaw refuse(std::string_view law, std::string why);

/// The index of `name` in `names`, added when it is new.
std::size_t index_of(std::vector<std::string>& names, const std::string& name);

/// Points of real files with fewer bits than their source, that lost something but are not lost:
/// where damage follows from bits.
std::vector<LawPoint> quantized_points(std::span<const LawPoint> points);

/// "1 point", "12 points".
std::string counted_points(std::size_t count);

/// "4.1 [3.9, 4.3]".
std::string in_words(const Estimate& parameter);

/// Above this the model talks of something else and the damage no longer grows with the error.
inline constexpr double kLostDamage = 3;

}  // namespace detail

}  // namespace checkbit
