#include "score/quantile_sketch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace checkbit {
namespace {

struct Golden {
  std::vector<double> values;
  std::vector<double> q;
  std::vector<double> expected;
};

Golden golden() {
  std::ifstream file(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/report_score.json");
  const auto data = nlohmann::json::parse(file)["quantiles"];
  return {data["values"], data["q"], data["expected"]};
}

QuantileSketch sketch_of(const std::vector<double>& values) {
  QuantileSketch sketch;
  for (const double value : values) sketch.add(value);
  return sketch;
}

TEST(QuantileSketch, StaysWithinItsPromiseOfNumpy) {
  const Golden data = golden();
  const QuantileSketch sketch = sketch_of(data.values);
  for (std::size_t i = 0; i < data.q.size(); ++i) {
    EXPECT_NEAR(sketch.quantile(data.q[i]), data.expected[i],
                data.expected[i] * QuantileSketch::kRelativeError)
        << "q " << data.q[i];
  }
  EXPECT_EQ(sketch.max(), *std::max_element(data.values.begin(), data.values.end()));
  EXPECT_EQ(sketch.count(), data.values.size());
}

TEST(QuantileSketch, HoldsForEveryMagnitude) {
  for (double value = 1.1e-12; value < 9e5; value *= 1.0137) {
    QuantileSketch sketch = sketch_of({value, value, value * 2});
    EXPECT_NEAR(sketch.quantile(0), value, value * QuantileSketch::kRelativeError);
  }
}

TEST(QuantileSketch, OrderAndSplitDoNotMatter) {
  Golden data = golden();
  const QuantileSketch forward = sketch_of(data.values);
  std::reverse(data.values.begin(), data.values.end());
  const auto middle = data.values.begin() + 400;
  QuantileSketch merged = sketch_of({data.values.begin(), middle});
  merged.merge(sketch_of({middle, data.values.end()}));
  for (const double q : data.q) EXPECT_EQ(forward.quantile(q), merged.quantile(q));
  EXPECT_NEAR(forward.mean(), merged.mean(), 1e-12 * forward.mean());
  EXPECT_EQ(forward.max(), merged.max());
}

TEST(QuantileSketch, EdgesAreKept) {
  const QuantileSketch sketch = sketch_of({0, 0, 0, 1e-13, 2e6, 5e7});
  EXPECT_EQ(sketch.quantile(0), 0);
  EXPECT_EQ(sketch.quantile(0.5), 0);
  EXPECT_EQ(sketch.quantile(1), 5e7);
  EXPECT_EQ(sketch_of({3}).quantile(0.5), 3);
  QuantileSketch edge = sketch_of({QuantileSketch::kSmallest, QuantileSketch::kLargest});
  EXPECT_NEAR(edge.quantile(0), 1e-12, 0.005e-12);
  EXPECT_EQ(edge.quantile(1), 1e6);
}

TEST(QuantileSketchDeathTest, NegativeAndNanAreBugs) {
  QuantileSketch sketch;
  EXPECT_DEATH(sketch.add(-1e-9), "value >= 0");
  EXPECT_DEATH(sketch.add(std::nan("")), "value >= 0");
  EXPECT_DEATH((void)sketch.quantile(0.5), "count_ > 0");
}

}  // namespace
}  // namespace checkbit
