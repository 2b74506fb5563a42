#include "measure/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "base/random.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;

/// A model whose logits are random numbers of the last two tokens, with `noise` of its own on top.
/// It records what it was asked.
class FakeSource : public LogitsSource {
 public:
  FakeSource(std::string name, std::size_t vocabulary, float noise, std::uint64_t seed)
      : name_(std::move(name)), vocabulary_(vocabulary), noise_(noise), seed_(seed) {}

  std::string name() const override { return name_; }
  std::size_t vocabulary_size() const override { return vocabulary_; }

  Status begin_window() override {
    windows.emplace_back();
    return {};
  }

  std::size_t max_logits() const override { return most_logits; }

  Result<LogitsView> read(std::span<const TokenId> tokens, bool want_logits) override {
    rows_.clear();
    for (const TokenId token : tokens) {
      windows.back().push_back(token);
      largest_chunk = std::max(largest_chunk, tokens.size());
      if (windows.size() == fail_in_window && windows.back().size() == 20) {
        return fail(ErrorKind::io, "{}: read failed", name_);
      }
      if (cancel_after > 0 && --cancel_after == 0) request_cancel();
      if (!want_logits) continue;
      wanted_positions.insert(windows.back().size() - 1);
      const std::vector<float> row = row_after(windows.back());
      rows_.insert(rows_.end(), row.begin(), row.end());
    }
    if (!want_logits) return LogitsView();
    const auto width = static_cast<std::int64_t>(vocabulary_);
    return LogitsView{rows_.data(), static_cast<std::int64_t>(tokens.size()), width, width};
  }

  std::vector<float> row_after(const std::vector<TokenId>& read) const {
    const auto last = static_cast<std::uint64_t>(read.back());
    const auto before = read.size() > 1 ? static_cast<std::uint64_t>(read[read.size() - 2]) : 0;
    Random shared(5, last * 1000 + before);
    Random own(seed_, last * 1000 + before);
    std::vector<float> row(vocabulary_);
    for (float& value : row) {
      value = 6 * shared.uniform_float() + noise_ * (own.uniform_float() - 0.5F);
    }
    if (read.size() == poison_position + 1) row[3] = poison;
    return row;
  }

  std::vector<std::vector<TokenId>> windows;
  std::set<std::size_t> wanted_positions;
  std::size_t largest_chunk = 0;
  std::size_t most_logits = 1000;
  std::size_t fail_in_window = 0;
  int cancel_after = 0;
  std::size_t poison_position = std::numeric_limits<std::size_t>::max() - 1;
  float poison = std::numeric_limits<float>::quiet_NaN();

 private:
  std::string name_;
  std::size_t vocabulary_;
  float noise_;
  std::uint64_t seed_;
  std::vector<float> rows_;
};

std::vector<TokenId> some_text(std::size_t count, std::size_t vocabulary) {
  Random random(77);
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random.below(vocabulary));
  return tokens;
}

std::vector<long double> log_softmax(const std::vector<float>& row) {
  long double sum = 0;
  for (const float value : row) sum += std::exp(static_cast<long double>(value));
  std::vector<long double> result;
  for (const float value : row) result.push_back(static_cast<long double>(value) - std::log(sum));
  return result;
}

/// The definition, written out: windows, first half context, the last position predicts nothing.
struct Expected {
  long double loss = 0;
  long double reference_loss = 0;
  long double divergence = 0;
  long double entropy = 0;
  long double shift_squares = 0;
  double top5_kept = 0;
  double rank = 0;
  int changed = 0;
  int tokens = 0;
};

/// Ids from the likeliest down, equal ones by id.
std::vector<std::size_t> by_likelihood(const std::vector<long double>& log_row) {
  std::vector<std::size_t> ids(log_row.size());
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = i;
  std::stable_sort(ids.begin(), ids.end(),
                   [&](std::size_t a, std::size_t b) { return log_row[a] > log_row[b]; });
  return ids;
}

Expected by_definition(const FakeSource& model, const FakeSource& reference,
                       const std::vector<TokenId>& text, std::size_t context,
                       std::optional<TokenId> beginning) {
  Expected expected;
  for (std::size_t start = 0; start + context <= text.size(); start += context) {
    std::vector<TokenId> window(text.begin() + static_cast<std::ptrdiff_t>(start),
                                text.begin() + static_cast<std::ptrdiff_t>(start + context));
    if (beginning.has_value()) window[0] = *beginning;
    for (std::size_t p = context / 2; p + 1 < context; ++p) {
      const std::vector<TokenId> read(window.begin(),
                                      window.begin() + static_cast<std::ptrdiff_t>(p + 1));
      const auto log_q = log_softmax(model.row_after(read));
      const auto log_p = log_softmax(reference.row_after(read));
      const auto next = static_cast<std::size_t>(window[p + 1]);
      expected.loss -= log_q[next];
      expected.reference_loss -= log_p[next];
      for (std::size_t i = 0; i < log_p.size(); ++i) {
        expected.divergence += std::exp(log_p[i]) * (log_p[i] - log_q[i]);
      }
      for (const long double log_share : log_q) expected.entropy -= std::exp(log_share) * log_share;
      const long double shift = std::exp(log_q[next]) - std::exp(log_p[next]);
      expected.shift_squares += shift * shift;
      const auto order_q = by_likelihood(log_q);
      const auto order_p = by_likelihood(log_p);
      expected.changed += order_q[0] != order_p[0] ? 1 : 0;
      const auto kept_end = order_q.begin() + 5;
      for (std::size_t i = 0; i < 5; ++i) {
        expected.top5_kept +=
            std::find(order_q.begin(), kept_end, order_p[i]) != kept_end ? 0.2 : 0;
      }
      expected.rank += static_cast<double>(std::find(order_q.begin(), order_q.end(), order_p[0]) -
                                           order_q.begin() + 1);
      expected.tokens += 1;
    }
  }
  return expected;
}

constexpr std::size_t kVocabulary = 50;

const CandidateResult& only(const Result<ComparisonResult>& result) {
  EXPECT_EQ(result->candidates.size(), 1U);
  return result->candidates.front();
}

CompareOptions small_windows() {
  CompareOptions options;
  options.context_tokens = 33;
  options.chunk_tokens = 5;
  options.bootstrap.resamples = 500;
  return options;
}

TEST(Compare, AgreesWithTheDefinition) {
  FakeSource model("model", kVocabulary, 1.5F, 1);
  FakeSource reference("reference", kVocabulary, 0.5F, 2);
  const auto text = some_text(33 * 6 + 20, kVocabulary);
  for (const std::optional<TokenId> beginning : {std::optional<TokenId>(), std::optional(49)}) {
    CompareOptions options = small_windows();
    options.beginning = beginning;
    const auto result = compare_models(model, &reference, text, options);
    ASSERT_TRUE(result.ok()) << result.error().message;
    const Expected expected = by_definition(model, reference, text, 33, beginning);
    const auto count = static_cast<double>(expected.tokens);
    EXPECT_EQ(result->scored_tokens, static_cast<std::uint64_t>(expected.tokens));
    EXPECT_EQ(result->windows, 6U);
    EXPECT_EQ(only(result).blocks.blocks(), 6U);
    EXPECT_EQ(result->text_tokens, text.size());
    EXPECT_NEAR(only(result).perplexity.value, std::exp(static_cast<double>(expected.loss) / count),
                1e-9);
    const DivergenceResult& divergence = *only(result).divergence;
    const double reference_loss = static_cast<double>(expected.reference_loss) / count;
    EXPECT_NEAR(divergence.perplexity_reference.value, std::exp(reference_loss), 1e-9);
    EXPECT_NEAR(divergence.perplexity_ratio.value,
                only(result).perplexity.value / divergence.perplexity_reference.value, 1e-12);
    EXPECT_NEAR(divergence.mean.value, static_cast<double>(expected.divergence) / count, 1e-12);
    EXPECT_NEAR(divergence.top1_changed.value, expected.changed / count, 1e-12);
    EXPECT_NEAR(only(result).entropy.value, static_cast<double>(expected.entropy) / count, 1e-12);
    EXPECT_NEAR(divergence.top5_kept.value, expected.top5_kept / count, 1e-12);
    EXPECT_NEAR(divergence.rank_mean.value, expected.rank / count, 1e-12);
    EXPECT_NEAR(divergence.probability_change_rms.value,
                std::sqrt(static_cast<double>(expected.shift_squares) / count), 1e-12);
    EXPECT_GT(expected.changed, 0);
    EXPECT_GT(divergence.max, divergence.p99);
    EXPECT_GT(divergence.p99, divergence.median);
    EXPECT_EQ(divergence.quantile_curve.size(), 101U);
    EXPECT_EQ(divergence.quantile_curve.back(), divergence.max);
  }
}

TEST(Compare, AsksOnlyForTheLogitsItScores) {
  FakeSource model("model", kVocabulary, 1, 1);
  const auto text = some_text(40, kVocabulary);
  ASSERT_TRUE(compare_models(model, nullptr, text, small_windows()).ok());
  EXPECT_EQ(*model.wanted_positions.begin(), 16U);
  EXPECT_EQ(*model.wanted_positions.rbegin(), 31U);
  EXPECT_EQ(model.wanted_positions.size(), 16U);
  EXPECT_EQ(model.windows.at(0).size(), 32U) << "the last token is predicted, never read";
}

TEST(Compare, ChunksChangeNothing) {
  const auto text = some_text(33 * 6, kVocabulary);
  std::vector<double> seen;
  for (const std::size_t chunk : {1, 3, 16, 1000}) {
    FakeSource model("model", kVocabulary, 1, 1);
    FakeSource reference("reference", kVocabulary, 1, 2);
    CompareOptions options = small_windows();
    options.chunk_tokens = chunk;
    const auto result = compare_models(model, &reference, text, options);
    ASSERT_TRUE(result.ok());
    seen.push_back(only(result).divergence->mean.value);
    EXPECT_EQ(only(result).divergence->mean.interval->low > 0, true);
    EXPECT_EQ(seen.back(), seen.front());
  }
}

TEST(Compare, AModelAgainstItselfHasNoLoss) {
  FakeSource model("model", kVocabulary, 1, 1);
  FakeSource same("same", kVocabulary, 1, 1);
  const auto result = compare_models(model, &same, some_text(33 * 6, kVocabulary), small_windows());
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(only(result).divergence->perplexity_ratio.value, 1.0);
  EXPECT_EQ(only(result).divergence->perplexity_ratio.interval->high, 1.0);
  EXPECT_EQ(only(result).divergence->max, 0.0);
  EXPECT_EQ(only(result).divergence->top1_changed.value, 0.0);
}

TEST(Compare, PairingMakesTheRatioTight) {
  FakeSource model("model", kVocabulary, 0.4F, 1);
  FakeSource reference("reference", kVocabulary, 0, 2);
  const auto result =
      compare_models(model, &reference, some_text(33 * 40, kVocabulary), small_windows());
  ASSERT_TRUE(result.ok());
  const auto width = [](const Estimate& e) {
    return (e.interval->high - e.interval->low) / e.value;
  };
  EXPECT_LT(5 * width(only(result).divergence->perplexity_ratio), width(only(result).perplexity));
}

TEST(Compare, OneModelAloneHasOnlyPerplexity) {
  FakeSource model("model", kVocabulary, 1, 1);
  FakeSource reference("reference", kVocabulary, 1, 2);
  const auto text = some_text(33 * 3, kVocabulary);
  const auto alone = compare_models(model, nullptr, text, small_windows());
  const auto both = compare_models(model, &reference, text, small_windows());
  ASSERT_TRUE(alone.ok() && both.ok());
  EXPECT_FALSE(only(alone).divergence.has_value());
  EXPECT_DOUBLE_EQ(only(alone).perplexity.value, only(both).perplexity.value);
}

TEST(Compare, WindowsCanBeLimitedAndFewHaveNoInterval) {
  FakeSource model("model", kVocabulary, 1, 1);
  CompareOptions options = small_windows();
  options.max_windows = 5;
  const auto result = compare_models(model, nullptr, some_text(33 * 9, kVocabulary), options);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->windows, 5U);
  EXPECT_EQ(model.windows.size(), 5U);
  EXPECT_FALSE(only(result).perplexity.interval.has_value());
}

TEST(Compare, CountsWhatItWillScore) {
  for (const std::size_t tokens : {33u, 40u, 33u * 5, 33u * 5 + 32}) {
    for (const std::size_t most : {0u, 2u}) {
      FakeSource model("model", kVocabulary, 1, 1);
      CompareOptions options = small_windows();
      options.max_windows = most;
      const auto result = compare_models(model, nullptr, some_text(tokens, kVocabulary), options);
      ASSERT_TRUE(result.ok()) << result.error().message;
      EXPECT_EQ(scored_tokens(tokens, options), result->scored_tokens) << tokens;
    }
  }
}

TEST(Lockstep, RunsTheReferenceOnceForAllCandidates) {
  const auto text = some_text(33 * 6, kVocabulary);
  FakeSource reference("reference", kVocabulary, 0.5F, 9);
  std::vector<FakeSource> models;
  for (const std::uint64_t seed : {1, 2, 3}) models.emplace_back("m", kVocabulary, 1.0F, seed);
  std::vector<LogitsSource*> candidates;
  for (FakeSource& model : models) candidates.push_back(&model);
  const auto together = compare_models(candidates, &reference, text, small_windows());
  ASSERT_TRUE(together.ok());
  EXPECT_EQ(reference.windows.size(), 6U);
  ASSERT_EQ(together->candidates.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    FakeSource again("reference", kVocabulary, 0.5F, 9);
    FakeSource model("m", kVocabulary, 1.0F, i + 1);
    const auto alone = compare_models(model, &again, text, small_windows());
    ASSERT_TRUE(alone.ok());
    EXPECT_EQ(together->candidates[i].divergence->mean.value, only(alone).divergence->mean.value);
    EXPECT_EQ(together->candidates[i].divergence->mean.interval->high,
              only(alone).divergence->mean.interval->high);
  }
}

TEST(Lockstep, ABrokenCandidateIsNamedAndTheOthersGoOn) {
  const auto text = some_text(33 * 6, kVocabulary);
  FakeSource reference("reference", kVocabulary, 0.5F, 9);
  FakeSource good("good", kVocabulary, 1, 1);
  FakeSource bad("bad.gguf", kVocabulary, 1, 2);
  bad.poison_position = 20;
  LogitsSource* const candidates[] = {&bad, &good};
  const auto result = compare_models(candidates, &reference, text, small_windows());
  ASSERT_TRUE(result.ok());
  ASSERT_TRUE(result->candidates[0].broken.has_value());
  EXPECT_THAT(*result->candidates[0].broken,
              HasSubstr("bad.gguf: logits are not finite in window"));
  EXPECT_TRUE(to_records(result->candidates[0], "x").empty()) << "nothing of it is averaged";
  EXPECT_EQ(bad.windows.size(), 1U) << "it is not run any more";
  FakeSource again("reference", kVocabulary, 0.5F, 9);
  FakeSource alone("good", kVocabulary, 1, 1);
  EXPECT_EQ(result->candidates[1].divergence->mean.value,
            only(compare_models(alone, &again, text, small_windows())).divergence->mean.value);
}

TEST(Lockstep, ChunksFitTheSmallestSource) {
  FakeSource model("model", kVocabulary, 1, 1);
  FakeSource reference("reference", kVocabulary, 1, 2);
  reference.most_logits = 3;
  ASSERT_TRUE(compare_models(model, &reference, some_text(33, kVocabulary), small_windows()).ok());
  EXPECT_EQ(model.largest_chunk, 16U) << "the context";
  std::size_t rows = 0;
  for (const std::size_t position : model.wanted_positions) rows += position >= 16 ? 1 : 0;
  EXPECT_EQ(rows, 16U);
}

TEST(Lockstep, FiguresByPositionClassAndDocumentAddUp) {
  FakeSource model("model", kVocabulary, 1, 1);
  FakeSource reference("reference", kVocabulary, 1, 2);
  const auto text = some_text(33 * 12, kVocabulary);
  std::vector<std::string_view> pieces(kVocabulary, " word");
  for (std::size_t i = 0; i < 10; ++i) pieces[i] = "7";
  const TokenClasses classes(pieces);
  const std::vector<Document> documents = {{"first", 0}, {"second", 140}, {"third", 300}};
  CompareOptions options = small_windows();
  options.classes = &classes;
  options.documents = documents;
  const auto result = compare_models(model, &reference, text, options);
  ASSERT_TRUE(result.ok());
  const DivergenceResult& divergence = *only(result).divergence;
  ASSERT_EQ(divergence.by_position.size(), 16U);
  ASSERT_EQ(divergence.by_class.size(), 2U);
  ASSERT_EQ(divergence.by_document.size(), 3U);
  EXPECT_EQ(divergence.by_class[1].name, "number");
  EXPECT_EQ(divergence.by_position.front().name, "18");
  EXPECT_EQ(divergence.by_position.back().name, "33");
  for (const auto& groups : {divergence.by_position, divergence.by_class, divergence.by_document}) {
    double tokens = 0;
    double sum = 0;
    double changed = 0;
    for (const GroupFigures& group : groups) {
      tokens += group.tokens;
      sum += group.tokens * group.divergence.value;
      changed += group.tokens * group.changed.value;
    }
    EXPECT_EQ(tokens, 12 * 16);
    EXPECT_NEAR(sum / tokens, divergence.mean.value, 1e-12);
    EXPECT_NEAR(changed / tokens, divergence.top1_changed.value, 1e-12);
  }
  // Tokens 140 and on are of the second document; windows score their last 16 tokens.
  EXPECT_EQ(divergence.by_document[0].tokens, 4 * 16);
  double sure = 0;
  for (const SurenessBin& bin : divergence.by_sureness) {
    sure += bin.tokens;
    EXPECT_GE(bin.reference_probability, bin.low);
    EXPECT_LE(bin.reference_probability, bin.high);
  }
  EXPECT_EQ(sure, 12 * 16);
  ASSERT_FALSE(divergence.examples.empty());
  for (const ChangedChoice& example : divergence.examples) {
    EXPECT_NE(example.choice, example.reference_choice);
    EXPECT_EQ(example.actual, text[example.window * 33 + example.position + 1]);
    EXPECT_EQ(example.before.back(), text[example.window * 33 + example.position]);
  }
}

TEST(EarlyStop, StopsWhenTheIntervalIsNarrowAndSaysWhatItSpared) {
  const auto text = some_text(33 * 400, kVocabulary);
  CompareOptions options = small_windows();
  FakeSource all_model("model", kVocabulary, 1, 1);
  FakeSource all_reference("reference", kVocabulary, 1, 2);
  const auto all = compare_models(all_model, &all_reference, text, options);
  options.until = 0.1;
  FakeSource model("model", kVocabulary, 1, 1);
  FakeSource reference("reference", kVocabulary, 1, 2);
  const auto result = compare_models(model, &reference, text, options);
  ASSERT_TRUE(all.ok() && result.ok());
  EXPECT_LT(result->windows, 300U);
  EXPECT_EQ(result->early_stop->windows_spared, 400 - result->windows);
  EXPECT_LE(result->early_stop->reached, 0.1);
  const Estimate& mean = only(result).divergence->mean;
  EXPECT_NEAR(0.5 * (mean.interval->high - mean.interval->low) / mean.value,
              result->early_stop->reached, 1e-12);
  const double whole = only(all).divergence->mean.value;
  EXPECT_LT(mean.interval->low, whole);
  EXPECT_GT(mean.interval->high, whole);
  EXPECT_NE(model.windows[0][1], text[1]) << "the order is random";
  options.order_seed = 2;
  FakeSource other("model", kVocabulary, 1, 1);
  FakeSource other_reference("reference", kVocabulary, 1, 2);
  ASSERT_TRUE(compare_models(other, &other_reference, text, options).ok());
  EXPECT_NE(other.windows[0], model.windows[0]);
}

TEST(EarlyStop, ReadsEverythingForAnIntervalThatNeedsIt) {
  const auto text = some_text(33 * 30, kVocabulary);
  FakeSource model("model", kVocabulary, 1, 1);
  CompareOptions options = small_windows();
  options.until = 1e-9;
  const auto result = compare_models(model, nullptr, text, options);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->windows, 30U);
  EXPECT_EQ(result->early_stop->windows_spared, 0U);
  EXPECT_EQ(result->early_stop->reached, 0) << "the whole text has no error against itself";
  options.until = 1.5;
  EXPECT_EQ(compare_models(model, nullptr, text, options).error().kind, ErrorKind::invalid);
}

TEST(CompareErrors, VocabulariesThatDiffer) {
  FakeSource model("small.gguf", 50, 1, 1);
  FakeSource reference("large.gguf", 51, 1, 1);
  const auto result = compare_models(model, &reference, some_text(99, 50), small_windows());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind, ErrorKind::invalid);
  EXPECT_THAT(result.error().message, HasSubstr("small.gguf has 50"));
  EXPECT_THAT(result.error().message, HasSubstr("large.gguf has 51"));
}

TEST(CompareErrors, TextsThatAreTooShort) {
  FakeSource model("model", kVocabulary, 1, 1);
  const auto message = [&](std::size_t tokens) {
    const auto result = compare_models(model, nullptr, some_text(tokens, kVocabulary));
    EXPECT_EQ(result.error().kind, ErrorKind::budget);
    return result.error().message;
  };
  EXPECT_EQ(message(0), "the text has 0 tokens, at least 8 are needed (with --context 8)");
  EXPECT_EQ(message(7), "the text has 7 tokens, at least 8 are needed (with --context 8)");
  EXPECT_EQ(message(300),
            "the text has 300 tokens, at least 512 are needed for one window: give a longer text "
            "or --context 300");
  EXPECT_TRUE(compare_models(model, nullptr, some_text(512, kVocabulary)).ok());
  CompareOptions least;
  least.context_tokens = kMinContextTokens;
  EXPECT_TRUE(compare_models(model, nullptr, some_text(8, kVocabulary), least).ok());
}

TEST(CompareErrors, OptionsAndTokensThatCannotBe) {
  FakeSource model("model", kVocabulary, 1, 1);
  auto text = some_text(40, kVocabulary);
  CompareOptions options = small_windows();
  options.context_tokens = 7;
  EXPECT_THAT(compare_models(model, nullptr, text, options).error().message,
              HasSubstr("--context 7 is too short"));
  options = small_windows();
  options.chunk_tokens = 0;
  EXPECT_EQ(compare_models(model, nullptr, text, options).error().kind, ErrorKind::invalid);
  options = small_windows();
  options.beginning = 50;
  EXPECT_THAT(compare_models(model, nullptr, text, options).error().message,
              HasSubstr("beginning token 50"));
  for (const TokenId bad : {-1, 50}) {
    text[11] = bad;
    EXPECT_THAT(compare_models(model, nullptr, text, small_windows()).error().message,
                HasSubstr("at position 11 is not in the vocabulary of model (50)"));
  }
}

TEST(CompareErrors, LogitsThatAreNotFinite) {
  for (const float poison :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    FakeSource good("good.gguf", kVocabulary, 1, 1);
    FakeSource bad("bad.gguf", kVocabulary, 1, 2);
    bad.poison_position = 20;
    bad.poison = poison;
    const auto text = some_text(70, kVocabulary);
    for (auto [model, reference] : {std::pair<FakeSource*, FakeSource*>(&bad, &good),
                                    std::pair<FakeSource*, FakeSource*>(&good, &bad),
                                    std::pair<FakeSource*, FakeSource*>(&bad, nullptr)}) {
      const auto result = compare_models(*model, reference, text, small_windows());
      ASSERT_FALSE(result.ok());
      EXPECT_EQ(result.error().kind, ErrorKind::corrupt);
      EXPECT_THAT(result.error().message,
                  HasSubstr("bad.gguf: logits are not finite in window 0 at position 20"));
    }
  }
}

TEST(CompareErrors, SourcesThatFailAndCancelling) {
  FakeSource model("model", kVocabulary, 1, 1);
  FakeSource reference("reference", kVocabulary, 1, 2);
  const auto text = some_text(33 * 5, kVocabulary);
  reference.fail_in_window = 2;
  EXPECT_EQ(compare_models(model, &reference, text, small_windows()).error().message,
            "reference: read failed");
  FakeSource fresh("model", kVocabulary, 1, 1);
  fresh.cancel_after = 50;
  const auto result = compare_models(fresh, nullptr, text, small_windows());
  clear_cancel();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, cancelled_error().message);
  EXPECT_LE(fresh.windows.size(), 2U);
}

class LastState : public ProgressSink {
 public:
  void update(const ProgressState& state) override { last = state; }
  ProgressState last;
};

TEST(Compare, ProgressCountsEveryTokenOnce) {
  LastState sink;
  ProgressSink* const before = set_progress_sink(&sink);
  FakeSource model("model", kVocabulary, 1, 1);
  const auto result =
      compare_models(model, nullptr, some_text(33 * 4 + 5, kVocabulary), small_windows());
  set_progress_sink(before);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(sink.last.finished);
  EXPECT_EQ(sink.last.done, 33U * 4);
  EXPECT_EQ(sink.last.total, 33U * 4);
}

TEST(Compare, RecordsHaveTheirFixedNames) {
  FakeSource model("model", kVocabulary, 1, 1);
  FakeSource reference("reference", kVocabulary, 1, 2);
  const auto result =
      compare_models(model, &reference, some_text(33 * 6, kVocabulary), small_windows());
  ASSERT_TRUE(result.ok());
  std::map<std::string, Record> records;
  auto all = to_records(only(result), "checkbit measure");
  for (Record& record : run_records(*result, 2, "checkbit measure")) all.push_back(record);
  for (const Record& record : all) {
    EXPECT_EQ(record.command, "checkbit measure");
    EXPECT_EQ(record.low.has_value(), record.high.has_value());
    records[record.name] = record;
  }
  for (const char* name :
       {"perplexity", "perplexity_reference", "perplexity_ratio", "kl_divergence_mean", "entropy",
        "entropy_reference", "top1_changed", "top5_kept", "top10_kept", "reference_rank_mean",
        "probability_change_rms", "windows_worse"}) {
    ASSERT_EQ(records.count(name), 1U) << name;
    EXPECT_TRUE(records[name].low.has_value()) << name;
  }
  for (const char* name : {"kl_divergence_median", "kl_divergence_p90", "kl_divergence_p99",
                           "kl_divergence_p999", "kl_divergence_max"}) {
    ASSERT_EQ(records.count(name), 1U) << name;
    EXPECT_EQ(records[name].unit, "nats");
  }
  EXPECT_EQ(records["top1_changed"].unit, "share");
  EXPECT_EQ(records["perplexity"].value, only(result).perplexity.value);
  EXPECT_EQ(records["scored_tokens"].value, 6 * 16);
}

}  // namespace
}  // namespace checkbit
