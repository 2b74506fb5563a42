// How fast a model is lost as its bits go down, and which methods fail where.
//
// Formula: D = exp(a_m - s_m (bits - 4)). D: damage in nats per token; bits: per weight of the
//   file; one line per model m. Rounding with half the step has a quarter of the error, so a
//   method that uses its bits well has s = 2 ln 2 = 1.39 per bit.
// Fails: the perplexity more than doubles.
// Reference: "How Good Are Low-bit Quantized LLaMA3 Models? An Empirical Study": tables of perplexity
//   and accuracy by method and bits, whose finding (little is lost at 4 bits, nearly all below 3)
//   this line sums up. The paper states no formula; the exponential is from the argument above.
#include <cmath>
#include <map>
#include <set>

#include "measure/sweep/laws/law.h"

namespace checkbit {
namespace {

constexpr double kReferenceBits = 4;
constexpr double kFailedRatio = 2;
constexpr double kNoticedDamage = 0.1;  ///< nats: about every tenth choice changes

void say_failures(FittedLaw& law, std::span<const LawPoint> points) {
  std::map<std::string, std::string> failed;
  for (const LawPoint& p : points) {
    if (p.point.candidate.emulated || p.point.perplexity_ratio.value <= kFailedRatio) continue;
    std::string& names = failed[p.model];
    names += fmt::format("{}{} ({:.2f} bits, {})", names.empty() ? "" : ", ",
                         p.point.candidate.name, p.bits(), p.point.candidate.method);
  }
  for (const auto& [model, names] : failed)
    law.findings.push_back(model + " fails (the perplexity more than doubles) with " + names);
}

FittedLaw fit(std::span<const LawPoint> all) {
  std::vector<LawPoint> points = detail::quantized_points(all);
  std::map<std::string, std::set<double>> bits;
  for (const LawPoint& p : points) bits[p.model].insert(p.bits());
  std::erase_if(points, [&](const LawPoint& p) { return bits[p.model].size() < 3; });
  if (points.empty()) {
    FittedLaw law = detail::refuse(
        "low_bit", "no model has three sizes below its own that lost something and are not lost");
    say_failures(law, all);
    return law;
  }
  std::vector<std::string> models;
  std::vector<std::size_t> model_of;
  for (const LawPoint& p : points) model_of.push_back(detail::index_of(models, p.model));
  detail::LawDesign design;
  for (const std::string& model : models) {
    design.names.push_back("log_damage_at_4_" + model);
    design.names.push_back("slope_" + model);
    design.start.push_back(-2);
    design.start.push_back(1);
  }
  for (const LawPoint& p : points) design.observed.push_back(std::log(p.point.damage.value));
  design.predict = [&](std::span<const double> parameters, std::size_t i) {
    const std::size_t at = 2 * model_of[i];
    return parameters[at] - parameters[at + 1] * (points[i].bits() - kReferenceBits);
  };
  FittedLaw law = detail::fit_design("low_bit", design);
  for (std::size_t m = 0; law.refused.empty() && m < models.size(); ++m) {
    const double slope = law.parameters[2 * m + 1].fitted.value;
    const double level = law.parameters[2 * m].fitted.value;
    law.findings.push_back(fmt::format(
        "{}: {} in log damage per bit (2 ln 2 = 1.39 for ideal rounding); {} nats at {:.2f} bits",
        models[m], detail::in_words(law.parameters[2 * m + 1].fitted), kNoticedDamage,
        kReferenceBits + (level - std::log(kNoticedDamage)) / slope));
  }
  say_failures(law, all);
  return law;
}

}  // namespace

extern const Law low_bit_law;
const Law low_bit_law = {.name = "low_bit",
                         .paper = 154,
                         .title = "Damage as bits go down",
                         .formula = "D = exp(a_m - slope_m (bits - 4))",
                         .fit = fit};

}  // namespace checkbit
