// The promise of --fit against the kernel's count, in child processes: what is promised is compared
// with the most memory that a process has while it fills a context.

#include "quantize/run_memory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <limits>

#include "base/resident_memory.h"
#include "base/test_models.h"
#include "run/generate.h"

namespace checkbit {
namespace {

constexpr std::int64_t kContext = 512;

std::string model_path() { return pulled_model("smollm2-135m"); }

/// A number that a process of its own computes; 0 when it fails. What the parent has is common to
/// all of them.
std::uint64_t in_a_child(const std::function<std::uint64_t()>& compute) {
  int ends[2];
  if (pipe(ends) != 0) return 0;
  const pid_t child = fork();
  if (child == 0) {
    const std::uint64_t value = compute();
    _exit(write(ends[1], &value, sizeof value) == sizeof value ? 0 : 1);
  }
  close(ends[1]);
  std::uint64_t value = 0;
  if (read(ends[0], &value, sizeof value) != sizeof value) value = 0;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? value : 0;
}

std::uint64_t promise(CacheType cache_type) {
  auto session = Session::open(model_path(), {.threads = 2, .repack = false, .max_logits = 1});
  if (!session.ok()) return 0;
  const std::uint64_t start = resident_bytes() - session->model().packed_bytes();
  const auto plan = plan_copy(session->file());
  if (!plan.ok()) return 0;
  const auto memory = run_memory(*session, *plan, kContext, cache_type, start);
  return memory.ok() ? promised_bytes(*memory, *plan) : 0;
}

std::uint64_t peak_of_a_full_context(CacheType cache_type) {
  auto session = Session::open(
      model_path(),
      {.context_tokens = kContext, .threads = 2, .cache_type = cache_type, .max_logits = 1});
  if (!session.ok()) return 0;
  std::vector<TokenId> prompt;
  for (TokenId i = 0; i < kContext - 24; ++i) prompt.push_back(100 + i * 79 % 40000);
  GenerateOptions options;
  options.max_tokens = 24;
  options.ignore_end = true;
  return generate(*session, prompt, options).ok() ? peak_resident_bytes() : 0;
}

TEST(RunMemory, PeakOfARunIsWithinThreePercentUnderThePromise) {
  if (!std::filesystem::exists(model_path())) GTEST_SKIP() << model_path() << ": make model";
  std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
  for (const CacheType type : {CacheType::f32, CacheType::f16, CacheType::q8_0}) {
    const std::uint64_t promised = in_a_child([&] { return promise(type); });
    const std::uint64_t peak = in_a_child([&] { return peak_of_a_full_context(type); });
    ASSERT_GT(promised, 0u);
    ASSERT_GT(peak, 0u);
    if (std::getenv("CHECKBIT_TEST_STRIDE") != nullptr)
      GTEST_SKIP() << "a sanitizer's own memory counts too";
    const double used = static_cast<double>(peak) / static_cast<double>(promised);
    EXPECT_LE(used, 1.0) << to_string(type) << ": " << peak << " bytes, promised " << promised;
    EXPECT_GE(used, 0.97) << to_string(type) << ": " << peak << " bytes, promised " << promised;
    EXPECT_LT(promised, largest) << to_string(type);
    largest = promised;
  }
}

Result<Session> open_tiny() {
  return Session::open(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-yarn.gguf",
                       {.threads = 1, .repack = false});
}

TEST(RunMemory, AContextTheModelWasNotTrainedForIsRefused) {
  auto session = open_tiny();
  ASSERT_TRUE(session.ok());
  const auto plan = plan_copy(session->file());
  ASSERT_TRUE(plan.ok());
  const std::int64_t longest = session->model().hyperparameters().context_length;
  EXPECT_TRUE(run_memory(*session, *plan, longest, CacheType::f16, 0).ok());
  for (const std::int64_t context : {std::int64_t{0}, longest + 1}) {
    const auto refused = run_memory(*session, *plan, context, CacheType::f16, 0);
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find(std::to_string(context)), std::string::npos);
  }
}

// A promise holds while the file loads too: source pages of the tensor being packed are there then.
TEST(RunMemory, ATinyContextStillHasRoomForLoading) {
  auto session = open_tiny();
  ASSERT_TRUE(session.ok());
  const auto plan = plan_copy(session->file());
  ASSERT_TRUE(plan.ok());
  RunMemory nothing;
  nothing.architecture = &session->model().architecture();
  nothing.layers = session->model().hyperparameters().layers;
  std::uint64_t last = plan->tensors.back().file_bytes();
  EXPECT_GE(promised_bytes(nothing, *plan), plan->resident_bytes() + last);
  EXPECT_LE(promised_bytes(nothing, *plan), beside_weights_bytes(nothing, *plan) +
                                                plan->resident_bytes() +
                                                activation_bytes(nothing, *plan));
}

}  // namespace
}  // namespace checkbit
