#include "cli/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "cli/arguments.h"
#include "cli/progress_bar.h"
#include "report/text.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;

TEST(ParseBytes, UnitsOfThousandAndOf1024) {
  EXPECT_EQ(parse_bytes("1500000"), 1'500'000u);
  EXPECT_EQ(parse_bytes("120MiB"), 120u << 20);
  EXPECT_EQ(parse_bytes("120 mib"), 120u << 20);
  EXPECT_EQ(parse_bytes("1.5GB"), 1'500'000'000u);
  EXPECT_EQ(parse_bytes("2k"), 2000u);
  EXPECT_EQ(parse_bytes("2Ki"), 2048u);
  EXPECT_EQ(parse_bytes("0"), 0u);
}

TEST(ParseBytes, RefusesWhatIsNoSize) {
  for (const char* text : {"", "MB", "-1", "1x", "1MBB", "nan", "inf", "1e3", "0x10",
                           "9999999999GB", "1 2", "1.2.3"}) {
    EXPECT_EQ(parse_bytes(text), std::nullopt) << text;
  }
}

TEST(Format, CountsAndDurations) {
  EXPECT_EQ(format_count(9999), "9,999");
  EXPECT_EQ(format_count(134'515'008), "134.5 M");
  EXPECT_EQ(format_count(1'780'000'000), "1.78 B");
  EXPECT_EQ(format_grouped(1'234'567), "1,234,567");
  EXPECT_EQ(format_grouped(123), "123");
  EXPECT_EQ(format_duration(42.4), "0:42");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(1e300), "-:--");
}

TEST(Wrap, FillsLinesAndKeepsParagraphs) {
  EXPECT_EQ(wrap("one two three four five six seven", 25, 4),
            "    one two three four\n    five six seven\n");
  EXPECT_EQ(wrap("first\n\nsecond", 40, 0), "first\n\nsecond\n");
  EXPECT_EQ(wrap("  laid out\n  by hand", 40, 2), "    laid out\n    by hand\n");
}

TEST(Shorten, CountsCharactersNotBytes) {
  EXPECT_EQ(shorten("grün", 4), "grün");
  EXPECT_EQ(shorten("grünlich", 5), "grün…");
  EXPECT_EQ(display_width(shorten("ÄÖÜäöü", 3)), 3u);
}

TEST(Width, WideCharactersTakeTwoCellsAndCombiningOnesNone) {
  EXPECT_EQ(display_width("日本語"), 6u);
  EXPECT_EQ(display_width("😀"), 2u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(display_width("\xff\xfe"), 2u);
  EXPECT_EQ(shorten("日本語です", 7), "日本語…");
  EXPECT_EQ(shorten("日本語です", 6), "日本…");  // half a character does not fit
  EXPECT_EQ(pad_right("日本", 6), "日本  ");
}

TEST(CleanLines, KeepsTabs) {
  EXPECT_EQ(clean_lines("\tif x\n\t\treturn\x1b"), "\tif x\n\t\treturn?");
}

TEST(CleanLines, KeepsLinesAndNothingElseThatActs) {
  const std::string text = clean_lines("a\x1b[2Jb\nc\rd\n");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

TEST(ClosestMatch, FindsSlipsAndNothingFar) {
  const std::vector<std::string_view> names = {"inspect", "quantize", "measure"};
  EXPECT_EQ(closest_match("quantise", names), "quantize");
  EXPECT_EQ(closest_match("mesure", names), "measure");
  EXPECT_EQ(closest_match("dance", names), "");
  EXPECT_EQ(closest_match(std::string(100000, 'x'), names), "");
}

TEST(ProgressBar, FitsTheTerminalAndStatesRateAndTimeLeft) {
  ProgressState state{.label = "pulling smollm2-135m",
                      .unit = "bytes",
                      .total = 100'000'000,
                      .done = 25'000'000,
                      .elapsed_seconds = 5};
  for (const int width : {40, 60, 80, 120}) {
    const Terminal terminal{.is_terminal = true, .unicode = true, .width = width};
    EXPECT_LT(display_width(ProgressBar::render(state, terminal)), static_cast<std::size_t>(width));
  }
  const std::string line = ProgressBar::render(state, {.is_terminal = true, .width = 100});
  EXPECT_THAT(line, HasSubstr("25 %"));
  EXPECT_THAT(line, HasSubstr("/s"));
  EXPECT_THAT(line, HasSubstr("0:15 left"));
}

TEST(ProgressBar, WaitsTwoSecondsUnlessEager) {
  std::ostringstream err;
  ProgressBar bar(err, {.is_terminal = true, .width = 80}, false);
  ProgressState state{.label = "reading", .unit = "tokens", .total = 10, .elapsed_seconds = 1};
  bar.update(state);
  EXPECT_EQ(err.str(), "");
  state.eager = true;
  bar.update(state);
  EXPECT_THAT(err.str(), HasSubstr("reading"));
  state.finished = true;
  bar.update(state);
  EXPECT_TRUE(err.str().ends_with("\r\x1b[K"));
}

TEST(ProgressBar, NarrowTerminalsLoseTheRateBeforeTheTimeLeft) {
  const ProgressState state{.label = "writing",
                            .unit = "weights",
                            .total = 134'500'000,
                            .done = 69'900'000,
                            .elapsed_seconds = 4};
  const auto line = [&](int width) {
    return ProgressBar::render(state, {.is_terminal = true, .width = width});
  };
  EXPECT_EQ(line(64), "writing   52 %  69.9 M of 134.5 M  17.5 M weights/s  0:04 left");
  EXPECT_EQ(line(60), "writing  ======.......   52 %  69.9 M of 134.5 M  0:04 left");
  EXPECT_EQ(line(50), "writing   52 %  69.9 M of 134.5 M  0:04 left");
  EXPECT_EQ(line(40), "writing  ======......   52 %  0:04 left");
}

TEST(ProgressBar, IsSilentInAPipeAndWhenQuiet) {
  ProgressState state{.label = "reading", .unit = "tokens", .total = 1000, .eager = true};
  for (const bool is_terminal : {false, true}) {
    std::ostringstream err;
    ProgressBar bar(err, {.is_terminal = is_terminal}, is_terminal);
    for (int second = 0; second <= 70; ++second) {
      state.elapsed_seconds = second;
      bar.update(state);
    }
    EXPECT_EQ(err.str(), "");
  }
}

}  // namespace
}  // namespace checkbit
