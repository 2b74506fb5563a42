#include "run/tokenizer/pretokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <set>
#include <string>

#include "base/test_stride.h"
#include "run/tokenizer/utf8.h"

namespace checkbit {
namespace {

std::vector<std::size_t> ends_of(const Pretokenizer& pretokenizer, std::string_view text) {
  std::vector<std::size_t> ends;
  pretokenizer.split(text, [&](std::size_t end) { ends.push_back(end); });
  return ends;
}

std::vector<std::string> words_of(std::string_view name, std::string_view text) {
  const std::vector<std::size_t> ends = ends_of(Pretokenizer(**find_pretokenizer(name)), text);
  std::vector<std::string> words;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    words.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

using Words = std::vector<std::string>;

TEST(Pretokenizer, Gpt2KeepsOneSpaceWithItsWord) {
  EXPECT_EQ(words_of("gpt-2", "It's  a 12345 test!!\n\n x"),
            (Words{"It", "'s", " ", " a", " 12345", " test", "!!", "\n\n", " x"}));
  EXPECT_EQ(words_of("gpt-2", "x \n"), (Words{"x", " \n"}));
}

TEST(Pretokenizer, SmollmSplitsDigits) {
  EXPECT_EQ(words_of("smollm", "a 123"), (Words{"a", " ", "1", "2", "3"}));
}

TEST(Pretokenizer, Qwen2TakesContractionsInCapitalsAndLineBreaksAfterPunctuation) {
  EXPECT_EQ(words_of("qwen2", "IT'S 12;\n\ny"), (Words{"IT", "'S", " ", "1", "2", ";\n\n", "y"}));
  EXPECT_EQ(words_of("qwen2", "(a  \n b"), (Words{"(a", "  \n", " b"}));
}

TEST(Pretokenizer, Llama3GroupsDigitsByThree) {
  EXPECT_EQ(words_of("llama-bpe", "12345 x"), (Words{"123", "45", " x"}));
}

TEST(Pretokenizer, UnknownNameIsRefusedByName) {
  const auto found = find_pretokenizer("gpt-");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().kind, ErrorKind::unsupported);
  EXPECT_NE(found.error().message.find("\"gpt-\""), std::string::npos);
  EXPECT_FALSE(find_pretokenizer("").ok());
}

TEST(PretokenizerContract, NamesAreUnique) {
  std::set<std::string> names;
  for (const PretokenizerSpec& spec : pretokenizer_specs()) {
    std::string_view rest = spec.names;
    while (!rest.empty()) {
      const std::string_view name = rest.substr(0, rest.find(' '));
      EXPECT_FALSE(name.empty()) << spec.names;
      EXPECT_TRUE(names.emplace(name).second) << name;
      ASSERT_TRUE(find_pretokenizer(name).ok());
      EXPECT_EQ(*find_pretokenizer(name), &spec);
      rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    }
  }
}

/// Runs that make careless patterns quadratic or exhaust the matcher.
std::vector<std::string> long_runs(std::size_t bytes) {
  std::vector<std::string> runs;
  for (const std::string_view unit :
       {"a",    "A",  "Aa", "1",      " ",          "\n",     "\t",     " \n",
        "\r\n", "'",  "'s", "!",      "\u4E00",     "\u0301", "\u3042", "\uAC00",
        "<",    "a1", "a ", "\u00A0", "\U0001F600", "IMG",    "\uFFFD"}) {
    std::string run;
    while (run.size() < bytes) run += unit;
    runs.push_back(run + "x");
    runs.push_back(run + "\u00A7");
    runs.push_back(std::move(run));
  }
  return runs;
}

TEST(PretokenizerContract, EveryLineCoversLongRunsInLinearTime) {
  // At 200 KB a quadratic pattern takes many seconds; linear ones take milliseconds.
  const auto runs = long_runs(200'000 / static_cast<std::size_t>(test_stride()));
  for (const PretokenizerSpec& spec : pretokenizer_specs()) {
    const Pretokenizer pretokenizer(spec);
    for (const std::string& run : runs) {
      const std::clock_t start = std::clock();
      const std::vector<std::size_t> ends = ends_of(pretokenizer, run);
      const double cpu_seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      ASSERT_FALSE(ends.empty());
      EXPECT_EQ(ends.back(), run.size());
      EXPECT_TRUE(std::ranges::is_sorted(ends));
      EXPECT_EQ(std::ranges::adjacent_find(ends), ends.end()) << spec.names << ": empty word";
      EXPECT_LT(cpu_seconds, 2.0) << spec.names << ": " << run.substr(0, 8);
    }
  }
}

TEST(PretokenizerContract, EveryLineCutsOnlyBetweenCharacters) {
  std::string text;
  for (std::uint32_t code_point = 1; code_point <= 0x10FFFF;
       code_point += code_point < 0x3000 ? 1 : 37) {
    append_utf8(text, code_point);
    if (code_point % 5 == 0) text += code_point % 2 == 0 ? " " : "9\n";
  }
  const NormalizedText normalized(text);
  const std::string_view subject = normalized.subject();
  for (const PretokenizerSpec& spec : pretokenizer_specs()) {
    const std::vector<std::size_t> ends = ends_of(Pretokenizer(spec), subject);
    ASSERT_EQ(ends.back(), subject.size()) << spec.names;
    for (std::size_t i = 1; i < ends.size(); ++i) {
      ASSERT_LT(ends[i - 1], ends[i]) << spec.names;
      ASSERT_NE(static_cast<std::uint8_t>(subject[ends[i - 1]]) & 0xC0, 0x80) << spec.names;
    }
  }
}

TEST(Pretokenizer, TenMegabytesOfOneKindAreFine) {
  const auto bytes = 10'000'000 / static_cast<std::size_t>(test_stride());
  for (const std::string_view unit : {"a", " ", "\n", "7", "\u4E00"}) {
    std::string run;
    while (run.size() < bytes) run += unit;
    for (const char* name : {"gpt-2", "smollm", "qwen2", "llama-bpe"}) {
      EXPECT_EQ(ends_of(Pretokenizer(**find_pretokenizer(name)), run).back(), run.size());
    }
  }
}

TEST(Pretokenizer, EmptyTextHasNoWords) { EXPECT_TRUE(words_of("qwen2", "").empty()); }

}  // namespace
}  // namespace checkbit
