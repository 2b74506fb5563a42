// Endings on tiny models: the batched result against one by one, both against a sum over
// Session::evaluate with a softmax of its own; encoding; errors.

#include "score/endings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/progress.h"
#include "base/random.h"
#include "run/test_session.h"
#include "score/ending_tree.h"

namespace checkbit {
namespace {

using testing::HasSubstr;

SessionOptions small(std::int64_t batch = 24, std::int64_t max_logits = 5) {
  return {.context_tokens = 192, .threads = 2, .batch_tokens = batch, .max_logits = max_logits};
}

/// Items of every shape: endings that share a start, equal endings, one ending, long ones, an empty
/// context, white space at the end of a context.
std::vector<EndingRequest> requests() {
  const std::string preamble = "Shared words that stand before each of the questions here. ";
  return {{preamble + "What is wet?", {" rain", " rain water", " sand", " the sea and the rain"}},
          {preamble + "What is dry?", {" sand", " sand"}},
          {preamble + "Who sings?", {" a bird that has been awake since the morning came"}},
          {preamble + "And now? ", {"later", "never", "soon"}},
          {"", {"An ending alone", "Another"}},
          {preamble + "What is wet?", {" rain", " snow"}},
          // Further levels: items that begin as others do, endings inside of other endings.
          {preamble + "Who sings? It is", {" a bird", " a bird that has been awake at night"}},
          {preamble + "Who sings? It is a bird that has been", {" awake", " fed", " awake at"}}};
}

double softmax_log(std::span<const float> row, TokenId target) {
  double largest = row[0], sum = 0;
  for (const float x : row) largest = std::max(largest, static_cast<double>(x));
  for (const float x : row) sum += std::exp(static_cast<double>(x) - largest);
  return row[static_cast<std::size_t>(target)] - largest - std::log(sum);
}

EndingScore by_hand(Session& session, const EncodedEnding& encoded) {
  session.cache().truncate(0);
  EndingScore score{.greedy = true};
  const std::span<const TokenId> inputs =
      std::span(encoded.tokens).first(encoded.tokens.size() - 1);
  const auto status = session.evaluate(
      inputs, Logits::all, [&](std::size_t i, std::span<const float> row) -> Status {
        if (i + 1 < encoded.first_scored) return {};
        const TokenId target = encoded.tokens[i + 1];
        score.log_probability += softmax_log(row, target);
        score.greedy &= std::ranges::max_element(row) - row.begin() == target;
        ++score.tokens;
        return {};
      });
  EXPECT_TRUE(status.ok());
  return score;
}

TEST(Endings, EqualOneByOneToTheBitAndASumByHand) {
  const auto asked = requests();
  for (const char* name : {"llama-llama3", "gemma3-window"}) {
    Session session = open_tiny(small(), name);
    const auto batched = score_endings(session, asked);
    ASSERT_TRUE(batched.ok()) << batched.error().message;
    const auto alone = score_endings(session, asked, {.one_by_one = true});
    ASSERT_TRUE(alone.ok()) << alone.error().message;
    EXPECT_EQ(*batched, *alone) << name;
    ASSERT_EQ(batched->size(), asked.size());
    for (std::size_t i = 0; i < asked.size(); ++i) {
      ASSERT_EQ((*batched)[i].size(), asked[i].endings.size());
      for (std::size_t e = 0; e < asked[i].endings.size(); ++e) {
        const EndingScore& score = (*batched)[i][e];
        const EndingScore expected =
            by_hand(session,
                    encode_ending(session.tokenizer(), asked[i].context, asked[i].endings[e], 192));
        EXPECT_NEAR(score.log_probability, expected.log_probability,
                    1e-9 * std::abs(expected.log_probability))
            << name << " " << i << " " << e;
        EXPECT_EQ(score.tokens, expected.tokens);
        EXPECT_EQ(score.greedy, expected.greedy);
        EXPECT_EQ(score.bytes, asked[i].endings[e].size());
      }
    }
    EXPECT_EQ((*batched)[1][0], (*batched)[1][1]);
    EXPECT_EQ((*batched)[0][0], (*batched)[5][0]);
  }
}

/// Every way down reads each token of its sequence once, in order, and no two nodes of one parent
/// begin with a run that was worth sharing.
TEST(Endings, ATreeReadsWhatIsSharedOnce) {
  Random random(7);
  for (int trial = 0; trial < 200; ++trial) {
    const std::size_t worth = 1 + random.below(4);
    std::vector<std::vector<TokenId>> texts(1 + random.below(12));
    for (auto& text : texts) {
      if (&text != &texts[0] && random.below(3) > 0) text = texts[random.below(texts.size())];
      text.resize(random.below(text.size() + 1));
      for (std::size_t more = random.below(7); more > 0; --more)
        text.push_back(static_cast<TokenId>(random.below(2)));
    }
    const std::vector<std::span<const TokenId>> sequences(texts.begin(), texts.end());
    const EndingTree tree = grow_ending_tree(sequences, worth);
    std::vector<std::vector<TokenId>> read(texts.size());
    for (const EndingNode& node : tree.nodes) {
      EXPECT_EQ(node.depth,
                node.parent == EndingNode::kNone ? 0 : tree.nodes[node.parent].depth + 1);
      ASSERT_LT(node.begin, node.end);
      for (std::size_t place = node.first; place < node.last; ++place) {
        const std::size_t which = tree.order[place];
        ASSERT_EQ(read[which].size(), node.begin);
        const std::span<const TokenId> of_first = sequences[tree.order[node.first]];
        read[which].insert(read[which].end(), of_first.begin() + std::ptrdiff_t(node.begin),
                           of_first.begin() + std::ptrdiff_t(node.end));
      }
      for (const EndingNode& other : tree.nodes) {
        if (&other == &node || other.parent != node.parent) continue;
        const std::size_t shared =
            common_start(sequences[tree.order[node.first]], sequences[tree.order[other.first]]);
        EXPECT_LT(shared, node.begin + worth);
      }
    }
    EXPECT_EQ(read, texts);
  }
}

TEST(Endings, DoNotDependOnPassesOrCaches) {
  const auto asked = requests();
  Session session = open_tiny(small());
  const auto expected = score_endings(session, asked);
  ASSERT_TRUE(expected.ok());
  for (const SessionOptions& options : {small(1, 1), small(7, 7), small(192, 96)}) {
    Session other = open_tiny(options);
    EXPECT_EQ(*score_endings(other, asked), *expected) << options.batch_tokens;
    EXPECT_EQ(*score_endings(other, asked, {.cache_bytes = 1}), *expected);
    std::size_t heard = 0;
    const auto in_order = [&](std::size_t request, std::span<const EndingScore> scores) -> Status {
      EXPECT_EQ(request, heard++);
      EXPECT_THAT((*expected)[request], testing::ElementsAreArray(scores.begin(), scores.end()));
      return {};
    };
    EXPECT_TRUE(score_endings(other, asked, {.cache_bytes = 1}, in_order).ok());
    EXPECT_EQ(heard, asked.size());
  }
}

TEST(Endings, AWhiteSpaceGoesToTheEndingAndTheFrontIsDropped) {
  Session session = open_tiny(small());
  const Tokenizer& tokenizer = session.tokenizer();
  const EncodedEnding moved = encode_ending(tokenizer, "Now \n", "then", 192);
  const EncodedEnding plain = encode_ending(tokenizer, "Now", " \nthen", 192);
  EXPECT_EQ(moved.tokens, plain.tokens);
  EXPECT_EQ(moved.first_scored, plain.first_scored);
  const EncodedEnding whole = encode_ending(tokenizer, "one two three four", " five six", 192);
  const std::size_t ending = whole.tokens.size() - whole.first_scored;
  const EncodedEnding cut = encode_ending(tokenizer, "one two three four", " five six", ending);
  ASSERT_EQ(cut.tokens.size(), ending + 1);
  EXPECT_EQ(cut.first_scored, 1u);
  EXPECT_TRUE(std::equal(cut.tokens.rbegin(), cut.tokens.rend(), whole.tokens.rbegin()));
  const EncodedEnding tight = encode_ending(tokenizer, "one", " five six seven eight", 2);
  EXPECT_EQ(tight.tokens.size(), 3u);
  EXPECT_EQ(tight.first_scored, 1u);
}

TEST(Endings, ErrorsNameTheItem) {
  Session session = open_tiny(small());
  const auto error = [&](std::vector<EndingRequest> asked) {
    const auto result = score_endings(session, asked);
    EXPECT_FALSE(result.ok());
    return result.ok() ? "" : result.error().message;
  };
  EXPECT_THAT(error({{"a", {" b"}}, {"a", {}}}), HasSubstr("item 2: has no endings"));
  EXPECT_THAT(error({{"a", {" b", ""}}}), HasSubstr("item 1: ending 2 has no tokens"));
  clear_cancel();
  request_cancel();
  EXPECT_EQ(error({{"a", {" b"}}}), cancelled_error().message);
  clear_cancel();
}

}  // namespace
}  // namespace checkbit
