// Which number of bits per weight is best when the total is given.
//
// Formula: loss = a_k + b (log2 T - x0). T: bits of the file; k: bits per weight, rounded; one
//   slope for all k, since scaling curves of different precisions run in parallel; loss in nats per
//   byte of text, so that models with different tokenizers can be compared; x0: the mean of log2 T.
// Reference: "The case for 4-bit precision: k-bit Inference Scaling Laws". It states no formula: mean
//   zero-shot accuracy is joined by straight lines over log2 of the total bits, one line for each k
//   within a family of models, and these lines are found to run nearly in parallel. Ours is that
//   observation as a least-squares fit, on the loss in place of accuracy, over families together.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "measure/sweep/laws/law.h"
#include "report/number.h"

namespace checkbit {
namespace {

int rounded_bits(const LawPoint& point) { return static_cast<int>(std::lround(point.bits())); }

/// Real files at numbers of bits that at least two models have.
std::vector<LawPoint> comparable(std::span<const LawPoint> points) {
  std::map<int, std::set<std::string>> models;
  for (const LawPoint& p : points)
    if (!p.point.candidate.emulated) models[rounded_bits(p)].insert(p.model);
  std::vector<LawPoint> chosen;
  std::ranges::copy_if(points, std::back_inserter(chosen), [&](const LawPoint& p) {
    return !p.point.candidate.emulated && models[rounded_bits(p)].size() > 1;
  });
  return chosen;
}

void say_best(FittedLaw& law, double mean_log2) {
  const auto lowest =
      std::ranges::min_element(law.parameters.begin() + 1, law.parameters.end(), {},
                               [](const LawParameter& p) { return p.fitted.value; });
  std::string as_good;
  for (auto p = law.parameters.begin() + 1; p != law.parameters.end(); ++p) {
    if (p == lowest || !p->fitted.interval.has_value()) continue;
    if (p->fitted.interval->low <= lowest->fitted.value) as_good += " " + p->name;
  }
  law.findings.push_back(fmt::format(
      "at the same total of bits (here {}) the loss is lowest for {}: {} nats per byte{}",
      print_quantity(std::exp2(mean_log2) / 8, "bytes"), lowest->name,
      detail::in_words(lowest->fitted),
      as_good.empty() ? "" : "; its interval does not rule out" + as_good));
}

FittedLaw fit(std::span<const LawPoint> all) {
  const std::vector<LawPoint> points = comparable(all);
  std::set<std::string> models;
  std::set<std::string> families;
  double mean_log2 = 0;
  for (const LawPoint& p : points) {
    models.insert(p.model);
    families.insert(p.family);
    mean_log2 += std::log2(p.total_bits()) / static_cast<double>(points.size());
  }
  if (models.size() < 2)
    return detail::refuse("kbit_inference", "two models with the same bits per weight are needed");
  std::vector<int> bits;
  for (const LawPoint& p : points) bits.push_back(rounded_bits(p));
  std::ranges::sort(bits);
  bits.erase(std::unique(bits.begin(), bits.end()), bits.end());

  detail::LawDesign design{.names = {"slope"}, .start = {0}};
  for (const int k : bits) {
    design.names.push_back(fmt::format("{}bit", k));
    design.start.push_back(1);
  }
  std::vector<std::size_t> groups;
  for (const LawPoint& p : points) {
    groups.push_back(
        static_cast<std::size_t>(std::ranges::find(bits, rounded_bits(p)) - bits.begin()));
    design.observed.push_back(p.point.loss_per_byte.value);
  }
  design.predict = [&](std::span<const double> parameters, std::size_t i) {
    return parameters[1 + groups[i]] +
           parameters[0] * (std::log2(points[i].total_bits()) - mean_log2);
  };
  FittedLaw law = detail::fit_design("kbit_inference", design);
  if (!law.refused.empty()) return law;
  say_best(law, mean_log2);
  if (families.size() > 1) {
    law.findings.push_back(fmt::format(
        "the {} models are of {} families, trained on different texts: the slope is that of these "
        "models, and size cannot be told apart from training",
        models.size(), families.size()));
  }
  return law;
}

}  // namespace

extern const Law kbit_inference_law;
const Law kbit_inference_law = {.name = "kbit_inference",
                                .paper = 34,
                                .title = "Bits per weight at a given total of bits",
                                .formula = "loss = a_k + slope (log2 T - mean log2 T)",
                                .fit = fit};

}  // namespace checkbit
