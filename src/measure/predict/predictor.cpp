#include "measure/predict/predictor.h"

#include <algorithm>
#include <cmath>

namespace checkbit {

#define CHECKBIT_PREDICTOR(stem) extern const Predictor stem##_predictor;
#include "measure/predict/predictors.def"
#undef CHECKBIT_PREDICTOR

std::span<const Predictor* const> all_predictors() {
  static const Predictor* const kAll[] = {
#define CHECKBIT_PREDICTOR(stem) &stem##_predictor,
#include "measure/predict/predictors.def"
#undef CHECKBIT_PREDICTOR
  };
  return kAll;
}

const Predictor* find_predictor(std::string_view name) {
  const auto all = all_predictors();
  const auto found = std::ranges::find_if(all, [&](const Predictor* p) { return p->name == name; });
  return found == all.end() ? nullptr : *found;
}

std::string_view to_string(Failure failure) {
  return failure == Failure::changed ? "changed" : "wrong";
}

double late_residual(const TokenTable& table, std::size_t row) {
  const auto sizes = table.residual(row);
  if (sizes.empty()) return 0;
  const std::size_t count = std::max<std::size_t>(1, sizes.size() / 4);
  double sum = 0;
  for (const float size : sizes.last(count)) sum += static_cast<double>(size);
  return sum / static_cast<double>(count);
}

Design reference_features(const TokenTable& table) {
  Design design(6);
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const TokenRow& row = table.rows[r];
    const double late = late_residual(table, r);
    const double early = table.layers == 0 ? 0 : static_cast<double>(table.residual(r)[0]);
    design.add(std::vector<double>{static_cast<double>(row.entropy),
                                   static_cast<double>(row.top_log_probability),
                                   std::log1p(static_cast<double>(row.margin)), late, late - early,
                                   std::log1p(static_cast<double>(row.position))});
  }
  return design;
}

}  // namespace checkbit
