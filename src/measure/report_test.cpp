#include "measure/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "measure/demo_report.h"
#include "measure/paired_change.h"
#include "measure/saved_run.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

GroupFigures some_group(const std::string& name, double divergence) {
  return {.name = name,
          .tokens = 100,
          .divergence = {divergence, Interval{0.9 * divergence, 1.1 * divergence}},
          .changed = {0.1, std::nullopt},
          .loss_change = {0.01, std::nullopt}};
}

CandidateResult some_result(double ratio) {
  CandidateResult result;
  result.perplexity = {20 * ratio, Interval{18 * ratio, 22 * ratio}};
  DivergenceResult divergence;
  divergence.perplexity_reference = {20, Interval{18, 22}};
  divergence.perplexity_ratio = {ratio, Interval{ratio - 0.01, ratio + 0.01}};
  divergence.mean = {0.05 * ratio, Interval{0.04 * ratio, 0.06 * ratio}};
  divergence.median = 0.02;
  divergence.p99 = 0.5;
  divergence.max = 2;
  divergence.top1_changed = {0.125, Interval{0.115, 0.135}};
  for (int i = 0; i <= 100; ++i) divergence.quantile_curve.push_back(0.02 * i);
  divergence.by_position = {some_group("258 to 384", 0.04), some_group("385 to 512", 0.06)};
  divergence.by_class = {some_group("word start", 0.04), some_group("number", 0.2)};
  divergence.by_document = {some_group("Calm", 0.01), some_group("Wild", 0.3)};
  divergence.by_sureness = {{0.9, 1, 100, 0.95, 0.9, 0.99}};
  result.divergence = divergence;
  for (int window = 0; window < 16; ++window) {
    std::vector<double> sums(kBlockColumns);
    sums[kTokens] = 255;
    sums[kLoss] = 255 * std::log(20 * ratio) + window;
    sums[kReferenceLoss] = 255 * std::log(20.0) + window;
    sums[kDivergence] = 255 * 0.05 * ratio + 0.01 * window * ratio;
    sums[kChanged] = 30;
    result.blocks.add(sums);
  }
  return result;
}

CandidateStory some_candidate(const std::string& name, std::uint64_t bytes, double ratio) {
  CandidateStory candidate;
  candidate.facts.name = name;
  candidate.facts.file_bytes = bytes;
  candidate.result = some_result(ratio);
  candidate.command = "checkbit measure small.gguf --against large.gguf --text text.txt";
  return candidate;
}

ComparisonStory some_story(double ratio) {
  ComparisonStory story;
  story.candidates.push_back(some_candidate("small.gguf", 60000000, ratio));
  story.reference = ModelFacts{};
  story.reference->name = "large.gguf";
  story.reference->file_bytes = 100000000;
  story.text_name = "text.txt";
  story.run.context_tokens = 512;
  story.run.scored_tokens = 4080;
  story.run.windows = story.run.text_windows = 16;
  story.run.text_hash = "0123456789abcdef";
  story.environment = {{"processor", "one"}};
  return story;
}

/// Three candidates, one of them broken.
ComparisonStory several() {
  ComparisonStory story = some_story(1.05);
  story.candidates.push_back(some_candidate("tiny.gguf", 40000000, 1.3));
  story.candidates.push_back(some_candidate("burnt.gguf", 50000000, 1.1));
  story.candidates.back().result = {};
  story.candidates.back().result.broken = "burnt.gguf: logits are not finite in window 0";
  story.candidates.front().examples = {{"They said", " so", " that", " <b>", 0.75, 0.5}};
  return story;
}

DemoStory some_demo() {
  DemoStory demo;
  demo.title_name = "Smol";
  demo.comparison = some_story(1.05);
  demo.commands = {"checkbit pull smol", demo.comparison.candidates.front().command};
  return demo;
}

TEST(MeasureReport, SaysWhatChangedInBothDirections) {
  EXPECT_THAT(describe_change(some_story(1.05)),
              HasSubstr("from 20.0 to 21.0 (5\xC2\xA0% higher)"));
  EXPECT_THAT(describe_change(some_story(0.9)), HasSubstr("from 20.0 to 18.0 (10\xC2\xA0% lower)"));
  EXPECT_THAT(describe_change(some_story(1)), HasSubstr("from 20.0 to 20.0 (unchanged)"));
  EXPECT_THAT(describe_change(some_story(1.05)), HasSubstr("12.5\xC2\xA0%\xC2\xA0±\xC2\xA0"
                                                           "1.0"));
}

TEST(MeasureReport, SaysWhenNothingIsCertain) {
  EXPECT_THAT(render_html(build_comparison_report(some_story(1.005))),
              HasSubstr("no difference is certain"));
  EXPECT_THAT(render_html(build_comparison_report(some_story(1.05))),
              Not(HasSubstr("no difference is certain")));
}

TEST(MeasureReport, HoldsEveryFigureAndItsCommand) {
  const std::string page = render_html(build_comparison_report(some_story(1.05)));
  for (const char* name :
       {"perplexity", "perplexity_<wbr>reference", "perplexity_<wbr>ratio",
        "kl_<wbr>divergence_<wbr>mean", "kl_<wbr>divergence_<wbr>median",
        "kl_<wbr>divergence_<wbr>p99", "kl_<wbr>divergence_<wbr>max", "top1_<wbr>changed"}) {
    EXPECT_THAT(page, HasSubstr(std::string("<th scope=\"row\">") + name + "</th>"));
  }
  EXPECT_THAT(page, HasSubstr("checkbit measure small.gguf --against large.gguf --text text.txt"));
}

TEST(MeasureReport, EveryNumberCarriesItsCommand) {
  ComparisonStory story = some_story(1.05);
  story.candidates.front().facts.records = {
      {.name = "peak_bytes", .value = 7e7, .unit = "bytes", .command = "bench a"},
      {.name = "file_bytes", .value = 6e7, .unit = "bytes", .command = "bench a"}};
  story.reference->records = {
      {.name = "peak_bytes", .value = 1e8, .unit = "bytes", .command = "bench b"}};
  EXPECT_THAT(all_commands(story),
              ::testing::ElementsAre(story.candidates.front().command, "bench a", "bench b"));
  const std::string page = render_html(build_comparison_report(story));
  EXPECT_THAT(page, HasSubstr("bench b"));
  EXPECT_THAT(page, HasSubstr("peak_<wbr>bytes, large.gguf"));
}

TEST(MeasureReport, OneModelAloneHasNoWordOfAnother) {
  ComparisonStory story = some_story(1.05);
  story.reference.reset();
  story.candidates.front().result.divergence.reset();
  const std::string page = render_html(build_comparison_report(story));
  EXPECT_THAT(page, HasSubstr("What small.gguf makes of text.txt"));
  EXPECT_THAT(page, Not(HasSubstr("original")));
  EXPECT_THAT(page, Not(HasSubstr("divergence")));
}

TEST(MeasureReport, TellsSeveralCandidatesApart) {
  const ComparisonStory story = several();
  const std::string verdict = describe_change(story);
  EXPECT_THAT(verdict,
              HasSubstr("Of 2 models on text.txt, small.gguf (60\xC2\xA0MB) stays closest"));
  EXPECT_THAT(verdict, HasSubstr("tiny.gguf (40\xC2\xA0MB) is the smallest"));
  EXPECT_THAT(verdict, HasSubstr("burnt.gguf is broken"));
  const std::string page = render_html(build_comparison_report(story));
  for (const char* part :
       {"3 models against large.gguf", "What a byte costs", "small.gguf → tiny.gguf",
        "By position in the window", "Mean divergence by kind of token", "By document: tiny.gguf",
        "its choice stayed: small.gguf", "Changed choices, side by side", "They said"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  EXPECT_THAT(page, Not(HasSubstr("<b> ")));
  EXPECT_TRUE(on_front(story, story.candidates[0]));
  EXPECT_TRUE(on_front(story, story.candidates[1]));
  EXPECT_FALSE(on_front(story, story.candidates[2]));
}

TEST(PairedChange, PairsWindowByWindow) {
  const CandidateResult better = some_result(1.05);
  const CandidateResult worse = some_result(1.3);
  const auto change = paired_change(better, worse);
  ASSERT_TRUE(change.has_value());
  double expected = 0;
  for (int window = 0; window < 16; ++window) {
    expected += (0.05 * 255 + 0.01 * window) * 0.25 / (255 * 16);
  }
  EXPECT_NEAR(change->divergence->value, expected, 1e-12);
  EXPECT_NEAR(change->perplexity_ratio.value, 1.3 / 1.05, 1e-12);
  EXPECT_EQ(change->changed->value, 0);
  EXPECT_EQ(change->blocks_more, 16U);
  EXPECT_NEAR(change->p_value, std::pow(0.5, 15), 1e-12);
  // All windows grew alike, so the paired interval is far narrower than either mean's.
  EXPECT_LT(change->divergence->interval->high - change->divergence->interval->low,
            0.01 * expected);
  CandidateResult shorter = worse;
  shorter.blocks = BlockTable(kBlockColumns);
  EXPECT_FALSE(paired_change(better, shorter).has_value());
}

std::string as_json(const ComparisonStory& story) {
  return nlohmann::ordered_json(
             {{"measurement", saved_measurement(story)}, {"environment", {{"processor", "one"}}}})
      .dump();
}

TEST(SavedRun, ReadsBackWhatItWrote) {
  ComparisonStory story = several();
  story.run.early_stop = EarlyStop{0.02, 0.015, 7};
  const auto read = read_saved_run(as_json(story), "a.json");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(as_json(*read), as_json(story));
  EXPECT_EQ(render_html(build_comparison_report(*read)),
            render_html(build_comparison_report(story)));
  story.reference.reset();
  for (CandidateStory& candidate : story.candidates) candidate.result.divergence.reset();
  const auto alone = read_saved_run(as_json(story), "a.json");
  ASSERT_TRUE(alone.ok()) << alone.error().message;
  EXPECT_EQ(as_json(*alone), as_json(story));
  const auto joined = join_runs(*read, "a.json", *alone, "b.json");
  EXPECT_THAT(joined.error().message, HasSubstr("b.json was measured without a reference"));
}

TEST(SavedRun, TwoRunsStandSideBySide) {
  const auto joined = join_runs(some_story(1.05), "a.json", some_story(1.3), "b.json");
  ASSERT_TRUE(joined.ok());
  EXPECT_EQ(joined->candidates[1].facts.name, "small.gguf (2)");
  EXPECT_EQ(paired_table(*joined).rows.size(), 1U);
  ComparisonStory other = some_story(1.3);
  other.run.text_hash = "fedcba9876543210";
  EXPECT_EQ(pairing_obstacle(some_story(1.05), other), "the texts differ");
  const auto apart = join_runs(some_story(1.05), "a.json", other, "b.json");
  ASSERT_TRUE(apart.ok());
  EXPECT_TRUE(paired_table(*apart).rows.empty()) << "different windows cannot be paired";
}

TEST(SavedRun, DamagedFilesAreNamed) {
  const auto message = [](const std::string& json) {
    const auto read = read_saved_run(json, "bad.json");
    EXPECT_FALSE(read.ok());
    EXPECT_EQ(read.error().kind, ErrorKind::corrupt);
    EXPECT_THAT(read.error().message, ::testing::StartsWith("bad.json: not what"));
    return read.error().message;
  };
  EXPECT_THAT(message("{"), HasSubstr("no JSON"));
  message("[]");
  message("{}");
  message(R"({"measurement": 5, "environment": {}})");
  const std::string whole = as_json(several());
  ASSERT_TRUE(read_saved_run(whole, "x").ok());
  // Without any one of its keys, and with any one value of another kind, it is refused or read:
  // never a crash.
  const auto root = nlohmann::ordered_json::parse(whole);
  int refused = 0;
  for (const auto& [key, value] : root["measurement"].items()) {
    auto less = root;
    less["measurement"].erase(key);
    refused += read_saved_run(less.dump(), "bad.json").ok() ? 0 : 1;
    for (const char* other : {"null", "-1", "[]", "{}", "\"x\"", "[[1]]", "1e400"}) {
      auto changed = root;
      changed["measurement"][key] = nlohmann::ordered_json::parse(other, nullptr, false);
      const auto read = read_saved_run(changed.dump(), "bad.json");
      if (read.ok()) render_html(build_comparison_report(*read));
    }
  }
  EXPECT_GT(refused, 8);
  for (const auto& [key, value] : root["measurement"]["candidates"][0].items()) {
    for (const char* other : {"null", "-1", "[]", "{}", "\"x\"", "[[1]]"}) {
      auto changed = root;
      changed["measurement"]["candidates"][0][key] = nlohmann::ordered_json::parse(other);
      const auto read = read_saved_run(changed.dump(), "bad.json");
      if (read.ok()) render_html(build_comparison_report(*read));
    }
  }
}

TEST(DemoReport, TellsTheStory) {
  DemoStory demo = some_demo();
  demo.answers = {{"Why?", "Because.", "Because."}, {"How?", "So.", "Thus."}};
  demo.comparison.candidates.front().facts.records = {
      {.name = "generation_tokens_per_second", .value = 92, .unit = "tokens/s"}};
  demo.comparison.reference->records = {
      {.name = "generation_tokens_per_second", .value = 71, .unit = "tokens/s"}};
  demo.comparison.candidates.front().facts.type_bytes = {{"Q4_K", 50e6}};
  demo.comparison.candidates.front().facts.layer_bits = {{"ffn_down", {4.5, 3.5}}};
  const std::string page = render_html(build_demo_report(demo));
  EXPECT_THAT(page, HasSubstr("Smol takes 100\xC2\xA0MB. Checkbit fitted it into 60\xC2\xA0MB, "
                              "40\xC2\xA0% less."));
  for (const char* part : {"What it cost", "Both answer the same prompts", "Where the bytes went",
                           "How fast they run", "All figures", "The original makes 71.",
                           "Bits per weight, layer by layer", "checkbit pull smol"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  const std::string same = "Word for word the same.";
  EXPECT_NE(page.find(same), std::string::npos);
  EXPECT_EQ(page.find(same, page.find(same) + 1), std::string::npos) << "only for equal answers";
}

TEST(DemoReport, LeavesOutWhatIsNotKnown) {
  const std::string page = render_html(build_demo_report(some_demo()));
  for (const char* part : {"Both answer", "How fast", "Where the bytes", "per weight"}) {
    EXPECT_THAT(page, Not(HasSubstr(part)));
  }
}

TEST(DemoReport, HostileNamesStayText) {
  DemoStory demo = some_demo();
  demo.title_name = demo.comparison.candidates.front().facts.name = demo.comparison.text_name =
      "<b onload=x>";
  demo.answers = {{"<i>", "</article><u>", "</div><u>"}};
  const std::string page = render_html(build_demo_report(demo));
  for (const char* markup : {"<b onload", "<i>", "<u>"}) {
    EXPECT_THAT(page, Not(HasSubstr(markup)));
  }
}

}  // namespace
}  // namespace checkbit
