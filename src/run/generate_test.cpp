// Sessions and generation on tiny models: what ends a generation, what callbacks see, what errors
// leave behind, and one answer over threads. Expected text comes from the model's own greedy output
// and from joining the pieces of its tokens.

#include "run/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/progress.h"

namespace checkbit {
namespace {

using testing::HasSubstr;

std::string tiny(const std::string& name) {
  return std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + name + ".gguf";
}

Session open_tiny(const SessionOptions& options = {}, const std::string& name = "llama-llama3") {
  auto session = Session::open(tiny(name), options);
  EXPECT_TRUE(session.ok()) << session.error().message;
  return *std::move(session);
}

SessionOptions small(std::int64_t context = 256, int threads = 1) {
  return {.context_tokens = context, .threads = threads};
}

/// The most likely token each time; the penalty keeps it from turning in a circle.
GenerateOptions greedy(std::int64_t max_tokens) {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.ignore_end = true;
  options.sampler.temperature = 0;
  options.sampler.repetition_penalty = 1.5f;
  options.hash_logits = true;
  return options;
}

const std::vector<TokenId> kPrompt = {5, 80, 33, 120, 7};

struct Heard {
  Generation result;
  std::vector<std::string> pieces;
  std::string joined() const {
    std::string all;
    for (const std::string& piece : pieces) all += piece;
    return all;
  }
};

Heard hear(Session& session, const GenerateOptions& options) {
  Heard heard;
  auto result = generate(session, kPrompt, options,
                         [&](std::string_view text) { heard.pieces.emplace_back(text); });
  EXPECT_TRUE(result.ok()) << result.error().message;
  heard.result = *std::move(result);
  return heard;
}

std::string pieces_of(const Session& session, std::span<const TokenId> tokens) {
  std::string all;
  for (const TokenId token : tokens) all += session.tokenizer().piece(token);
  return all;
}

TokenId token_of_byte(const Tokenizer& tokenizer, char byte) {
  for (TokenId id = 0; id < static_cast<TokenId>(tokenizer.size()); ++id) {
    if (tokenizer.piece(id) == std::string_view(&byte, 1)) return id;
  }
  ADD_FAILURE() << "no token for byte " << int{byte};
  return 0;
}

/// Cancelling is global to the process: no test may leave it set.
class Generate : public testing::Test {
 protected:
  void SetUp() override { clear_cancel(); }
  void TearDown() override { clear_cancel(); }
};

TEST_F(Generate, EndsAtTheTokenLimit) {
  Session session = open_tiny(small());
  const Heard heard = hear(session, greedy(12));
  EXPECT_EQ(heard.result.reason, StopReason::token_limit);
  EXPECT_EQ(heard.result.tokens.size(), 12u);
  EXPECT_EQ(heard.result.prompt_tokens, kPrompt.size());
  EXPECT_EQ(heard.result.text, pieces_of(session, heard.result.tokens));
  EXPECT_EQ(heard.joined(), heard.result.text);
  // The last token is chosen, not evaluated.
  EXPECT_EQ(session.cache().length(), static_cast<std::int64_t>(kPrompt.size()) + 11);
}

TEST_F(Generate, NoTokensEvaluatesThePromptOnly) {
  Session session = open_tiny(small());
  const Heard heard = hear(session, greedy(0));
  EXPECT_EQ(heard.result.reason, StopReason::token_limit);
  EXPECT_TRUE(heard.result.tokens.empty());
  EXPECT_TRUE(heard.pieces.empty());
  EXPECT_EQ(session.cache().length(), static_cast<std::int64_t>(kPrompt.size()));
}

TEST_F(Generate, CutsAStopStringOverSeveralTokens) {
  Session whole = open_tiny(small());
  const Generation full = hear(whole, greedy(30)).result;
  const std::span<const TokenId> tokens(full.tokens);
  int several = 0;
  int ends_whole = 0;
  for (std::size_t at = 1; at + 6 <= tokens.size(); at += 2) {
    const std::string stop = pieces_of(whole, tokens.subspan(at, 4));
    const std::string expected = full.text.substr(0, full.text.find(stop));
    Session session = open_tiny(small());
    GenerateOptions options = greedy(30);
    options.stop = {"\x01 never", stop};
    const Heard heard = hear(session, options);
    EXPECT_EQ(heard.result.reason, StopReason::stop_string) << at;
    EXPECT_EQ(heard.result.text, expected) << at;
    EXPECT_EQ(heard.joined(), expected) << at;
    // A last byte that may begin a character is held until the next token.
    if (static_cast<unsigned char>(stop.back()) < 0x80) {
      EXPECT_LE(heard.result.tokens.size(), at + 4);
      ++ends_whole;
    }
    several += stop.size() > 3 && !expected.empty();
  }
  EXPECT_GT(several, 5);
  EXPECT_GT(ends_whole, 2);
}

/// A byte that may begin a character is held until the end; only then is the stop string complete.
TEST_F(Generate, AStopStringThatTheEndCompletesIsTheReason) {
  Session session = open_tiny(small());
  const std::string half = "\xE2";
  GenerateOptions options = greedy(1);
  options.sampler.logit_bias = {{token_of_byte(session.tokenizer(), half[0]), 1000.0f}};
  ASSERT_EQ(hear(session, options).result.text, half);
  options.stop = {half};
  const Heard heard = hear(session, options);
  EXPECT_EQ(heard.result.reason, StopReason::stop_string);
  EXPECT_EQ(heard.result.text, "");
}

TEST_F(Generate, CutsAtTheFirstOfTwoStopStrings) {
  Session whole = open_tiny(small());
  const std::string text = hear(whole, greedy(30)).result.text;
  const std::string early = text.substr(5, 3);
  const std::string late = text.substr(12, 3);
  ASSERT_LT(text.find(early), text.find(late));
  Session session = open_tiny(small());
  GenerateOptions options = greedy(30);
  options.stop = {late, early};
  EXPECT_EQ(hear(session, options).result.text, text.substr(0, text.find(early)));
}

TEST_F(Generate, TextHeldForAStopStringThatDoesNotComeIsGiven) {
  Session whole = open_tiny(small());
  const std::string text = hear(whole, greedy(20)).result.text;
  Session session = open_tiny(small());
  GenerateOptions options = greedy(20);
  options.stop = {text + "x", text.substr(text.size() - 4) + "x", text.substr(3, 4) + "\x01"};
  const Heard heard = hear(session, options);
  EXPECT_EQ(heard.result.reason, StopReason::token_limit);
  EXPECT_EQ(heard.result.text, text);
  EXPECT_EQ(heard.joined(), text);
}

/// Three bytes at random: euro signs, and every way to break one.
TEST_F(Generate, CallbacksNeverSplitACharacter) {
  const std::string euro = "\xE2\x82\xAC";
  for (const char* model : {"llama-llama3", "gemma3-window"}) {
    Session session = open_tiny(small(512), model);
    GenerateOptions options;
    options.max_tokens = 400;
    options.sampler = {.temperature = 20, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 3};
    for (const char byte : euro) {
      options.sampler.logit_bias.emplace_back(token_of_byte(session.tokenizer(), byte), 1000.0f);
    }
    const Heard heard = hear(session, options);
    EXPECT_EQ(heard.joined(), pieces_of(session, heard.result.tokens));
    EXPECT_EQ(heard.joined(), heard.result.text);
    int signs = 0;
    for (std::size_t at = 0; (at = heard.joined().find(euro, at)) != std::string::npos; at += 3) {
      ++signs;
    }
    int whole = 0;
    for (const std::string& piece : heard.pieces) {
      for (std::size_t at = 0; (at = piece.find(euro, at)) != std::string::npos; at += 3) ++whole;
    }
    EXPECT_EQ(whole, signs) << model;
    EXPECT_GE(signs, 4) << model;
  }
}

TEST_F(Generate, EndsWhenTheContextIsFull) {
  Session session = open_tiny(small(32));
  const Heard heard = hear(session, greedy(1000));
  EXPECT_EQ(heard.result.reason, StopReason::context_full);
  EXPECT_EQ(session.cache().length(), 32);
  EXPECT_EQ(heard.result.tokens.size(), 32 - kPrompt.size() + 1);
  EXPECT_EQ(heard.joined(), pieces_of(session, heard.result.tokens));
}

/// Keys are stored in blocks of 16 positions; a context need not be whole blocks.
TEST_F(Generate, AContextIsAsLongAsAskedFor) {
  Session long_session = open_tiny(small());
  const Generation full = hear(long_session, greedy(40)).result;
  for (const std::int64_t context : {5, 6, 15, 17, 33}) {
    Session session = open_tiny(small(context));
    const Generation g = hear(session, greedy(1000)).result;
    EXPECT_EQ(g.reason, StopReason::context_full) << context;
    EXPECT_EQ(session.cache().length(), context);
    const std::size_t count = static_cast<std::size_t>(context) - kPrompt.size() + 1;
    EXPECT_EQ(g.tokens, std::vector(full.tokens.begin(),
                                    full.tokens.begin() + static_cast<std::ptrdiff_t>(count)));
  }
}

TEST_F(Generate, EndsAtAnEndToken) {
  Session session = open_tiny(small());
  GenerateOptions options = greedy(10);
  options.ignore_end = false;
  const TokenId end = *session.tokenizer().eos();
  options.sampler.logit_bias = {{end, 1000.0f}};
  const Heard heard = hear(session, options);
  EXPECT_EQ(heard.result.reason, StopReason::end_of_generation);
  EXPECT_EQ(heard.result.tokens, std::vector<TokenId>{end});
  EXPECT_EQ(heard.joined(), "");
}

TEST_F(Generate, ACancelIsAReason) {
  Session whole = open_tiny(small());
  const std::string full = hear(whole, greedy(40)).result.text;
  Session session = open_tiny(small());
  std::string text;
  auto result = generate(session, kPrompt, greedy(40), [&](std::string_view piece) {
    text += piece;
    if (text.size() >= 5) request_cancel();
  });
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->reason, StopReason::cancelled);
  EXPECT_LT(result->tokens.size(), 40u);
  EXPECT_EQ(result->text, text);
  EXPECT_TRUE(full.starts_with(text));
  clear_cancel();
  EXPECT_EQ(hear(session, greedy(3)).result.reason, StopReason::token_limit);
}

TEST_F(Generate, ACancelDuringThePromptIsAReason) {
  Session session = open_tiny(small());
  request_cancel();
  const auto result = generate(session, kPrompt, greedy(4));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->reason, StopReason::cancelled);
  EXPECT_EQ(result->prompt_tokens, kPrompt.size());
  EXPECT_TRUE(result->tokens.empty());
  EXPECT_EQ(result->text + result->logits_hash, "");
  EXPECT_EQ(session.cache().length(), 0);
}

TEST_F(Generate, ACancelledPromptLeavesTheCacheAsItWas) {
  Session session = open_tiny(small());
  ASSERT_TRUE(session.evaluate(kPrompt, Logits::none, {}).ok());
  request_cancel();
  const auto result = session.evaluate(kPrompt, Logits::none, {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, cancelled_error().message);
  EXPECT_EQ(session.cache().length(), static_cast<std::int64_t>(kPrompt.size()));
}

TEST_F(Generate, ImpossibleRequestsAreRefusedBeforeAnythingRuns) {
  Session session = open_tiny(small());
  const auto expect_invalid = [&](std::span<const TokenId> prompt, const GenerateOptions& options,
                                  const std::string& what) {
    const auto result = generate(session, prompt, options);
    ASSERT_FALSE(result.ok()) << what;
    EXPECT_EQ(result.error().kind, ErrorKind::invalid);
    EXPECT_THAT(result.error().message, HasSubstr(what));
    EXPECT_EQ(session.cache().length(), 0);
  };
  expect_invalid({}, greedy(4), "the prompt has no tokens");
  GenerateOptions options = greedy(4);
  options.stop = {"good", ""};
  expect_invalid(kPrompt, options, "a stop string is empty");
  expect_invalid(std::vector<TokenId>{5, 300}, greedy(4), "token id 300");
  expect_invalid(std::vector<TokenId>{5, -1}, greedy(4), "token id -1");
  expect_invalid(std::vector<TokenId>(257, 5), greedy(4), "257 tokens do not fit");
}

TEST_F(Generate, TheSameSeedGivesTheSameText) {
  const auto with_seed = [](std::uint64_t seed) {
    Session session = open_tiny(small());
    GenerateOptions options;
    options.max_tokens = 40;
    options.ignore_end = true;
    options.sampler.seed = seed;
    options.hash_logits = true;
    return hear(session, options).result;
  };
  const Generation first = with_seed(7);
  const Generation again = with_seed(7);
  const Generation other = with_seed(8);
  EXPECT_EQ(first.tokens, again.tokens);
  EXPECT_EQ(first.text, again.text);
  EXPECT_EQ(first.logits_hash, again.logits_hash);
  EXPECT_NE(first.tokens, other.tokens);
  EXPECT_NE(first.logits_hash, other.logits_hash);
}

TEST_F(Generate, ThreadsAndBatchesDoNotChangeTheLogits) {
  for (const char* model : {"llama-llama3", "qwen2-bias", "gemma3-window"}) {
    std::string expected;
    for (const auto& [threads, batch] : {std::pair(1, 256), {2, 1}, {3, 3}, {8, 256}}) {
      SessionOptions options = small(256, threads);
      options.batch_tokens = batch;
      Session session = open_tiny(options, model);
      const std::string hash = hear(session, greedy(3)).result.logits_hash;
      EXPECT_EQ(hash.size(), 16u);
      if (expected.empty()) expected = hash;
      EXPECT_EQ(hash, expected) << model << ", " << threads << " threads, batches of " << batch;
    }
  }
}

TEST(Session, OpenRefusesImpossibleOptions) {
  const auto expect_refused = [](const std::string& path, const SessionOptions& options,
                                 ErrorKind kind, const std::string& what) {
    const auto session = Session::open(path, options);
    ASSERT_FALSE(session.ok()) << what;
    EXPECT_EQ(session.error().kind, kind) << session.error().message;
    EXPECT_THAT(session.error().message, HasSubstr(what));
  };
  const std::string path = tiny("llama-llama3");
  for (const int threads : {-1, kMaxThreads + 1, 10000, std::numeric_limits<int>::min()}) {
    expect_refused(path, {.threads = threads}, ErrorKind::invalid,
                   fmt::format("{} threads is not in 1..512", threads));
  }
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  for (const std::int64_t context : {std::int64_t{-1}, std::int64_t{2049}, kMost, kLeast}) {
    expect_refused(path, small(context), ErrorKind::invalid,
                   fmt::format("{}: a context of {} tokens is not in 1..2048", path, context));
  }
  expect_refused(tiny("absent"), {}, ErrorKind::not_found, "absent.gguf");
  EXPECT_EQ(open_tiny(small(0)).context_tokens(), 2048);
  EXPECT_EQ(open_tiny(small(2048)).context_tokens(), 2048);
  for (const std::int64_t context : {1, 3, 17}) {
    EXPECT_EQ(open_tiny(small(context)).context_tokens(), context);
  }
}

std::vector<float> logits_after(Session& session, TokenId token) {
  std::vector<float> logits;
  const auto status = session.evaluate(std::span(&token, 1), Logits::last,
                                       [&](std::size_t, std::span<const float> row) -> Status {
                                         logits.assign(row.begin(), row.end());
                                         return {};
                                       });
  EXPECT_TRUE(status.ok()) << status.error().message;
  return logits;
}

TEST(Session, AFailedEvaluateLeavesTheCacheAsItWas) {
  SessionOptions options = small(32);
  options.batch_tokens = 4;
  Session session = open_tiny(options);
  Session fresh = open_tiny(options);
  ASSERT_TRUE(session.evaluate(kPrompt, Logits::none, {}).ok());
  ASSERT_TRUE(fresh.evaluate(kPrompt, Logits::none, {}).ok());
  int rows = 0;
  const auto count = [&](std::size_t, std::span<const float>) -> Status {
    return ++rows, Status();
  };
  const auto expect_refused = [&](const std::vector<TokenId>& tokens, Logits wanted,
                                  const Session::RowCallback& row, const std::string& what) {
    const auto status = session.evaluate(tokens, wanted, row);
    ASSERT_FALSE(status.ok()) << what;
    EXPECT_EQ(status.error().kind, ErrorKind::invalid);
    EXPECT_THAT(status.error().message, HasSubstr(what));
    EXPECT_EQ(session.cache().length(), static_cast<std::int64_t>(kPrompt.size()));
  };
  expect_refused(std::vector<TokenId>(28, 9), Logits::all, count,
                 "28 tokens do not fit into the context of 32, of which 5 are used");
  EXPECT_EQ(rows, 0);
  // The first batch is good and has been evaluated when the second fails.
  expect_refused({9, 9, 9, 9, 9, 300}, Logits::last, count, "token id 300");
  const auto refuse = [](std::size_t i, std::span<const float>) {
    return i < 5 ? Status() : Status(fail(ErrorKind::invalid, "enough"));
  };
  expect_refused(std::vector<TokenId>(9, 9), Logits::all, refuse, "enough");
  EXPECT_EQ(logits_after(session, 11), logits_after(fresh, 11));
}

}  // namespace
}  // namespace checkbit
