#include "measure/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "measure/demo_report.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ComparisonResult some_result(double ratio) {
  ComparisonResult result;
  result.context_tokens = 512;
  result.scored_tokens = 4080;
  result.windows.resize(16);
  result.perplexity = {20 * ratio, Interval{18 * ratio, 22 * ratio}};
  DivergenceResult divergence;
  divergence.perplexity_reference = {20, Interval{18, 22}};
  divergence.perplexity_ratio = {ratio, Interval{ratio - 0.01, ratio + 0.01}};
  divergence.mean = {0.05, Interval{0.04, 0.06}};
  divergence.median = 0.02;
  divergence.p99 = 0.5;
  divergence.max = 2;
  divergence.top1_changed = {0.125, Interval{0.115, 0.135}};
  for (int i = 0; i <= 100; ++i) divergence.quantile_curve.push_back(0.02 * i);
  result.divergence = divergence;
  return result;
}

ComparisonStory some_story(double ratio) {
  ComparisonStory story;
  story.model.name = "small.gguf";
  story.model.file_bytes = 60000000;
  story.reference = ModelFacts{};
  story.reference->name = "large.gguf";
  story.reference->file_bytes = 100000000;
  story.text_name = "text.txt";
  story.command = "checkbit measure small.gguf --against large.gguf --text text.txt";
  story.result = some_result(ratio);
  return story;
}

DemoStory some_demo() {
  DemoStory demo;
  demo.title_name = "Smol";
  demo.comparison = some_story(1.05);
  demo.commands = {"checkbit pull smol", demo.comparison.command};
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
  story.model.records = {
      {.name = "peak_bytes", .value = 7e7, .unit = "bytes", .command = "bench a"},
      {.name = "file_bytes", .value = 6e7, .unit = "bytes", .command = "bench a"}};
  story.reference->records = {
      {.name = "peak_bytes", .value = 1e8, .unit = "bytes", .command = "bench b"}};
  EXPECT_THAT(all_commands(story), ::testing::ElementsAre(story.command, "bench a", "bench b"));
  const std::string page = render_html(build_comparison_report(story));
  EXPECT_THAT(page, HasSubstr("bench b"));
  EXPECT_THAT(page, HasSubstr("peak_<wbr>bytes, large.gguf"));
}

TEST(MeasureReport, OneModelAloneHasNoWordOfAnother) {
  ComparisonStory story = some_story(1.05);
  story.reference.reset();
  story.result.divergence.reset();
  const std::string page = render_html(build_comparison_report(story));
  EXPECT_THAT(page, HasSubstr("What small.gguf makes of text.txt"));
  EXPECT_THAT(page, Not(HasSubstr("original")));
  EXPECT_THAT(page, Not(HasSubstr("divergence")));
}

TEST(DemoReport, TellsTheStory) {
  DemoStory demo = some_demo();
  demo.answers = {{"Why?", "Because.", "Because."}, {"How?", "So.", "Thus."}};
  demo.comparison.model.records = {
      {.name = "generation_tokens_per_second", .value = 92, .unit = "tokens/s"}};
  demo.comparison.reference->records = {
      {.name = "generation_tokens_per_second", .value = 71, .unit = "tokens/s"}};
  demo.comparison.model.type_bytes = {{"Q4_K", 50e6}};
  demo.comparison.layer_bits = {{"ffn_down", {4.5, 3.5}}};
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
  demo.title_name = demo.comparison.model.name = demo.comparison.text_name = "<b onload=x>";
  demo.answers = {{"<i>", "</article><u>", "</div><u>"}};
  const std::string page = render_html(build_demo_report(demo));
  for (const char* markup : {"<b onload", "<i>", "<u>"}) {
    EXPECT_THAT(page, Not(HasSubstr(markup)));
  }
}

}  // namespace
}  // namespace checkbit
