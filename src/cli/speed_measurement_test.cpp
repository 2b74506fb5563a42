#include "cli/speed_measurement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/cli_test_console.h"
#include "cli/read_bandwidth.h"

namespace checkbit {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const std::string kModel = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-llama3.gguf";

TEST(SpeedMeasurement, EveryRunStartsFromTheDepth) {
  const SpeedPlan plan = {
      .prompt_tokens = 20, .generated_tokens = 5, .depth_tokens = 40, .runs = 3};
  EXPECT_EQ(context_tokens(plan), 60);
  auto session = Session::open(kModel, {.context_tokens = context_tokens(plan), .threads = 2});
  ASSERT_TRUE(session.ok()) << session.error().message;
  auto speeds = measure_speeds(*session, plan);
  ASSERT_TRUE(speeds.ok()) << speeds.error().message;
  EXPECT_THAT(speeds->prompt, AllOf(SizeIs(3), Each(Gt(0.0))));
  EXPECT_THAT(speeds->generation, AllOf(SizeIs(3), Each(Gt(0.0))));
  // After the depth one token to start from and five generated; the prompt is forgotten.
  EXPECT_EQ(session->cache().length(), 46);
}

TEST(SpeedMeasurement, PairsGiveAShareEach) {
  auto session = Session::open(kModel, {.context_tokens = 8, .threads = 2});
  ASSERT_TRUE(session.ok()) << session.error().message;
  auto shares = measure_read_shares(*session, 0);
  ASSERT_TRUE(shares.ok()) << shares.error().message;
  EXPECT_EQ(shares->bandwidth.size(), shares->share.size());
  EXPECT_THAT(shares->share, AllOf(SizeIs(24), Each(Gt(0.0))));
  // A tiny model computes far longer than it reads; a pair may meet a pause of the machine.
  std::ranges::sort(shares->share);
  EXPECT_LT(shares->share[12], 1.0);
}

TEST(SpeedMeasurement, ThePeakIsBeyondWhatAModelReaches) {
  auto session = Session::open(kModel, {.context_tokens = 64, .threads = 2});
  ASSERT_TRUE(session.ok()) << session.error().message;
  auto speeds = measure_speeds(*session, {.prompt_tokens = 60, .generated_tokens = 1, .runs = 1});
  ASSERT_TRUE(speeds.ok()) << speeds.error().message;
  const auto products = static_cast<double>(products_per_token(session->model()));
  EXPECT_GT(products, 0);
  EXPECT_GT(measure_integer_peak(*session), products * speeds->prompt[0]);
}

TEST(SpeedMeasurement, AReadTakesTimeInProportionToItsPasses) {
  ThreadPool pool(2);
  auto buffer = ReadBuffer::create(64 << 20, pool);
  ASSERT_TRUE(buffer.ok());
  EXPECT_EQ(buffer->size_bytes(), 64 << 20);
  double once = buffer->read(1);
  for (int i = 0; i < 4; ++i) once = std::min(once, buffer->read(1));  // a busy machine delays some
  EXPECT_GT(buffer->read(16), once);
}

/// Names and values of the records of a --json run.
std::map<std::string, double> records_of(const CliResult& result) {
  std::map<std::string, double> records;
  const auto object = nlohmann::json::parse(result.out);
  for (const auto& record : object["records"]) records[record["name"]] = record["value"];
  return records;
}

TEST(Bench, WithoutPromptThereIsNoPromptSpeed) {
  const CliResult result = run_in_process({"bench", kModel, "--prompt-tokens", "0", "-n", "3",
                                           "--depth", "9", "--runs", "1", "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto records = records_of(result);
  EXPECT_FALSE(records.contains("prompt_tokens_per_second"));
  EXPECT_TRUE(records.contains("generation_tokens_per_second"));
  EXPECT_TRUE(records.contains("read_bandwidth"));
  EXPECT_TRUE(records.contains("read_bandwidth_share"));
}

TEST(Bench, ADepthBeyondTheContextIsAUsersError) {
  const CliResult result =
      run_in_process({"bench", kModel, "--depth", "100000", "--prompt-tokens", "0"});
  EXPECT_EQ(result.status, kExitError);
  EXPECT_THAT(result.err, HasSubstr("context of 100065 tokens"));
}

}  // namespace
}  // namespace checkbit
