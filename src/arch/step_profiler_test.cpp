// The profiler on a tiny model: every operation is there, counts add up, the trace is JSON.

#include "arch/step_profiler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace checkbit {
namespace {

TEST(StepProfiler, CountsEveryOperationOfEveryLayer) {
  auto file =
      ModelFile::open(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/qwen2-bias.gguf");
  ASSERT_TRUE(file.ok()) << file.error().message;
  ThreadPool pool(2);
  auto model = Model::load(*file, {}, pool);
  ASSERT_TRUE(model.ok()) << model.error().message;
  auto executor = Executor::create(*model, kernels_for(*select_isa()), pool, 8, 8);
  auto cache = KvCache::create(model->hyperparameters(), 16);
  StepProfiler profiler(*model);
  executor->add_observer(&profiler);
  const std::vector<BatchToken> batch(3, {&*cache, 1, true});
  for (int pass = 0; pass < 2; ++pass) ASSERT_TRUE(executor->evaluate(batch).ok());

  const std::int64_t layers = model->hyperparameters().layers;
  const auto find = [&](const std::string& name) {
    const auto found = std::ranges::find(profiler.operations(), name, &OperationProfile::name);
    EXPECT_NE(found, profiler.operations().end()) << name;
    return found == profiler.operations().end() ? OperationProfile{} : *found;
  };
  EXPECT_EQ(find("embed").calls, 2);
  EXPECT_EQ(find("attention").calls, 2 * layers);
  EXPECT_EQ(find("ffn_gate+ffn_up").calls, 2 * layers);
  double products = 0;
  double bytes = 0;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    for (const Role role : {Role::ffn_gate, Role::ffn_up}) {
      products += static_cast<double>(model->matrix(role, layer)->rows() *
                                      model->matrix(role, layer)->columns());
      bytes += static_cast<double>(model->matrix(role, layer)->packed_bytes());
    }
  }
  EXPECT_EQ(find("ffn_gate+ffn_up").products, 2 * 3 * products);
  EXPECT_EQ(find("ffn_gate+ffn_up").bytes, 2 * bytes);
  EXPECT_FALSE(find("ffn_down").kernel.empty());
  EXPECT_TRUE(find("attention").kernel.empty());
  // Two tokens of four heads share a read, the third has its own.
  const Hyperparameters& h = model->hyperparameters();
  ASSERT_EQ(kAttentionRows, 2 * h.heads / h.key_value_heads);
  std::int64_t read = 0;
  for (const std::int64_t position : {1, 2, 4, 5})
    read += KvCache::bytes_read(h, position, CacheType::f16);
  EXPECT_EQ(find("attention").bytes, static_cast<double>(read));
  EXPECT_GT(profiler.seconds(), 0);

  const auto trace = nlohmann::json::parse(profiler.trace("tiny"));
  std::int64_t calls = 0;
  for (const OperationProfile& o : profiler.operations()) calls += o.calls;
  ASSERT_EQ(std::ssize(trace["traceEvents"]), calls + 1);
  double last_end = 0;
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    EXPECT_GE(event["ts"].get<double>(), last_end - 0.002) << event;
    last_end = event["ts"].get<double>() + event["dur"].get<double>();
  }
}

}  // namespace
}  // namespace checkbit
