#include "run/tokenizer/utf8.h"

#include <gtest/gtest.h>

#include <vector>

#include "run/tokenizer.h"

namespace checkbit {
namespace {

using namespace std::literals;

TEST(Utf8, EveryCodePointReadsBackWellFormed) {
  for (std::uint32_t code_point = 0; code_point <= 0x10FFFF; ++code_point) {
    std::string text;
    append_utf8(text, code_point);
    const DecodedChar decoded = decode_lenient(text, 0);
    ASSERT_EQ(decoded.code_point, code_point);
    ASSERT_EQ(decoded.length_bytes, text.size());
    ASSERT_TRUE(decoded.well_formed);
  }
}

TEST(Utf8, InvalidBytesAreReplacedOneByOne) {
  const std::string_view replacement = "\uFFFD";
  for (const std::string_view bad : {"\x80"sv, "\xBF"sv, "\xC3"sv, "\xF8"sv, "\xFF"sv}) {
    EXPECT_EQ(NormalizedText(bad).bytes(), replacement);
  }
  EXPECT_EQ(NormalizedText("a\xE2\x82z"sv).bytes(), "a\uFFFD\uFFFDz");
  EXPECT_EQ(NormalizedText("\xF4\x90\x80\x80"sv).bytes(), "\uFFFD\uFFFD\uFFFD\uFFFD");
}

TEST(Utf8, OverlongFormsAreShortenedAndSurrogatesKept) {
  EXPECT_EQ(NormalizedText("\xC0\x80"sv).bytes(), "\0"sv);
  EXPECT_EQ(NormalizedText("\xE0\x80\xAF"sv).bytes(), "/");
  const NormalizedText surrogate("\xED\xA0\x80"sv);
  EXPECT_EQ(surrogate.bytes(), "\xED\xA0\x80"sv);
  EXPECT_EQ(surrogate.subject(), "\uE000");
}

TEST(Utf8, BothViewsHaveTheSameLength) {
  std::string text;
  for (std::uint32_t code_point = 0; code_point <= 0x10FFFF; code_point += 3) {
    append_utf8(text, code_point);
  }
  const NormalizedText normalized(text);
  EXPECT_EQ(normalized.bytes(), text);
  ASSERT_EQ(normalized.subject().size(), text.size());
  EXPECT_NE(normalized.subject(), text);  // surrogates and recent characters are in it
}

TEST(Utf8, OrdinaryTextIsNotCopied) {
  const std::string text = "na\u00EFve \u4F60\u597D \U0001F600";
  const NormalizedText normalized(text);
  EXPECT_EQ(normalized.bytes().data(), text.data());
  EXPECT_EQ(normalized.subject().data(), text.data());
}

TEST(Utf8Stream, HoldsBackWhatMayBecomeACharacter) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xF0"), "a");
  EXPECT_EQ(stream.push("\x9F\x98"), "");
  EXPECT_EQ(stream.push("\x80z"), "\U0001F600z");
  EXPECT_EQ(stream.flush(), "");
}

TEST(Utf8Stream, GivesAtOnceWhatCanNeverBecomeACharacter) {
  // Continuation alone, overlong leads, surrogates, beyond U+10FFFF, lead followed by a letter.
  for (const std::string_view bad : {"\x80"sv, "\xC0"sv, "\xC1"sv, "\xF5"sv, "\xFF"sv, "\xE0\x80"sv,
                                     "\xED\xA0"sv, "\xF0\x80"sv, "\xF4\x90"sv, "\xE2("sv}) {
    Utf8Stream stream;
    EXPECT_EQ(stream.push(bad), bad);
    EXPECT_EQ(stream.flush(), "");
  }
}

TEST(Utf8Stream, FlushGivesAnUnfinishedCharacter) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("x\xE2\x82"), "x");
  EXPECT_EQ(stream.flush(), "\xE2\x82");
  EXPECT_EQ(stream.flush(), "");
}

/// The end offsets of the characters of a valid text.
std::vector<bool> character_ends(std::string_view text) {
  std::vector<bool> ends(text.size() + 1, false);
  ends[0] = true;
  for (std::size_t position = 0; position < text.size();) {
    position += decode_lenient(text, position).length_bytes;
    ends[position] = true;
  }
  return ends;
}

TEST(Utf8Stream, EveryChunkingGivesWholeCharactersAsSoonAsTheyAreThere) {
  const std::string text = "a\u00E9\u20AC\U0001F600\u07FF\u0800\uFFFF\U0010FFFF\u0000b"s;
  const std::vector<bool> ends = character_ends(text);
  for (std::size_t size = 1; size <= text.size(); ++size) {
    Utf8Stream stream;
    std::string got;
    for (std::size_t begin = 0; begin < text.size(); begin += size) {
      got += stream.push(std::string_view(text).substr(begin, size));
      ASSERT_TRUE(ends[got.size()]) << "half a character after " << got.size() << " bytes";
      std::size_t expected = std::min(begin + size, text.size());
      while (!ends[expected]) --expected;
      ASSERT_EQ(got.size(), expected);
    }
    EXPECT_EQ(got + stream.flush(), text);
  }
}

}  // namespace
}  // namespace checkbit
