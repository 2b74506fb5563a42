// A batch of prompts against `generate` with each alone: the same tokens, text, reason and hash of
// logits, whatever runs beside it and whatever is shared.

#include "run/generate_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/progress.h"
#include "run/test_session.h"

namespace checkbit {
namespace {

using testing::HasSubstr;

SessionOptions small() {
  return {.context_tokens = 160, .threads = 2, .batch_tokens = 40, .max_logits = 6};
}

/// A prefix of 70 tokens, longer than a pass, then a tail of each prompt's own.
BatchRequest request(int number, float temperature = 0) {
  BatchRequest r;
  for (int i = 0; i < 70; ++i) r.prompt.push_back((i * 37 + 11) % 200);
  for (int i = 0; i < number % 5; ++i) r.prompt.push_back((number * 29 + i * 13) % 200);
  r.prompt.push_back(number % 200);
  r.options.max_tokens = 5 + number % 11;
  r.options.ignore_end = true;
  r.options.hash_logits = true;
  r.options.sampler.temperature = temperature;
  r.options.sampler.repetition_penalty = 1.3f;
  r.options.sampler.seed = static_cast<std::uint64_t>(number);
  return r;
}

std::vector<BatchRequest> many() {
  std::vector<BatchRequest> requests;
  for (int i = 0; i < 17; ++i) requests.push_back(request(i, i % 3 == 0 ? 0.9f : 0.0f));
  requests[4].prompt = {5};                 // shares nothing, one token
  requests[6].prompt = requests[7].prompt;  // the same prompt again
  requests[8].options.max_tokens = 0;       // only reads
  requests[9].options.max_tokens = 500;     // to the end of the context
  requests[10].prompt.resize(30);           // the start of the others' prefix
  return requests;
}

void expect_same(const Generation& batched, const Generation& alone, std::size_t number) {
  EXPECT_EQ(batched.tokens, alone.tokens) << number;
  EXPECT_EQ(batched.text, alone.text) << number;
  EXPECT_EQ(batched.reason, alone.reason) << number;
  EXPECT_EQ(batched.logits_hash, alone.logits_hash) << number;
  EXPECT_EQ(batched.prompt_tokens, alone.prompt_tokens) << number;
}

Generation alone(Session& session, const BatchRequest& asked) {
  session.cache().truncate(0);
  auto result = generate(session, asked.prompt, asked.options);
  EXPECT_TRUE(result.ok()) << result.error().message;
  return *std::move(result);
}

class GenerateBatch : public testing::Test {
 protected:
  void SetUp() override { clear_cancel(); }
  void TearDown() override { clear_cancel(); }
};

TEST_F(GenerateBatch, EqualsOneByOne) {
  for (const char* name : {"llama-llama3", "gemma3-window"}) {
    Session session = open_tiny(small(), name);
    for (const std::size_t sequences : {std::size_t{1}, std::size_t{3}, std::size_t{8}}) {
      std::vector<std::size_t> heard;
      const auto batched = generate_batch(session, many(), {.sequences = sequences},
                                          [&](std::size_t number, const Generation&) -> Status {
                                            heard.push_back(number);
                                            return {};
                                          });
      ASSERT_TRUE(batched.ok()) << batched.error().message;
      const auto asked = many();
      ASSERT_EQ(batched->size(), asked.size());
      for (std::size_t i = 0; i < asked.size(); ++i)
        expect_same((*batched)[i], alone(session, asked[i]), i);
      std::ranges::sort(heard);
      for (std::size_t i = 0; i < heard.size(); ++i) EXPECT_EQ(heard[i], i);
      EXPECT_EQ(heard.size(), asked.size());
      EXPECT_EQ((*batched)[9].reason, StopReason::context_full);
    }
  }
}

TEST_F(GenerateBatch, StopStringsCutLikeAlone) {
  Session session = open_tiny(small());
  std::vector<BatchRequest> asked;
  for (int i = 0; i < 6; ++i) asked.push_back(request(i));
  for (BatchRequest& one : asked) {
    one.options.max_tokens = 20;
    const std::string text = alone(session, one).text;
    one.options.stop = {text.substr(text.size() / 2, 3)};
  }
  const auto batched = generate_batch(session, asked, {.sequences = 4});
  ASSERT_TRUE(batched.ok()) << batched.error().message;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    expect_same((*batched)[i], alone(session, asked[i]), i);
    EXPECT_EQ((*batched)[i].reason, StopReason::stop_string) << i;
  }
}

TEST_F(GenerateBatch, ReadsACommonPrefixOnce) {
  Session session = open_tiny(small());
  BatchGenerator generator(session, {.sequences = 4});
  constexpr std::size_t kRequests = 12;
  std::size_t prompt_tokens = 0;
  for (std::size_t i = 0; i < kRequests; ++i) {
    BatchRequest asked = request(static_cast<int>(i));
    prompt_tokens += asked.prompt.size();
    ASSERT_TRUE(generator.submit(std::move(asked)).ok());
  }
  std::size_t finished = 0;
  while (!generator.idle()) {
    const auto ended = generator.step();
    ASSERT_TRUE(ended.ok());
    finished += ended->size();
  }
  EXPECT_EQ(finished, kRequests);
  // All but the first take over the 70 tokens, and some a little of a tail.
  EXPECT_GE(generator.shared_tokens(), (kRequests - 1) * 70);
  EXPECT_LT(generator.shared_tokens(), prompt_tokens - 70);
}

TEST_F(GenerateBatch, ACancelledRequestEndsAloneWhereverItIs) {
  Session session = open_tiny(small());
  BatchGenerator generator(session, {.sequences = 2});
  std::vector<BatchRequest> asked;
  for (int i = 0; i < 4; ++i) asked.push_back(request(i));
  for (const BatchRequest& one : asked) ASSERT_TRUE(generator.submit(one).ok());
  std::vector<Generation> results(asked.size());
  std::vector<int> times(asked.size(), 0);
  for (int step = 0; !generator.idle(); ++step) {
    if (step == 4) generator.cancel(0);  // in work
    if (step == 4) generator.cancel(3);  // in the queue
    auto ended = generator.step();
    ASSERT_TRUE(ended.ok());
    for (auto& one : *ended) {
      ++times[one.number];
      results[one.number] = std::move(one.generation);
    }
  }
  EXPECT_EQ(times, (std::vector<int>{1, 1, 1, 1}));
  EXPECT_EQ(results[0].reason, StopReason::cancelled);
  EXPECT_EQ(results[3].reason, StopReason::cancelled);
  EXPECT_TRUE(results[3].tokens.empty());
  expect_same(results[1], alone(session, asked[1]), 1);
  expect_same(results[2], alone(session, asked[2]), 2);
}

TEST_F(GenerateBatch, ErrorsNameTheRequest) {
  Session session = open_tiny(small());
  std::vector<BatchRequest> asked = {request(0), request(1)};
  asked[1].prompt.resize(161, 3);
  const auto too_long = generate_batch(session, asked);
  ASSERT_FALSE(too_long.ok());
  EXPECT_THAT(too_long.error().message, HasSubstr("request 1: 161 tokens do not fit"));
  asked[1].prompt.clear();
  EXPECT_FALSE(generate_batch(session, asked).ok());
  request_cancel();
  asked[1] = request(1);
  const auto cancelled = generate_batch(session, asked);
  ASSERT_FALSE(cancelled.ok());
  EXPECT_EQ(cancelled.error().message, cancelled_error().message);
}

}  // namespace
}  // namespace checkbit
