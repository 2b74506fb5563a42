// Every line of probes.def: a generator that is a function of its seed, scores that a model which
// is always right brings to 1 and one that is always wrong to 0, the same from every seed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/progress.h"
#include "measure/probes/probe_summary.h"
#include "measure/probes/session_model.h"

namespace checkbit {
namespace {

/// A table instead of a model: knows the right answer, and gives it or avoids it.
class TableModel : public ProbeModel {
 public:
  explicit TableModel(bool right) : right_(right) {}
  std::string name() const override { return right_ ? "right" : "wrong"; }
  Result<ChoiceScores> choose(const Question& question) override {
    return scores(question.choices.size(), question.right);
  }
  Result<std::vector<ChoiceScores>> follow(std::span<const Gap> gaps) override {
    std::vector<ChoiceScores> all;
    for (const Gap& gap : gaps) all.push_back(scores(gap.choices.size(), gap.right));
    return all;
  }
  Result<std::string> answer(const Question& question, std::int64_t) override {
    return right_ && !question.choices.empty() ? question.choices[question.right] : "";
  }

 private:
  ChoiceScores scores(std::size_t count, std::size_t right) const {
    ChoiceScores all(count, {right_ ? -10.0 : -1.0, 1});
    all.at(right).log_likelihood = right_ ? -1.0 : -10.0;
    return all;
  }
  bool right_;
};

std::string tiny_model() {
  return std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-llama3.gguf";
}

std::string text_of(std::span<const ProbeItem> items) {
  std::string text;
  for (const ProbeItem& item : items) {
    text += item.group + std::to_string(item.cluster) + item.shown;
    for (const Question& q : item.questions)
      text += q.prompt + q.begin + fmt::format("{}{}", fmt::join(q.choices, "|"), q.right);
    for (const Gap& gap : item.gaps)
      text += gap.before + fmt::format("{}{}", fmt::join(gap.choices, "|"), gap.right);
  }
  return text;
}

class EveryProbe : public testing::TestWithParam<const Probe*> {};

TEST_P(EveryProbe, IsDescribed) {
  const Probe& probe = *GetParam();
  EXPECT_EQ(find_probe(probe.name), &probe);
  EXPECT_FALSE(probe.title.empty());
  EXPECT_FALSE(probe.papers.empty());
  EXPECT_FALSE(probe.measures.ends_with('.'));
  ASSERT_NE(probe.run, nullptr);
  std::set<std::string_view> names;
  for (const Probe* other : all_probes()) EXPECT_TRUE(names.insert(other->name).second);
}

/// Those that make items. Others look inside a model and have tests of their own.
class EveryGenerator : public EveryProbe {};

std::vector<const Probe*> probes_with_items() {
  std::vector<const Probe*> probes = all_probes();
  std::erase_if(probes, [](const Probe* probe) { return probe->generate == nullptr; });
  return probes;
}

TEST_P(EveryGenerator, SeedNamesTheItems) {
  const Probe& probe = *GetParam();
  const std::vector<ProbeItem> items = probe.generate(7, 0);
  EXPECT_EQ(text_of(items), text_of(probe.generate(7, 0)));
  EXPECT_NE(text_of(items), text_of(probe.generate(8, 0)));
  ASSERT_GE(items.size(), 30u) << "too few for an interval worth having";
  for (const ProbeItem& item : items) {
    EXPECT_FALSE(item.group.empty());
    EXPECT_FALSE(item.shown.empty());
    EXPECT_NE(item.questions.empty(), item.gaps.empty());
    for (const Question& question : item.questions) {
      EXPECT_LT(question.right, question.choices.size());
      const std::set<std::string> distinct(question.choices.begin(), question.choices.end());
      EXPECT_EQ(distinct.size(), question.choices.size());
    }
    for (const Gap& gap : item.gaps) EXPECT_LT(gap.right, gap.choices.size());
  }
  EXPECT_LE(probe.generate(7, 8).size(), 16u);
  EXPECT_GE(probe.generate(7, 8).size(), 8u);
}

/// The right answer must not stand at one place: a model that always takes that would win.
TEST_P(EveryGenerator, RightAnswersAreSpread) {
  const Probe& probe = *GetParam();
  std::set<std::size_t> places;
  for (const ProbeItem& item : probe.generate(3, 0)) {
    for (const Question& question : item.questions) places.insert(question.right);
    for (const Gap& gap : item.gaps) places.insert(gap.right);
  }
  EXPECT_GT(places.size(), 1u);
}

TEST_P(EveryGenerator, RightIsOneAndWrongIsZero) {
  const Probe& probe = *GetParam();
  TableModel right(true), wrong(false);
  const auto result = probe.run({.subject = wrong, .reference = &right, .seed = 5});
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_EQ(result->subject.size(), result->items.size());
  ASSERT_EQ(result->reference.size(), result->items.size());
  for (const ProbeFigure& figure : summarize_probe(*result)) {
    SCOPED_TRACE(figure.group);
    EXPECT_EQ(figure.subject.value, 0);
    EXPECT_EQ(figure.reference->value, 1);
    EXPECT_EQ(figure.difference->value, -1);
    // Few distinct short strings exist: those groups have too few clusters for an interval.
    if (!figure.difference->interval && figure.group.starts_with("length ")) continue;
    ASSERT_TRUE(figure.difference->interval.has_value());
    EXPECT_LT(figure.difference->interval->high, -0.5);
  }
  std::set<std::string> names;
  for (const Record& record : probe_records(probe, *result, "checkbit")) {
    EXPECT_TRUE(names.insert(record.name).second) << record.name << " twice";
    EXPECT_TRUE(record.name.starts_with(fmt::format("probe_{}", probe.name))) << record.name;
    EXPECT_EQ(record.command, "checkbit");
  }
  EXPECT_FALSE(render_html(build_probe_report({{&probe, *result}}, "a", "b", "c")).empty());
}

TEST_P(EveryGenerator, RunsOnATinyModelTheSameTwice) {
  const Probe& probe = *GetParam();
  auto session = Session::open(tiny_model(), {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.error().message;
  SessionModel model(*session);
  std::vector<double> scores[2];
  for (auto& found : scores) {
    const auto result = probe.run({.subject = model, .limit = 8});
    ASSERT_TRUE(result.ok()) << result.error().message;
    for (const ItemOutcome& outcome : result->subject) {
      EXPECT_GE(outcome.score, 0);
      EXPECT_LE(outcome.score, 1);
      found.push_back(outcome.score);
      found.insert(found.end(), outcome.values.begin(), outcome.values.end());
    }
  }
  EXPECT_EQ(scores[0], scores[1]);
}

TEST_P(EveryGenerator, StopsWhenCancelled) {
  const Probe& probe = *GetParam();
  TableModel right(true);
  request_cancel();
  const auto result = probe.run({.subject = right});
  clear_cancel();
  EXPECT_FALSE(result.ok());
}

const auto name_of = [](const auto& probe) { return std::string(probe.param->name); };
INSTANTIATE_TEST_SUITE_P(Probes, EveryProbe, testing::ValuesIn(all_probes()), name_of);
INSTANTIATE_TEST_SUITE_P(Probes, EveryGenerator, testing::ValuesIn(probes_with_items()), name_of);

ProbeResult made_result(const std::vector<double>& subject, const std::vector<double>& reference,
                        std::size_t items_of_cluster) {
  ProbeResult result;
  for (std::size_t i = 0; i < subject.size(); ++i) {
    result.items.push_back({.group = "g", .cluster = i / items_of_cluster, .shown = "s"});
    result.subject.push_back({.score = subject[i]});
    result.reference.push_back({.score = reference[i]});
  }
  return result;
}

TEST(ProbeSummary, PairsItemsAndTestsThem) {
  // Right only in the subject: 1; only in the reference: 7. scipy: 2 * binom.cdf(1, 8, .5) -
  // binom.pmf(1, 8, .5).
  std::vector<double> subject(20, 1), reference(20, 1);
  for (std::size_t i = 0; i < 7; ++i) subject[i] = 0;
  reference[19] = 0;
  const auto figures = summarize_probe(made_result(subject, reference, 1));
  ASSERT_EQ(figures.size(), 1u);
  EXPECT_DOUBLE_EQ(figures[0].subject.value, 0.65);
  EXPECT_DOUBLE_EQ(figures[0].reference->value, 0.95);
  EXPECT_DOUBLE_EQ(figures[0].difference->value, 13.0 / 20 - 19.0 / 20);
  EXPECT_NEAR(*figures[0].p_value, 0.0390625, 1e-9);
  EXPECT_LT(figures[0].difference->interval->high, 0);
  EXPECT_GT(figures[0].difference->interval->low, -0.7);
}

TEST(ProbeSummary, CopiesOfAnItemAreNoNewEvidence) {
  std::vector<double> subject(8, 1), reference(8, 1);
  subject[0] = subject[5] = reference[3] = 0;
  const auto once = summarize_probe(made_result(subject, reference, 1));
  std::vector<double> subject5, reference5;
  for (std::size_t i = 0; i < 8; ++i) {
    subject5.insert(subject5.end(), 5, subject[i]);
    reference5.insert(reference5.end(), 5, reference[i]);
  }
  const auto copies = summarize_probe(made_result(subject5, reference5, 5));
  EXPECT_DOUBLE_EQ(copies[0].difference->value, once[0].difference->value);
  EXPECT_NEAR(copies[0].difference->interval->low, once[0].difference->interval->low, 1e-9);
  EXPECT_NEAR(copies[0].difference->interval->high, once[0].difference->interval->high, 1e-9);
  EXPECT_EQ(*copies[0].p_value, *once[0].p_value);
}

TEST(ProbeSummary, NothingThatDiffersIsNoCertainty) {
  const auto figures =
      summarize_probe(made_result(std::vector<double>(12, 1), std::vector<double>(12, 1), 1));
  EXPECT_EQ(figures[0].difference->value, 0);
  EXPECT_NEAR(figures[0].difference->interval->high, wilson_interval(0, 12).high, 1e-12);
  EXPECT_NEAR(figures[0].subject.interval->low, wilson_interval(12, 12).low, 1e-12);
  EXPECT_EQ(figures[0].subject.interval->high, 1);
  EXPECT_EQ(*figures[0].p_value, 1);
}

/// What one pass with copies of the cache gives is what reading every choice from the start gives.
TEST(SessionModel, ChoicesScoreAsReadAlone) {
  auto session = Session::open(tiny_model(), {.threads = 1});
  ASSERT_TRUE(session.ok()) << session.error().message;
  SessionModel model(*session);
  const Question question{.prompt = "a prompt", .choices = {"one", "another one", "x"}};
  const Question before{.prompt = "a prologue", .choices = {"one"}};
  ASSERT_TRUE(model.choose(before).ok());
  const auto scores = model.choose(question);
  ASSERT_TRUE(scores.ok()) << scores.error().message;
  for (std::size_t c = 0; c < question.choices.size(); ++c) {
    const Tokenizer& tokenizer = session->tokenizer();
    std::vector<TokenId> tokens = tokenizer.encode(question.prompt);
    const std::size_t first = tokens.size();
    const auto ending = tokenizer.encode(question.choices[c], {.add_special = false});
    tokens.insert(tokens.end(), ending.begin(), ending.end());
    session->cache().truncate(0);
    double sum = 0;
    ASSERT_TRUE(session
                    ->evaluate(tokens, Logits::all,
                               [&](std::size_t i, std::span<const float> row) -> Status {
                                 if (i + 1 < first || i + 1 == tokens.size()) return {};
                                 sum += log_probability(row, summarize_row(row),
                                                        static_cast<std::size_t>(tokens[i + 1]));
                                 return {};
                               })
                    .ok());
    EXPECT_EQ((*scores)[c].tokens, ending.size());
    EXPECT_NEAR((*scores)[c].log_likelihood, sum, 1e-9);
  }
}

TEST(SessionModel, FollowsGapsInOnePass) {
  auto session = Session::open(tiny_model(), {.threads = 1, .max_logits = 1});
  ASSERT_TRUE(session.ok()) << session.error().message;
  SessionModel model(*session);
  const std::vector<Gap> gaps = {{"a text with", {"x", "y"}, 1}, {" and", {"x", "y"}, 0}};
  const auto followed = model.follow(gaps);
  ASSERT_TRUE(followed.ok()) << followed.error().message;
  ASSERT_EQ(followed->size(), 2u);
  const auto first = model.choose({.prompt = gaps[0].before, .choices = gaps[0].choices});
  ASSERT_TRUE(first.ok());
  for (std::size_t c = 0; c < 2; ++c)
    EXPECT_EQ((*followed)[0][c].log_likelihood, (*first)[c].log_likelihood);
}

TEST(SessionModel, NamesWhatDoesNotFit) {
  auto session = Session::open(tiny_model(), {.context_tokens = 16, .threads = 1});
  ASSERT_TRUE(session.ok()) << session.error().message;
  SessionModel model(*session);
  const std::vector<Gap> gaps = {{std::string(200, 'a'), {"x"}, 0}};
  const auto followed = model.follow(gaps);
  ASSERT_FALSE(followed.ok());
  EXPECT_THAT(followed.error().message, testing::HasSubstr("do not fit into the context of 16"));
  const auto empty = model.choose({.prompt = "a", .choices = {""}});
  ASSERT_FALSE(empty.ok());
  EXPECT_THAT(empty.error().message, testing::HasSubstr("a choice has no tokens"));
}

}  // namespace
}  // namespace checkbit
