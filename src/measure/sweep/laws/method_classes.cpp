// Classes of methods beside each other under one measurement.
//
// Formula: D = exp(a_m + g_c - s (bits - 4)). D: damage in nats per token; bits: per weight of the
//   file; m: model; c: class of method; g is 0 for the class with the most points, so exp(g_c) is
//   the damage of a class at equal bits beside that one.
// The paper compares classes in tables and states no formula; this is its comparison at equal bits
//   as one regression.
// Reference: "Benchmarking Post-Training Quantization in LLMs: Comprehensive Taxonomy, Unified
//   Evaluation, and Comparative Analysis" (there the classes compensate, rotate, scale by salience
//   or optimize; ours are listed in docs/measure.md).
#include <algorithm>
#include <cmath>
#include <map>

#include "measure/sweep/laws/law.h"

namespace checkbit {
namespace {

/// The class that has most points, then the others by name.
std::vector<std::string> classes_of(const std::vector<LawPoint>& points) {
  std::map<std::string, std::size_t> counts;
  for (const LawPoint& p : points) ++counts[p.point.candidate.method];
  std::vector<std::string> classes;
  for (const auto& [name, count] : counts) classes.push_back(name);
  const auto most =
      std::ranges::max_element(classes, {}, [&](const std::string& name) { return counts[name]; });
  if (most != classes.end()) std::iter_swap(classes.begin(), most);
  return classes;
}

void say_classes(FittedLaw& law, const std::vector<std::string>& classes) {
  for (std::size_t c = 1; c < classes.size(); ++c) {
    const Estimate& worth = law.parameters[c].fitted;
    if (!worth.interval.has_value()) continue;
    Estimate factor{std::exp(worth.value),
                    Interval{std::exp(worth.interval->low), std::exp(worth.interval->high)}};
    const bool sure = worth.interval->low > 0 || worth.interval->high < 0;
    law.findings.push_back(fmt::format("at equal bits {} has {} times the damage of {}{}",
                                       classes[c], detail::in_words(factor), classes[0],
                                       sure ? "" : ": not told apart"));
  }
}

FittedLaw fit(std::span<const LawPoint> all) {
  const std::vector<LawPoint> points = detail::quantized_points(all);
  std::vector<std::string> classes = classes_of(points);
  if (classes.size() < 2)
    return detail::refuse("method_classes", "two classes of methods are needed");
  std::vector<std::string> models;
  std::vector<std::size_t> model_of;
  std::vector<std::size_t> class_of;
  detail::LawDesign design{.names = {"slope"}, .start = {1}};
  for (std::size_t c = 1; c < classes.size(); ++c) {
    std::string name = "log_factor_" + classes[c];
    std::ranges::replace(name, ' ', '_');
    design.names.push_back(name);
    design.start.push_back(0);
  }
  for (const LawPoint& p : points) {
    model_of.push_back(detail::index_of(models, p.model));
    class_of.push_back(detail::index_of(classes, p.point.candidate.method));
    design.observed.push_back(std::log(p.point.damage.value));
  }
  for (const std::string& model : models) {
    design.names.push_back("log_damage_at_4_" + model);
    design.start.push_back(-2);
  }
  design.predict = [&](std::span<const double> parameters, std::size_t i) {
    const double factor = class_of[i] > 0 ? parameters[class_of[i]] : 0;
    return parameters[classes.size() + model_of[i]] + factor -
           parameters[0] * (points[i].bits() - 4);
  };
  FittedLaw law = detail::fit_design("method_classes", design);
  if (law.refused.empty()) say_classes(law, classes);
  return law;
}

}  // namespace

extern const Law method_classes_law;
const Law method_classes_law = {.name = "method_classes",
                                .paper = 70,
                                .title = "Classes of methods at equal bits",
                                .formula = "D = exp(a_m + g_c - slope (bits - 4))",
                                .fit = fit};

}  // namespace checkbit
