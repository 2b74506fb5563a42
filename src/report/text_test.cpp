#include "report/text.h"

#include <gtest/gtest.h>

#include <string>

namespace checkbit {
namespace {

const std::string kMark = "\xEF\xBF\xBD";

TEST(Text, ValidTextStays) {
  const std::string text = "a é € 😀 \n\t";
  EXPECT_EQ(valid_utf8(text), text);
  EXPECT_EQ(escape_html("a é € 😀 \n\t"), text);
}

TEST(Text, BrokenBytesBecomeReplacements) {
  EXPECT_EQ(valid_utf8("a\xFFz"), "a" + kMark + "z");
  EXPECT_EQ(valid_utf8("\xE2\x82"), kMark + kMark) << "cut short";
  EXPECT_EQ(valid_utf8("\xC0\xAF"), kMark + kMark) << "overlong";
  EXPECT_EQ(valid_utf8("\xE0\x80\xAF"), kMark + kMark + kMark) << "overlong";
  EXPECT_EQ(valid_utf8("\xED\xA0\x80"), kMark + kMark + kMark) << "surrogate";
  EXPECT_EQ(valid_utf8("\xF4\x90\x80\x80"), kMark + kMark + kMark + kMark) << "above U+10FFFF";
  EXPECT_EQ(valid_utf8("\x80"), kMark);
  EXPECT_EQ(valid_utf8("\xF0\x9F\x98\x80"), "😀");
}

TEST(Text, EveryPairOfBytesGivesValidUtf8) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string text = {static_cast<char>(a), static_cast<char>(b)};
      const std::string once = valid_utf8(text);
      ASSERT_EQ(valid_utf8(once), once) << a << " " << b;
      for (const char c : escape_html(text)) ASSERT_TRUE(c != '<' && c != '>' && c != '"');
    }
  }
}

TEST(Text, MarkupIsEscaped) {
  EXPECT_EQ(escape_html("<a href='x' b=\"y\">&"),
            "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;");
  EXPECT_EQ(escape_html(std::string("\x00\x1B[0m", 5)), kMark + kMark + "[0m");
}

TEST(Text, LinesForTerminalsCannotAct) {
  EXPECT_EQ(clean_line("\x1B]0;title\x07 a\nb\tc\x7F"), "?]0;title? a?b?c?");
  EXPECT_EQ(clean_line("\xC2\x9B 1m"), "? 1m") << "C1 control sequence introducer";
  EXPECT_EQ(clean_line("abc\xE2\x80\xAEgpj.exe"), "abc?gpj.exe") << "right-to-left override";
}

TEST(Text, WidthCountsCharacters) {
  EXPECT_EQ(display_width("± 0.5"), 5U);
  EXPECT_EQ(display_width(""), 0U);
  EXPECT_EQ(display_width(glue("1 MB")), 4U);
  EXPECT_EQ(glue("1 MB"), "1\xC2\xA0MB");
}

}  // namespace
}  // namespace checkbit
