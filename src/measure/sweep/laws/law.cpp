#include "measure/sweep/laws/law.h"

#include <algorithm>

#include "report/number.h"
#include "score/estimate_record.h"

namespace checkbit {

#define CHECKBIT_LAW(name) extern const Law name##_law;
#include "measure/sweep/laws/laws.def"
#undef CHECKBIT_LAW

const std::vector<const Law*>& all_laws() {
  static const std::vector<const Law*> laws = {
#define CHECKBIT_LAW(name) &name##_law,
#include "measure/sweep/laws/laws.def"
#undef CHECKBIT_LAW
  };
  return laws;
}

std::vector<LawPoint> law_points(const std::vector<StoredModel>& models) {
  std::vector<LawPoint> points;
  for (const StoredModel& stored : models) {
    const std::string& name = stored.model.name;
    for (SweepPoint& point : points_of(stored)) {
      points.push_back({.model = name,
                        .family = name.substr(0, name.rfind('-')),
                        .parameters = static_cast<double>(stored.model.parameters),
                        .source_bits = stored.model.bits_per_weight,
                        .point = std::move(point)});
    }
  }
  return points;
}

std::vector<Record> to_records(const FittedLaw& law, const std::string& command) {
  std::vector<Record> records;
  for (const LawParameter& parameter : law.parameters) {
    records.push_back(
        record_of("law_" + law.name + "_" + parameter.name, "", parameter.fitted, command));
  }
  return records;
}

namespace detail {

FittedLaw refuse(std::string_view law, std::string why) {
  FittedLaw fitted;
  fitted.name = law;
  fitted.refused = std::move(why);
  return fitted;
}

FittedLaw fit_design(std::string_view law, const LawDesign& design) {
  CB_CHECK(design.names.size() == design.start.size());
  const FitProblem problem{.points = design.observed.size(),
                           .start = design.start,
                           .residual = [&](std::span<const double> parameters, std::size_t point) {
                             return design.predict(parameters, point) - design.observed[point];
                           }};
  const Result<Fit> fit = fit_least_squares(problem);
  if (!fit.ok()) return refuse(law, fit.error().message);
  FittedLaw fitted;
  fitted.name = law;
  fitted.points = problem.points;
  fitted.residual_deviation = fit->residual_deviation;
  std::string unknown;
  for (std::size_t i = 0; i < design.names.size(); ++i) {
    fitted.parameters.push_back({design.names[i], fit->parameters[i]});
    if (!fit->parameters[i].interval.has_value())
      unknown += (unknown.empty() ? "" : ", ") + design.names[i];
  }
  if (!unknown.empty()) fitted.findings.push_back("these points do not determine " + unknown);
  if (!fit->converged) fitted.findings.push_back("the fit has not settled: take it as a hint only");
  return fitted;
}

std::size_t index_of(std::vector<std::string>& names, const std::string& name) {
  const auto found = std::ranges::find(names, name);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  names.push_back(name);
  return names.size() - 1;
}

std::vector<LawPoint> quantized_points(std::span<const LawPoint> points) {
  std::vector<LawPoint> chosen;
  std::ranges::copy_if(points, std::back_inserter(chosen), [](const LawPoint& p) {
    return !p.point.candidate.emulated && p.bits() < p.source_bits && p.point.damage.value > 0 &&
           p.point.damage.value <= kLostDamage;
  });
  return chosen;
}

std::string counted_points(std::size_t count) {
  return fmt::format("{} point{}", count, count == 1 ? "" : "s");
}

std::string in_words(const Estimate& parameter) {
  return print_with_interval(record_of("", "", parameter));
}

}  // namespace detail

}  // namespace checkbit
