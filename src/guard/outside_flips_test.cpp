// Another process flips bits in the memory of one that serves, whose model file is gone: what it
// generates stays the same, bit for bit, and every flip is put back.

#include "guard/outside_flips.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/atomic_file.h"
#include "base/test_models.h"
#include "base/test_sanitizers.h"
#include "guard/beacon.h"
#include "guard/live_guard.h"
#include "run/generate.h"

namespace checkbit {
namespace {

using namespace std::chrono_literals;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct Served {
  std::int64_t generations = 0;
  std::int64_t different = 0;
  std::string error;
  LiveCounters live;
};

/// Generates until `folder`/stop is there; the first generation comes before `folder`/ready.
Served serve(const std::string& model, const std::string& folder, std::int64_t tokens) {
  Served served;
  SessionOptions choices;
  choices.guard = GuardLevel::check;
  choices.threads = 2;
  auto session = Session::open(model, choices);
  if (!session) return {.error = session.error().message};
  if (auto attached = attach_guard(*session, {.scrub = {.share = 0.2}, .program = false});
      !attached)
    return {.error = attached.error().message};
  GenerateOptions options;
  options.max_tokens = tokens;
  options.ignore_end = true;
  options.hash_logits = true;
  const std::vector<TokenId> prompt = {5, 9, 17, 3, 44, 21, 8};
  std::string first;
  for (bool last = false; !last; ++served.generations) {
    last = std::filesystem::exists(folder + "/stop");
    session->cache().truncate(0);
    const auto generation = generate(*session, prompt, options);
    if (!generation) return {.error = generation.error().message};
    if (first.empty()) {
      first = generation->logits_hash;
      std::ofstream(folder + "/ready") << "\n";
    }
    if (generation->logits_hash != first) ++served.different;
  }
  session->guard()->scrub();
  served.live = session->guard()->counters();
  return served;
}

/// What the child of the tests below runs.
TEST(OutsideFlipsChild, DISABLED_Serves) {
  const std::string folder = variable("CHECKBIT_TEST_FOLDER");
  if (folder.empty()) GTEST_SKIP() << "only as a child of OutsideFlips";
  const Served served =
      serve(folder + "/model.gguf", folder, std::stoll(variable("CHECKBIT_TEST_TOKENS")));
  const nlohmann::json json = {{"generations", served.generations},
                               {"different", served.different},
                               {"error", served.error},
                               {"repaired_bits", served.live.repaired_bits},
                               {"from_file", served.live.repaired_from_file},
                               {"unrepaired", served.live.unrepaired},
                               {"p99_us", 1e6 * served.live.repair_p99_seconds}};
  ASSERT_TRUE(write_file_atomically(folder + "/result.json", json.dump()).ok());
}

class OutsideFlips : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "checkbit_outside_" +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    std::filesystem::remove_all(folder_);
  }

  void start(const std::string& model, int tokens) {
    std::filesystem::copy_file(model, folder_ + "/model.gguf");
    setenv("CHECKBIT_TEST_FOLDER", folder_.c_str(), 1);
    setenv("CHECKBIT_TEST_TOKENS", std::to_string(tokens).c_str(), 1);
    child_ = fork();
    if (child_ == 0) {
      execl("/proc/self/exe", "guard_test", "--gtest_filter=OutsideFlipsChild.*",
            "--gtest_also_run_disabled_tests", "--gtest_brief=1", nullptr);
      _exit(127);
    }
    ASSERT_GT(child_, 0);
    for (int i = 0; i < 60000 && !std::filesystem::exists(folder_ + "/ready"); ++i) {
      ASSERT_EQ(::waitpid(child_, nullptr, WNOHANG), 0) << "the child ended early";
      std::this_thread::sleep_for(2ms);
    }
    ASSERT_TRUE(read_beacon(child_).ok());
    // Nothing of the model can be opened again.
    std::filesystem::remove(folder_ + "/model.gguf");
  }

  nlohmann::json finish() {
    std::ofstream(folder_ + "/stop") << "\n";
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = 0;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    std::ifstream in(folder_ + "/result.json");
    return nlohmann::json::parse(in, nullptr, false);
  }

  std::string folder_;
  pid_t child_ = 0;
};

/// Whose matrices are all of integers: products of float weights have no exact check.
TEST_F(OutsideFlips, ATinyModelGeneratesTheSame) {
  start(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/gemma3-window.gguf", 40);
  if (HasFatalFailure()) return;
  constexpr std::uint64_t kRounds = 100;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const auto flipped = flip_from_outside(child_, {.flips = 2, .seed = round});
    ASSERT_TRUE(flipped.ok()) << flipped.error().message;
    ASSERT_EQ(flipped->size(), 2u);
    std::this_thread::sleep_for(5ms);
  }
  const nlohmann::json result = finish();
  EXPECT_EQ(result["error"], "");
  EXPECT_EQ(result["different"], 0) << result;
  EXPECT_GT(result["generations"], 1);
  EXPECT_EQ(result["repaired_bits"], 2 * kRounds) << result;
  EXPECT_EQ(result["unrepaired"], 0);
  EXPECT_EQ(result["from_file"], 0);
}

TEST_F(OutsideFlips, SmolLm2GeneratesTheSameUnder200Flips) {
  const std::string model = pulled_model("smollm2-135m");
  if (kUnderSanitizer) GTEST_SKIP() << "takes minutes under a sanitizer";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "checkbit pull smollm2-135m";
  start(model, 24);
  if (HasFatalFailure()) return;
  const auto flipped = flip_from_outside(child_, {.flips = 200, .seed = 1});
  ASSERT_TRUE(flipped.ok()) << flipped.error().message;
  const nlohmann::json result = finish();
  EXPECT_EQ(result["error"], "");
  EXPECT_EQ(result["different"], 0) << result;
  EXPECT_EQ(result["repaired_bits"], 200) << result;
  EXPECT_EQ(result["unrepaired"], 0);
  EXPECT_EQ(result["from_file"], 0);
  RecordProperty("repair_p99_us", result["p99_us"].dump());
  EXPECT_LT(result["p99_us"].get<double>(), 1000);
}

TEST(OutsideFlipsErrors, AreNamed) {
  EXPECT_EQ(flip_from_outside(getpid(), {}).error().kind, ErrorKind::not_found);
  std::vector<std::uint8_t> bytes(64);
  const Beacon beacon(
      {{"packed weights", reinterpret_cast<std::uintptr_t>(bytes.data()), 64}, {"nowhere", 8, 64}});
  EXPECT_EQ(flip_from_outside(getpid(), {.span = "other"}).error().kind, ErrorKind::not_found);
  EXPECT_EQ(flip_from_outside(getpid(), {.flips = 257}).error().kind, ErrorKind::invalid);
  EXPECT_EQ(flip_from_outside(getpid(), {.span = "nowhere", .flips = 1}).error().kind,
            ErrorKind::io);
  const auto flipped = flip_from_outside(getpid(), {.flips = 9, .seed = 3});
  ASSERT_TRUE(flipped.ok());
  std::uint64_t set = 0;
  for (const std::uint8_t byte : bytes) set += static_cast<std::uint64_t>(std::popcount(byte));
  EXPECT_EQ(set, 9u);
}

}  // namespace
}  // namespace checkbit
