// What exponent bits, mantissa bits and the size of blocks are worth.
//
// Formula: D = c_m log2(B) / ((E + 0.5)^delta (M + 0.5)^nu). D: damage in nats per token, E and M:
//   exponent and mantissa bits, B: weights that share a scale, c_m: one constant per model.
// The paper's joint law is L = n / N^alpha + d / T^beta + epsilon + (T^beta / N^alpha) log2(B) /
//   (gamma (E + 0.5)^delta (M + 0.5)^nu), N parameters and T training tokens: its last term is ours,
//   with c_m = T^beta / (gamma N^alpha). Two things are not the paper's. Its last term is the loss
//   added by training in the format (weights, activations and gradients), ours the divergence after
//   weights alone were rounded. And alpha, beta and gamma cannot be told apart from models that are
//   trained once, on texts of unknown length.
// Best layout: of E + M bits the law wants (E + 0.5) / (M + 0.5) = delta / nu.
// Reference: "Scaling Laws for Floating Point Quantization Training", the joint law over E, M, B.
#include <algorithm>
#include <cmath>

#include "measure/sweep/laws/law.h"

namespace checkbit {
namespace {

constexpr std::size_t kDelta = 0;
constexpr std::size_t kNu = 1;
constexpr std::size_t kConstants = 2;

void say_layouts(FittedLaw& law) {
  const double delta = law.parameters[kDelta].fitted.value;
  const double nu = law.parameters[kNu].fitted.value;
  std::string layouts;
  for (const int bits : {4, 5, 6, 8}) {
    int best = 0;
    double best_worth = -1;
    for (int e = 0; e < bits; ++e) {
      const double worth = std::pow(e + 0.5, delta) * std::pow(bits - 1 - e + 0.5, nu);
      if (worth > best_worth) {
        best = e;
        best_worth = worth;
      }
    }
    layouts +=
        fmt::format("{}{} bits e{}m{}", layouts.empty() ? "" : ", ", bits, best, bits - 1 - best);
  }
  law.findings.push_back("layouts that the fit prefers: " + layouts);
}

FittedLaw fit(std::span<const LawPoint> all) {
  std::vector<LawPoint> points;
  std::size_t lost = 0;
  for (const LawPoint& p : all) {
    if (!p.point.candidate.emulated || p.point.candidate.block < 2) continue;
    const double damage = p.point.damage.value;
    if (damage > detail::kLostDamage) ++lost;
    if (damage > 0 && damage <= detail::kLostDamage) points.push_back(p);
  }
  if (points.empty())
    return detail::refuse("float_format", "no emulated floats were measured (--types e2m1,e3m2)");
  std::vector<std::string> models;
  std::vector<std::size_t> model_of;
  for (const LawPoint& p : points) model_of.push_back(detail::index_of(models, p.model));
  detail::LawDesign design{.names = {"delta", "nu"}, .start = {1, 1}};
  for (const std::string& model : models) {
    design.names.push_back("log_c_" + model);
    design.start.push_back(0);
  }
  for (const LawPoint& p : points) design.observed.push_back(std::log(p.point.damage.value));
  design.predict = [&](std::span<const double> parameters, std::size_t i) {
    const SweepCandidate& c = points[i].point.candidate;
    return parameters[kConstants + model_of[i]] + std::log(std::log2(c.block)) -
           parameters[kDelta] * std::log(c.exponent_bits + 0.5) -
           parameters[kNu] * std::log(c.mantissa_bits + 0.5);
  };
  FittedLaw law = detail::fit_design("float_format", design);
  if (!law.refused.empty()) return law;
  if (law.parameters[kDelta].fitted.interval && law.parameters[kNu].fitted.interval)
    say_layouts(law);
  law.findings.push_back(
      "alpha, beta and gamma of the paper's law are in one constant per model: each model was "
      "trained once, on a text of unknown length, and rounded afterwards");
  if (lost > 0) {
    law.findings.push_back(
        fmt::format("{} with more than {} nats {} left out", detail::counted_points(lost),
                    detail::kLostDamage, lost == 1 ? "is" : "are"));
  }
  return law;
}

}  // namespace

extern const Law float_format_law;
const Law float_format_law = {.name = "float_format",
                              .paper = 32,
                              .title = "Exponent, mantissa and block of floats",
                              .formula = "D = c_m log2(B) / ((E + 0.5)^delta (M + 0.5)^nu)",
                              .fit = fit};

}  // namespace checkbit
