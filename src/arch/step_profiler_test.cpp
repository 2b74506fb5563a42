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

  Spent of_operations, of_layers;
  for (const OperationProfile& o : profiler.operations()) of_operations += o;
  for (const Spent& l : profiler.layers()) of_layers += l;
  ASSERT_EQ(std::ssize(profiler.layers()), layers + 1);
  EXPECT_EQ(of_layers.calls, of_operations.calls);
  EXPECT_EQ(of_layers.bytes, of_operations.bytes);
  EXPECT_EQ(of_layers.products, of_operations.products);
  EXPECT_NEAR(of_layers.seconds, profiler.seconds(), 1e-9);
  EXPECT_EQ(profiler.layers()[1].calls, profiler.layers()[2].calls);
  EXPECT_GE(profiler.layers()[1].bytes,
            2 * static_cast<double>(model->matrix(Role::ffn_down, 0)->packed_bytes()));

  // What the trace event format asks of complete and of metadata events; a name may hold anything.
  const auto trace = nlohmann::json::parse(profiler.trace("tiny \"model\"\n\xff"));
  const auto& events = trace["traceEvents"];
  ASSERT_EQ(std::ssize(events), of_operations.calls + 2);
  EXPECT_EQ(events[0]["args"]["name"], "tiny \"model\"\n\xef\xbf\xbd");
  double last_end = 0;
  double bytes_in_trace = 0;
  for (const auto& event : events) {
    EXPECT_TRUE(event["name"].is_string()) << event;
    EXPECT_TRUE(event["pid"].is_number_integer() && event["tid"].is_number_integer()) << event;
    if (event["ph"] == "M") continue;
    ASSERT_EQ(event["ph"], "X");
    EXPECT_GE(event["ts"].get<double>(), last_end - 0.002) << event;
    EXPECT_GE(event["dur"].get<double>(), 0) << event;
    EXPECT_TRUE(event["args"]["layer"] >= -1 && event["args"]["layer"] < layers) << event;
    bytes_in_trace += event["args"].value("bytes", 0.0);
    last_end = event["ts"].get<double>() + event["dur"].get<double>();
  }
  EXPECT_EQ(bytes_in_trace, of_operations.bytes);
}

/// "g32_b4" is not named by "g32_b4_min".
TEST(StepProfiler, KernelsAreNamedOnceEach) {
  auto file =
      ModelFile::open(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/gemma3-window.gguf");
  ASSERT_TRUE(file.ok()) << file.error().message;
  ThreadPool pool(1);
  auto model = Model::load(*file, {}, pool);
  ASSERT_TRUE(model.ok()) << model.error().message;
  auto executor = Executor::create(*model, kernels_for(*select_isa()), pool, 1, 1);
  auto cache = KvCache::create(model->hyperparameters(), 2);
  StepProfiler profiler(*model);
  executor->add_observer(&profiler);
  ASSERT_TRUE(executor->evaluate(std::vector<BatchToken>{{&*cache, 1, true}}).ok());
  for (const OperationProfile& o : profiler.operations()) {
    if (o.products == 0) continue;
    std::vector<std::string> names;
    for (std::size_t at = 0; at < o.kernel.size();) {
      const std::size_t end = std::min(o.kernel.find(", ", at), o.kernel.size());
      names.push_back(o.kernel.substr(at, end - at));
      at = end + 2;
    }
    std::ranges::sort(names);
    EXPECT_FALSE(names.empty()) << o.name;
    EXPECT_EQ(std::ranges::adjacent_find(names), names.end()) << o.kernel;
  }
}

}  // namespace
}  // namespace checkbit
