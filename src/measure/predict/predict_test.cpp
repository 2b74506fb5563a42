#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/random.h"
#include "measure/predict/evaluate.h"
#include "measure/predict/predict_report.h"
#include "measure/predict/veracity.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kWindows = 60;
constexpr std::size_t kContext = 81;
constexpr std::size_t kLayers = 8;
constexpr TokenId kBadDigit = 7;

double normal(Random& random) { return normal_quantile((random.uniform() + 1e-9) / (1 + 2e-9)); }

/// A made-up world: choices change where the reference is uncertain, where the late residual stream
/// is small, and nearly always after one rare token.
TokenTable made_up_table(double entropy_effect, double residual_effect, std::uint64_t seed) {
  TokenTable table;
  table.layers = kLayers;
  table.windows = kWindows;
  table.context_tokens = kContext;
  Random random(seed);
  for (std::uint32_t w = 0; w < kWindows; ++w) {
    const double mood = normal(random);
    for (std::uint32_t p = kContext / 2; p + 1 < kContext; ++p) {
      TokenRow row;
      const double uncertain = std::abs(normal(random)) + 0.3;
      const double size = normal(random) + 0.5 * mood;
      row.window = w;
      row.position = p;
      row.read = random.below(25) == 0 ? kBadDigit : static_cast<TokenId>(10 + random.below(40));
      row.choice = static_cast<TokenId>(10 + random.below(40));
      row.read_class = row.read == kBadDigit ? TokenClass::number : TokenClass::word_start;
      row.entropy = static_cast<float>(uncertain);
      row.top_log_probability = static_cast<float>(-0.5 * uncertain);
      row.margin = static_cast<float>(random.uniform() * 3);
      const double odds = -2 + entropy_effect * (uncertain - 1) - residual_effect * size +
                          (row.read == kBadDigit ? 2.5 : 0);
      row.changed = random.uniform() < logistic_function(odds);
      row.wrong = row.changed || random.uniform() < 0.3;
      row.divergence = static_cast<float>(std::exp(odds + 0.3 * normal(random)));
      row.reference_loss = static_cast<float>(uncertain * 2 * random.uniform());
      row.loss = row.reference_loss + (row.changed ? 1.5F : 0.05F) +
                 0.1F * static_cast<float>(random.uniform());
      row.choice_log_probability = row.changed ? -2.5F : -0.3F;
      table.rows.push_back(row);
      for (std::size_t layer = 0; layer < kLayers; ++layer)
        table.residuals.push_back(
            static_cast<float>(layer < kLayers / 2 ? normal(random) : size + 0.1 * normal(random)));
    }
  }
  return table;
}

std::vector<std::size_t> rows_of_first_windows(const TokenTable& table, std::uint32_t windows) {
  std::vector<std::size_t> rows;
  for (std::size_t r = 0; r < table.rows.size(); ++r)
    if (table.rows[r].window < windows) rows.push_back(r);
  return rows;
}

class EachPredictor : public ::testing::TestWithParam<const Predictor*> {};

TEST_P(EachPredictor, ReadsOnlyWhatItMay) {
  const Predictor& predictor = *GetParam();
  EXPECT_EQ(find_predictor(predictor.name), &predictor);
  EXPECT_FALSE(predictor.title.empty());
  EXPECT_FALSE(predictor.summary.empty());
  const TokenTable table = made_up_table(1, 1, 5);
  const auto train = rows_of_first_windows(table, 30);
  TokenTable other = table;
  for (TokenRow& row : other.rows) {
    if (row.window < 30) continue;
    row.changed = !row.changed;
    row.wrong = !row.wrong;
    row.divergence = 100;
    row.choice_log_probability = -50;
    if (!predictor.reads_model) {
      row.loss = 70;
      row.reference_loss = 70;
    }
  }
  for (const Failure failure : kFailures) {
    const auto scores = predictor.score(table, train, failure);
    ASSERT_EQ(scores.size(), table.rows.size());
    for (const double score : scores) ASSERT_TRUE(std::isfinite(score));
    EXPECT_EQ(scores, predictor.score(table, train, failure)) << "not deterministic";
    EXPECT_EQ(scores, predictor.score(other, train, failure))
        << "outcomes of rows outside training were read";
  }
}

TEST_P(EachPredictor, ForetellsWhatItsIdeaSays) {
  const Predictor& predictor = *GetParam();
  const bool of_entropy = predictor.name == "entropy";
  const TokenTable table = made_up_table(of_entropy ? 1.5 : 0.5, of_entropy ? 0 : 1.2, 6);
  const auto result = evaluate_predictors(table, 3);
  ASSERT_TRUE(result.ok()) << result.error().message;
  for (const PredictorResult& entry : result->targets[0].predictors) {
    if (entry.predictor != &predictor) continue;
    ASSERT_TRUE(entry.auc.interval);
    EXPECT_GT(entry.auc.interval->low, 0.55);
    EXPECT_LT(entry.calibration.value, 0.1);
  }
}

INSTANTIATE_TEST_SUITE_P(Predictors, EachPredictor,
                         ::testing::ValuesIn(all_predictors().begin(), all_predictors().end()),
                         [](const auto& each) { return std::string(each.param->name); });

TEST(Predictors, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const Predictor* predictor : all_predictors()) names.insert(predictor->name);
  EXPECT_EQ(names.size(), all_predictors().size());
  EXPECT_EQ(all_predictors()[0]->name, "entropy");
}

TEST(Evaluate, FindsResidualsAndTheBadTokenAndGainsOverEntropy) {
  const TokenTable table = made_up_table(0.5, 1.2, 7);
  const auto result = evaluate_predictors(table);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->windows[0], 24U);
  EXPECT_EQ(result->windows[1], 12U);
  EXPECT_EQ(result->windows[2], 24U);
  const TargetResult& changed = result->targets[0];
  ASSERT_EQ(changed.predictors.size(), all_predictors().size());
  const PredictorResult& residual = changed.predictors[1];
  ASSERT_TRUE(residual.gain && residual.gain->interval);
  EXPECT_GT(residual.gain->interval->low, 0) << "small streams break in this world";
  EXPECT_LT(result->late.tokens.interval->high, -0.5);
  EXPECT_LT(result->late.windows.interval->high, 0);
  EXPECT_NEAR(result->layers[0].tokens.value, 0, 0.1) << "early layers are noise";
  ASSERT_FALSE(result->subgroups.proven.empty());
  bool found = false;
  for (const Subgroup& group : result->subgroups.proven)
    found = found || group.name.find("read: number") != std::string::npos;
  EXPECT_TRUE(found);
  EXPECT_EQ(result->ranked.size(), kWindows);
  EXPECT_GE(result->ranked.front().probability, result->ranked.back().probability);
}

TEST(Evaluate, ChanceHasNoGainAndFewWindowsAreRefused) {
  TokenTable table = made_up_table(0, 0, 8);
  Random random(9);
  for (TokenRow& row : table.rows) {
    row.changed = random.uniform() < 0.2;
    row.loss = row.reference_loss + static_cast<float>(random.uniform());
    row.choice_log_probability = -1;
  }
  const auto result = evaluate_predictors(table);
  ASSERT_TRUE(result.ok()) << result.error().message;
  for (const PredictorResult& entry : result->targets[0].predictors) {
    EXPECT_LT(entry.auc.interval->low, 0.51) << entry.predictor->name;
    EXPECT_GT(entry.auc.interval->high, 0.49) << entry.predictor->name;
  }
  EXPECT_TRUE(result->subgroups.proven.empty());

  TokenTable same = table;
  for (TokenRow& row : same.rows) row.changed = false;
  const auto nothing = evaluate_predictors(same);
  ASSERT_FALSE(nothing.ok());
  EXPECT_THAT(nothing.error().message, HasSubstr("0 of"));
  table.windows = 14;
  const auto few = evaluate_predictors(table);
  ASSERT_FALSE(few.ok());
  EXPECT_EQ(few.error().kind, ErrorKind::budget);
  EXPECT_THAT(few.error().message, HasSubstr("14 windows are too few"));
}

/// Of 200 worlds without any effect, Holm's correction lets at most about 5 % name a subgroup.
TEST(Subgroups, FalseAlarmsAreRare) {
  int alarms = 0;
  constexpr int kRuns = 200;
  for (int run = 0; run < kRuns; ++run) {
    AttributeTable table;
    table.attributes = {{"a", {"0", "1", "2", "3"}},
                        {"b", {"0", "1", "2", "3"}},
                        {"c", {"0", "1"}},
                        {"d", {"0", "1", "2"}}};
    std::vector<std::uint8_t> failed;
    std::vector<std::uint32_t> blocks;
    std::vector<std::size_t> train;
    std::vector<std::size_t> held;
    Random random(21, static_cast<std::uint64_t>(run));
    for (std::uint32_t b = 0; b < 40; ++b) {
      const double share = 0.4 * random.uniform();  // windows differ, attributes do not matter
      for (int i = 0; i < 50; ++i) {
        for (const std::uint64_t values : {4, 4, 2, 3})
          table.codes.push_back(static_cast<std::uint8_t>(random.below(values)));
        (b % 2 == 0 ? train : held).push_back(failed.size());
        failed.push_back(random.uniform() < share ? 1 : 0);
        blocks.push_back(b);
      }
    }
    alarms += find_subgroups(table, failed, blocks, train, held).proven.empty() ? 0 : 1;
  }
  EXPECT_LE(alarms, kRuns * 9 / 100);
}

TEST(Subgroups, KeysAndNames) {
  AttributeTable table;
  table.attributes = {{"kind", {"word", "digit"}}, {"place", {"first", "last"}}};
  table.codes = {1, 0, 0, 1, 1, 1};
  const std::vector<std::uint8_t> failed = {1, 0, 0};
  const std::vector<std::size_t> rows = {0, 1, 2};
  const SubgroupCounts counts(table, failed, rows);
  std::size_t groups = 0;
  counts.for_each([&](SubgroupKey key, SubgroupCount count) {
    ++groups;
    std::uint32_t items = 0;
    for (const std::size_t r : rows) items += in_subgroup(table, r, key) ? 1 : 0;
    EXPECT_EQ(items, count.items) << describe_subgroup(table, key);
    const std::string name = describe_subgroup(table, key);
    if (name == "kind: digit") {
      EXPECT_EQ(count.failures, 1U);
    }
    if (name == "kind: digit, place: first") {
      EXPECT_EQ(count.items, 1U);
    }
  });
  EXPECT_EQ(groups, 2U + 2U + 3U);
  EXPECT_EQ(counts.total().items, 3U);
}

/// The paper's setting: scatter differs from row to row, and some numbers are wrong. Dividing by
/// both uncertainties must beat the bare residual.
TEST(Veracity, FindsWrongNumbersBetterThanResiduals) {
  Random random(4);
  Design features(2);
  std::vector<double> numbers;
  std::vector<std::uint8_t> wrong;
  std::vector<std::size_t> rows;
  for (int i = 0; i < 3000; ++i) {
    const double x = random.uniform() * 4 - 2;
    const double scatter = x > 0 ? 1.5 : 0.1;
    features.add(std::vector<double>{x, random.uniform()});
    wrong.push_back(random.uniform() < 0.05 ? 1 : 0);
    const double error = wrong.back() != 0 ? (random.uniform() < 0.5 ? -1.0 : 1.0) : 0;
    numbers.push_back(x * x + scatter * normal(random) + error);
    rows.push_back(rows.size());
  }
  const Design wide = features.quadratic();
  const VeracityScores result = veracity(wide, numbers, rows);
  std::vector<double> doubt;
  std::vector<double> residual;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    doubt.push_back(1 - result.scores[r]);
    residual.push_back(std::abs(result.residuals[r]));
  }
  const auto gain = auc_difference(doubt, residual, {wrong, {}});
  ASSERT_TRUE(gain && gain->interval);
  EXPECT_GT(gain->interval->low, 0);
}

TEST(Veracity, EstimatesHowManyAreWrong) {
  for (const double share : {0.0, 0.1}) {
    Random random(5);
    Design features(1);
    std::vector<double> numbers;
    std::vector<std::size_t> rows;
    for (int i = 0; i < 1500; ++i) {
      const double x = random.uniform() * 4 - 2;
      features.add(std::vector<double>{x});
      const bool wrong = random.uniform() < share;
      numbers.push_back((wrong ? 4 - 3 * x : x) + 0.2 * normal(random));
      rows.push_back(rows.size());
    }
    const double found = error_share(features, numbers, rows);
    EXPECT_GE(found, share * 0.5);
    EXPECT_LE(found, share * 2 + 0.02);
  }
}

/// Two models as tables: what is collected is what was put in.
class TableSource : public LogitsSource {
 public:
  TableSource(std::string name, ResidualMeter* meter, float shift)
      : name_(std::move(name)), meter_(meter), shift_(shift) {}
  std::string name() const override { return name_; }
  std::size_t vocabulary_size() const override { return 3; }
  Status begin_window() override {
    read_ = 0;
    return {};
  }
  std::size_t max_logits() const override { return 32; }
  Result<LogitsView> read(std::span<const TokenId> tokens, bool wanted) override {
    rows_.clear();
    for (const TokenId token : tokens) {
      if (meter_ != nullptr) {
        for (std::int64_t layer = 0; layer < 2; ++layer) {
          const float stream[2] = {static_cast<float>(token + 1), static_cast<float>(token + 1)};
          const Step step{.kind = StepKind::rms_norm,
                          .in = Slot::residual,
                          .out = Slot::normed,
                          .weight = Role::attention_norm};
          meter_->before({.step = step, .layer = layer, .n_tokens = 1, .in = stream, .in_size = 2});
        }
      }
      ++read_;
      if (!wanted) continue;
      const float poison = read_ == poison_at ? std::nanf("") : 0.0F;
      rows_.insert(rows_.end(), {1.0F + poison, shift_, static_cast<float>(token)});
    }
    return LogitsView{rows_.data(), static_cast<std::int64_t>(rows_.size() / 3), 3, 3};
  }
  std::size_t poison_at = 0;

 private:
  std::string name_;
  ResidualMeter* meter_;
  float shift_;
  std::size_t read_ = 0;
  std::vector<float> rows_;
};

TEST(Collect, RowsHoldWhatModelsSaid) {
  ResidualMeter meter(2);
  TableSource model("model.gguf", nullptr, 5);
  TableSource reference("reference.gguf", &meter, -5);
  const std::vector<TokenId> text = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1};
  CompareOptions options;
  options.context_tokens = 8;
  const TokenClasses classes(std::vector<std::string_view>{" one", "two", "3"});
  const std::vector<Document> documents = {{"first", 0}, {"second", 8}};
  options.classes = &classes;
  options.documents = documents;
  const auto table = collect_tokens(model, reference, meter, text, options);
  ASSERT_TRUE(table.ok()) << table.error().message;
  ASSERT_EQ(table->windows, 2U);
  ASSERT_EQ(table->rows.size(), 2U * 3U);
  const TokenRow& row = table->rows[0];
  EXPECT_EQ(row.position, 4U);
  EXPECT_EQ(row.read, 1);
  EXPECT_EQ(row.read_class, TokenClass::word_inside);
  EXPECT_EQ(row.document, 0U);
  EXPECT_EQ(table->rows[5].document, 1U);
  EXPECT_TRUE(row.seen_before);
  EXPECT_TRUE(row.changed);
  const double z = 2 * std::exp(1.0) + std::exp(-5.0);  // logits 1, -5, 1
  const double p = std::exp(1.0) / z;
  const double tail = std::exp(-5.0) / z;
  EXPECT_NEAR(row.entropy, -2 * p * std::log(p) - tail * std::log(tail), 1e-5);
  EXPECT_NEAR(row.top_log_probability, std::log(p), 1e-5);
  EXPECT_NEAR(row.margin, 0, 1e-6);
  EXPECT_NEAR(table->residual(0)[1], std::log(2.0), 1e-5);

  model.poison_at = 6;
  const auto broken = collect_tokens(model, reference, meter, text, options);
  ASSERT_FALSE(broken.ok());
  EXPECT_THAT(broken.error().message, HasSubstr("model.gguf: logits are not finite in window 0"));
  options.context_tokens = 100;
  EXPECT_EQ(collect_tokens(model, reference, meter, text, options).error().kind, ErrorKind::budget);
}

TEST(PredictReport, SaysWhatWasFound) {
  const TokenTable table = made_up_table(0.5, 1.2, 7);
  auto result = evaluate_predictors(table);
  ASSERT_TRUE(result.ok());
  PredictionStory story{.result = std::move(*result),
                        .model = "small<&>",
                        .reference = "large",
                        .text_name = "book.txt",
                        .shown = {{{.window = 3, .probability = 0.25}, "some text"}},
                        .command = "checkbit predict",
                        .environment = {}};
  EXPECT_THAT(describe_prediction(story), HasSubstr("on held-out tokens, entropy alone"));
  const std::string page = render_html(build_prediction_report(story));
  for (const char* part : {"Which inputs break small&lt;&amp;&gt;", "read: number", "some text"})
    EXPECT_THAT(page, HasSubstr(part));
  std::set<std::string> names;
  for (const Record& record : to_records(story.result, "c")) {
    EXPECT_TRUE(std::isfinite(record.value)) << record.name;
    EXPECT_TRUE(names.insert(record.name).second) << record.name << " twice";
  }
  EXPECT_TRUE(names.contains("auc") && names.contains("auc_gain_changed_residual"));
}

}  // namespace
}  // namespace checkbit
