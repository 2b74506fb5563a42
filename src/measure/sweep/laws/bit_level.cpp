// Families of models beside each other at the same total of bits.
//
// Formula: loss = exp(a_f) T^-b_f over the files of a family that no smaller file of it beats.
//   T: bits of the file over the mean of all; loss in nats per byte of text; b_f: what more bits
//   are worth, by more weights or by more bits per weight.
// Reference: "Dissecting Bit-Level Scaling Laws in Quantizing Vision Generative Models". It compares
//   the quality of pictures (two ways of generating them) at equal total bits by curves and states
//   no formula for them; the power law is the usual one of the loss over the size, with total bits
//   for parameters, and families of language models take the place of its two ways.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "measure/sweep/laws/law.h"

namespace checkbit {
namespace {

/// No file of the family is as small or smaller and has a lower loss.
bool on_front(const LawPoint& point, std::span<const LawPoint> points) {
  return std::ranges::none_of(points, [&](const LawPoint& other) {
    return other.family == point.family && !other.point.candidate.emulated &&
           other.total_bits() <= point.total_bits() &&
           other.point.loss_per_byte.value < point.point.loss_per_byte.value;
  });
}

void say_families(FittedLaw& law, const std::vector<std::string>& families,
                  const std::vector<LawPoint>& points) {
  std::string single;
  for (const std::string& family : families) {
    std::set<std::string> models;
    for (const LawPoint& p : points)
      if (p.family == family) models.insert(p.model);
    if (models.size() < 2) single += (single.empty() ? "" : ", ") + family;
  }
  if (!single.empty()) {
    law.findings.push_back(
        "only one size on the front of " + single +
        ": the exponent there is of bits per weight alone, not of size, and not comparable with "
        "the others");
  }
  if (families.size() < 2) return;
  std::size_t best = 0;
  for (std::size_t f = 1; f < families.size(); ++f)
    if (law.parameters[f].fitted.value < law.parameters[best].fitted.value) best = f;
  law.findings.push_back("at the mean total of bits " + families[best] +
                         " has the lowest loss: log loss " +
                         detail::in_words(law.parameters[best].fitted));
}

FittedLaw fit(std::span<const LawPoint> all) {
  std::map<std::string, std::size_t> counts;
  std::vector<LawPoint> front;
  for (const LawPoint& p : all) {
    if (p.point.candidate.emulated || !on_front(p, all)) continue;
    front.push_back(p);
    ++counts[p.family];
  }
  std::erase_if(front, [&](const LawPoint& p) { return counts[p.family] < 3; });
  if (front.empty()) return detail::refuse("bit_level", "no family has three files on its front");
  double mean_log = 0;
  std::vector<std::string> families;
  std::vector<std::size_t> family_of;
  for (const LawPoint& p : front) {
    mean_log += std::log(p.total_bits()) / static_cast<double>(front.size());
    family_of.push_back(detail::index_of(families, p.family));
  }
  detail::LawDesign design;
  for (const std::string& family : families) {
    design.names.push_back("log_loss_" + family);
    design.start.push_back(0);
  }
  for (const std::string& family : families) {
    design.names.push_back("exponent_" + family);
    design.start.push_back(0.1);
  }
  for (const LawPoint& p : front) design.observed.push_back(std::log(p.point.loss_per_byte.value));
  design.predict = [&](std::span<const double> parameters, std::size_t i) {
    return parameters[family_of[i]] - parameters[families.size() + family_of[i]] *
                                          (std::log(front[i].total_bits()) - mean_log);
  };
  FittedLaw law = detail::fit_design("bit_level", design);
  if (law.refused.empty()) say_families(law, families, front);
  return law;
}

}  // namespace

extern const Law bit_level_law;
const Law bit_level_law = {.name = "bit_level",
                           .paper = 78,
                           .title = "Families at the same total of bits",
                           .formula = "loss = exp(a_f) (T / mean T)^-exponent_f",
                           .fit = fit};

}  // namespace checkbit
