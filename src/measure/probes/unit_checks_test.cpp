// The unit tests of a model hold on a sound one and, each kind of bug put in on purpose, fail.

#include "measure/probes/unit_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace checkbit {
namespace {

Session open_tiny(const std::string& name) {
  const std::string path = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + name + ".gguf";
  auto session = Session::open(path, {.context_tokens = 128, .threads = 1});
  EXPECT_TRUE(session.ok()) << session.error().message;
  return *std::move(session);
}

std::vector<std::string> failing(Session& session) {
  std::vector<std::string> names;
  for (const UnitCheck& check : all_unit_checks()) {
    const auto found = check.run(session, 1);
    EXPECT_TRUE(found.ok()) << check.name << ": " << found.error().message;
    if (found.ok() && !found->empty()) names.emplace_back(check.name);
  }
  return names;
}

TEST(UnitChecks, HoldOnEveryFamily) {
  for (const char* name :
       {"llama-llama3", "llama-yarn", "qwen2-bias", "qwen3-norms", "gemma3-window"}) {
    Session session = open_tiny(name);
    EXPECT_THAT(failing(session), testing::IsEmpty()) << name;
  }
}

/// Lets a bug loose on the output of each step of the first layer.
class Bug : public StepObserver {
 public:
  explicit Bug(void (*change)(const StepView& view)) : change_(change) {}
  void after(const StepView& view) override {
    if (view.layer == 0 && view.out != nullptr) change_(view);
  }

 private:
  void (*change_)(const StepView& view);
};

std::vector<std::string> failing_with(void (*change)(const StepView& view)) {
  Session session = open_tiny("llama-llama3");
  Bug bug(change);
  session.executor().add_observer(&bug);
  return failing(session);
}

TEST(UnitChecks, FindAResultThatDependsOnTheBatch) {
  const auto names = failing_with([](const StepView& view) {
    for (std::int64_t t = 0; t < view.n_tokens; ++t)
      view.out[t * view.out_stride] += 0.01f * static_cast<float>(view.n_tokens);
  });
  EXPECT_THAT(names, testing::IsSupersetOf({"batch size", "company", "prefix", "replay"}));
}

TEST(UnitChecks, FindALookAhead) {
  const auto names = failing_with([](const StepView& view) {
    view.out[0] += 0.1f * view.out[(view.n_tokens - 1) * view.out_stride + 1];
  });
  EXPECT_THAT(names, testing::IsSupersetOf({"batch size", "causality", "order"}));
}

TEST(UnitChecks, FindNaN) {
  const auto names = failing_with([](const StepView& view) { view.out[0] = std::nanf(""); });
  EXPECT_THAT(names, testing::Contains("finite"));
}

TEST(UnitChecks, FindSomethingRemembered) {
  static float calls = 0;
  const auto names = failing_with([](const StepView& view) { view.out[0] += 1e-3f * ++calls; });
  EXPECT_THAT(names, testing::IsSupersetOf({"repeat", "replay", "edges"}));
}

}  // namespace
}  // namespace checkbit
