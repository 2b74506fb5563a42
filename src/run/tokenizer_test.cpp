#include "run/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <limits>
#include <thread>

#include "base/resident_memory.h"
#include "base/test_sanitizers.h"
#include "base/test_stride.h"
#include "run/tokenizer/synthetic_vocabulary.h"

namespace checkbit {
namespace {

using namespace std::literals;
using ::testing::ElementsAre;
using Ids = std::vector<TokenId>;

Tokenizer made(const Metadata& metadata) {
  auto tokenizer = Tokenizer::create(metadata);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  return *std::move(tokenizer);
}

TokenId id(std::uint32_t value) { return static_cast<TokenId>(value); }

/// Texts for properties: every byte, pairs of scripts, spaces, invalid and overlong bytes.
std::vector<std::string> awkward_texts() {
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
  return {"",
          " ",
          "a",
          "  two  spaces ",
          "na\u00EFve \u4F60\u597D",
          "\u2581 x",
          "\U0001F600!",
          "\r\n\t\n",
          "a\0b"s,
          all_bytes,
          "\xC0\x80"s,
          "\xED\xA0\x80"s,
          "\xF4\x90\x80\x80"s,
          "\xE2\x82"s,
          std::string(3000, 'z')};
}

TEST(ByteLevelBpe, MergesByRankNotByPlace) {
  auto vocabulary = SyntheticVocabulary::byte_level();
  const auto bc = vocabulary.merge("b", "c");
  const auto ab = vocabulary.merge("a", "b");
  const auto abc = vocabulary.merge("ab", "c");
  const Tokenizer tokenizer = made(vocabulary.metadata());
  EXPECT_THAT(tokenizer.encode("abc"), ElementsAre('a', id(bc)));
  EXPECT_THAT(tokenizer.encode("ab"), ElementsAre(id(ab)));
  EXPECT_NE(tokenizer.encode("abc"), Ids{id(abc)}) << "never reached: b c goes first";
}

TEST(ByteLevelBpe, EqualRanksMergeFromTheLeft) {
  auto vocabulary = SyntheticVocabulary::byte_level();
  const auto aa = vocabulary.merge("a", "a");
  const Tokenizer tokenizer = made(vocabulary.metadata());
  EXPECT_THAT(tokenizer.encode("aaaaa"), ElementsAre(id(aa), id(aa), 'a'));
}

TEST(ByteLevelBpe, SpacesAndControlBytesAreSpelledInTheAlphabet) {
  auto vocabulary = SyntheticVocabulary::byte_level();
  const auto space_a = vocabulary.merge("\u0120", "a");
  const Tokenizer tokenizer = made(vocabulary.metadata());
  EXPECT_THAT(tokenizer.encode("a a"), ElementsAre('a', id(space_a)));
  EXPECT_EQ(tokenizer.piece(id(space_a)), " a");
  EXPECT_EQ(tokenizer.piece(10), "\n");
  EXPECT_EQ(tokenizer.piece(0xAD), "\xAD");
}

TEST(ByteLevelBpe, WholeWordsGoFirstWhereThePretokenizerSaysSo) {
  auto vocabulary = SyntheticVocabulary::byte_level();
  const auto bc = vocabulary.merge("b", "c");
  vocabulary.merge("a", "b");
  const auto abc = vocabulary.merge("ab", "c");
  EXPECT_THAT(made(vocabulary.metadata()).encode("abc"), ElementsAre('a', id(bc)));
  vocabulary.pretokenizer = "llama-bpe";
  Metadata metadata = vocabulary.metadata();
  metadata.set("tokenizer.ggml.bos_token_id", GgufValue::of(std::uint32_t{'^'}));
  EXPECT_THAT(made(metadata).encode("abc"), ElementsAre('^', id(abc)));
  EXPECT_THAT(made(metadata).encode("abc", {.add_special = false}), ElementsAre(id(abc)));
}

TEST(ByteLevelBpe, ABytesThatTheVocabularyLacksGivesNoToken) {
  auto vocabulary = SyntheticVocabulary::byte_level();
  vocabulary.pieces[4] = "<|something else|>";
  EXPECT_THAT(made(vocabulary.metadata()).encode("a\4b"), ElementsAre('a', 'b'));
}

TEST(ByteLevelBpe, InvalidBytesBecomeReplacementCharacters) {
  const Tokenizer tokenizer = made(SyntheticVocabulary::byte_level().metadata());
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a\xFFz")), "a\uFFFDz");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("\xC0\x80"sv)), "\0"sv);
}

TEST(ByteLevelBpe, ValidTextComesBackByteForByte) {
  auto vocabulary = SyntheticVocabulary::byte_level();
  vocabulary.merge("\u0120", "\u0120");
  vocabulary.merge("z", "z");
  vocabulary.merge("zz", "zz");
  for (const char* name : {"gpt-2", "smollm", "qwen2", "llama-bpe", "default", "tekken"}) {
    vocabulary.pretokenizer = name;
    Metadata metadata = vocabulary.metadata();
    metadata.set("tokenizer.ggml.add_bos_token", GgufValue::of(false));
    const Tokenizer tokenizer = made(metadata);
    for (const std::string& text : awkward_texts()) {
      const NormalizedText normalized(text);
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), normalized.bytes()) << name;
    }
  }
}

TEST(ByteLevelBpe, AWordOfTenMegabytesIsNotQuadratic) {
  auto vocabulary = SyntheticVocabulary::byte_level();
  std::string piece = "a";
  for (int i = 0; i < 6; ++i) {
    vocabulary.merge(piece, piece);
    piece += piece;
  }
  const Tokenizer tokenizer = made(vocabulary.metadata());
  const std::clock_t start = std::clock();
  const auto pieces = 10'000'000u / 64 / static_cast<unsigned>(test_stride());
  const Ids ids = tokenizer.encode(std::string(std::size_t{64} * pieces, 'a'));
  const double cpu_seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(ids.size(), pieces);
  EXPECT_LT(cpu_seconds, 60.0) << "hours when quadratic";
}

/// "ab" scores above "bc", "\u2581a" above both.
SyntheticVocabulary scored() {
  auto vocabulary = SyntheticVocabulary::sentence_piece();
  for (const char* character : {"\u2581", "a", "b", "c"})
    vocabulary.add(character, kTypeNormal, -9);
  vocabulary.add("ab", kTypeNormal, -2);
  vocabulary.add("bc", kTypeNormal, -3);
  vocabulary.add("\u2581a", kTypeNormal, -1);
  return vocabulary;
}

std::vector<std::string> pieces_of(const Tokenizer& tokenizer, const Ids& ids) {
  std::vector<std::string> pieces;
  for (const TokenId token : ids) pieces.emplace_back(tokenizer.piece(token, true));
  return pieces;
}

TEST(SentencePiece, BeginsWithBosAndASpaceByDefault) {
  const Tokenizer tokenizer = made(scored().metadata());
  EXPECT_THAT(pieces_of(tokenizer, tokenizer.encode("abc")), ElementsAre("<s>", " a", "bc"));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("abc")), "abc");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(" abc")), " abc");
}

TEST(SentencePiece, MergesTheHighestScoreFirst) {
  Metadata metadata = scored().metadata();
  metadata.set("tokenizer.ggml.add_space_prefix", GgufValue::of(false));
  metadata.set("tokenizer.ggml.add_bos_token", GgufValue::of(false));
  const Tokenizer tokenizer = made(metadata);
  EXPECT_THAT(pieces_of(tokenizer, tokenizer.encode("abc")), ElementsAre("ab", "c"));
  EXPECT_THAT(pieces_of(tokenizer, tokenizer.encode("abab bc")),
              ElementsAre("ab", "ab", " ", "bc"));
}

TEST(SentencePiece, EqualScoresMergeFromTheLeft) {
  auto vocabulary = SyntheticVocabulary::sentence_piece();
  vocabulary.add("aa", kTypeNormal, 0.0f);
  vocabulary.add("ab", kTypeNormal, -0.0f);
  const Tokenizer tokenizer = made(vocabulary.metadata());
  Ids ids = tokenizer.encode("aab", {.add_special = false});
  EXPECT_THAT(pieces_of(tokenizer, ids), ElementsAre("\xE2", "\x96", "\x81", "aa", "b"));
}

TEST(SentencePiece, WhatIsNoPieceBecomesByteTokens) {
  const Tokenizer tokenizer = made(scored().metadata());
  const Ids ids = tokenizer.encode("\u00E9", {.add_special = false});
  EXPECT_THAT(ids, ElementsAre(259, 3 + 0xC3, 3 + 0xA9));
  EXPECT_EQ(tokenizer.decode(ids), "\u00E9");
}

TEST(SentencePiece, WithoutByteTokensThePlainByteThenTheUnknownToken) {
  SyntheticVocabulary vocabulary;
  vocabulary.model = "llama";
  vocabulary.add("<unk>", kTypeUnknown);
  vocabulary.add("<s>", kTypeControl);
  vocabulary.add("</s>", kTypeControl);
  vocabulary.add("a");
  Metadata metadata = vocabulary.metadata();
  metadata.set("tokenizer.ggml.add_space_prefix", GgufValue::of(false));
  const Tokenizer tokenizer = made(metadata);
  EXPECT_THAT(tokenizer.encode("ab\u00E9"), ElementsAre(1, 3, 0, 0, 0));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("ab")), "a");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("ab"), true), "<s>a<unk>");
}

TEST(SentencePiece, AnyBytesComeBack) {
  for (const bool space_prefix : {false, true}) {
    Metadata metadata = scored().metadata();
    metadata.set("tokenizer.ggml.add_space_prefix", GgufValue::of(space_prefix));
    const Tokenizer tokenizer = made(metadata);
    for (const std::string& text : awkward_texts()) {
      if (text.find("\u2581") != std::string::npos) continue;  // it is how a space is written
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text) << space_prefix;
    }
  }
}

// Found by fuzzing: a lead byte takes the space mark into its sequence. llama.cpp gives these ids.
TEST(SentencePiece, ABrokenSequenceBeforeASpaceComesBackWithTheMark) {
  Metadata metadata = scored().metadata();
  metadata.set("tokenizer.ggml.add_space_prefix", GgufValue::of(false));
  const Tokenizer tokenizer = made(metadata);
  const Ids ids = tokenizer.encode("\xF0 a", {.add_special = false});
  EXPECT_THAT(ids, ElementsAre(3 + 0xF0, 3 + 0xE2, 3 + 0x96, 3 + 0x81, *tokenizer.find("a")));
  EXPECT_EQ(tokenizer.decode(ids),
            "\xF0\u2581"
            "a");
}

// Found by fuzzing: the space prefix of a vocabulary that lacks the mark is spelled in bytes.
TEST(SentencePiece, AVocabularyWithoutTheSpaceMarkSpellsIt) {
  const Tokenizer tokenizer = made(SyntheticVocabulary::sentence_piece().metadata());
  const Ids ids = tokenizer.encode("a", {.add_special = false});
  EXPECT_THAT(ids, ElementsAre(3 + 0xE2, 3 + 0x96, 3 + 0x81, 3 + 'a'));
  EXPECT_EQ(tokenizer.decode(ids),
            "\u2581"
            "a");
}

TEST(SentencePiece, CutsAtSpacesOnlyWhereNothingCanMergeAcross) {
  auto vocabulary = scored();
  vocabulary.add("b\u2581", kTypeNormal, -0.5f);
  vocabulary.add("b\u2581a", kTypeNormal, -0.25f);
  Metadata metadata = vocabulary.metadata();
  metadata.set("tokenizer.ggml.add_space_prefix", GgufValue::of(false));
  const Tokenizer tokenizer = made(metadata);
  EXPECT_THAT(pieces_of(tokenizer, tokenizer.encode("cb a", {.add_special = false})),
              ElementsAre("c", "b a"));
}

struct SpecialTokens : ::testing::Test {
  SpecialTokens() {
    start = id(vocabulary.add("<|im_start|>", kTypeControl));
    end = id(vocabulary.add("<|im_end|>", kTypeControl));
    tag = id(vocabulary.add("<tag>", kTypeUserDefined));
    long_tag = id(vocabulary.add("<tag><tag>", kTypeUserDefined));
  }
  SyntheticVocabulary vocabulary = SyntheticVocabulary::byte_level();
  TokenId start, end, tag, long_tag;
};

TEST_F(SpecialTokens, ControlTokensOnlyWhenAsked) {
  const Tokenizer tokenizer = made(vocabulary.metadata());
  EXPECT_THAT(tokenizer.encode("a<|im_end|>b", {.parse_special = true}),
              ElementsAre('a', end, 'b'));
  EXPECT_EQ(tokenizer.encode("<|im_end|>").size(), "<|im_end|>"sv.size());
  EXPECT_EQ(tokenizer.encode("<|im_end", {.parse_special = true}).size(), 8u);
}

TEST_F(SpecialTokens, UserDefinedTokensAlwaysAndTheLongestFirst) {
  const Tokenizer tokenizer = made(vocabulary.metadata());
  EXPECT_THAT(tokenizer.encode("<tag>"), ElementsAre(tag));
  EXPECT_THAT(tokenizer.encode("<tag><tag><tag>"), ElementsAre(long_tag, tag));
  EXPECT_THAT(tokenizer.encode("x<tag>y"), ElementsAre('x', tag, 'y'));
}

TEST_F(SpecialTokens, APieceInsideALongerOneIsFoundWhereTheLongerEnds) {
  const auto inner = id(vocabulary.add("m_e", kTypeUserDefined));
  const Tokenizer tokenizer = made(vocabulary.metadata());
  EXPECT_THAT(tokenizer.encode("<|im_end|>m_e", {.parse_special = true}), ElementsAre(end, inner));
  EXPECT_THAT(tokenizer.encode("im_e"), ElementsAre('i', inner));
}

TEST_F(SpecialTokens, PiecesAndDecodingHideControlTokensUnlessAsked) {
  const Tokenizer tokenizer = made(vocabulary.metadata());
  EXPECT_EQ(tokenizer.piece(end), "");
  EXPECT_EQ(tokenizer.piece(end, true), "<|im_end|>");
  EXPECT_EQ(tokenizer.piece(tag), "<tag>");
  EXPECT_EQ(tokenizer.decode(Ids{start, 'a', tag, end}), "a<tag>");
  EXPECT_EQ(tokenizer.decode(Ids{start, 'a', end}, true), "<|im_start|>a<|im_end|>");
  EXPECT_TRUE(tokenizer.is_control(end));
  EXPECT_FALSE(tokenizer.is_control(tag));
  EXPECT_TRUE(tokenizer.is_end_of_generation(end));
}

TEST_F(SpecialTokens, IdsOutOfRangeAreHarmless) {
  const Tokenizer tokenizer = made(vocabulary.metadata());
  for (const TokenId bad : {-1, 1'000'000, std::numeric_limits<TokenId>::min()}) {
    EXPECT_EQ(tokenizer.piece(bad, true), "");
    EXPECT_FALSE(tokenizer.is_control(bad));
    EXPECT_FALSE(tokenizer.is_end_of_generation(bad));
    EXPECT_EQ(tokenizer.decode(Ids{bad, 'x', bad}), "x");
  }
}

TEST(SpecialTokensOfSentencePiece, EachTextAfterATokenGetsAndLosesItsSpace) {
  auto vocabulary = scored();
  const auto tag = id(vocabulary.add("<tag>", kTypeUserDefined));
  const Tokenizer tokenizer = made(vocabulary.metadata());
  const Ids ids = tokenizer.encode("a<tag>a", {.add_special = false});
  EXPECT_THAT(pieces_of(tokenizer, ids), ElementsAre(" a", "<tag>", " a"));
  EXPECT_EQ(tokenizer.decode(ids), "a<tag>a");
  EXPECT_EQ(ids[1], tag);
}

TEST(SpecialTokensOfSentencePiece, StripRulesSwallowWhiteSpace) {
  auto vocabulary = scored();
  const auto user = id(vocabulary.add("<|user|>", kTypeControl));
  Metadata metadata = vocabulary.metadata();
  metadata.set("general.name", GgufValue::of("Phi3"s));
  metadata.set("tokenizer.ggml.add_space_prefix", GgufValue::of(false));
  const Tokenizer tokenizer = made(metadata);
  EXPECT_THAT(tokenizer.encode("<|user|>\n \ta", {.add_special = false, .parse_special = true}),
              ElementsAre(user, *tokenizer.find("a")));
}

TEST(Tokenizer, DescribesItself) {
  auto vocabulary = SyntheticVocabulary::byte_level();
  const auto end = vocabulary.add("<|endoftext|>", kTypeControl);
  Metadata metadata = vocabulary.metadata();
  const Tokenizer bare = made(metadata);
  EXPECT_FALSE(bare.bos().has_value());
  EXPECT_FALSE(bare.eos().has_value());
  metadata.set("tokenizer.ggml.eos_token_id", GgufValue::of(end));
  metadata.set("tokenizer.ggml.add_eos_token", GgufValue::of(true));
  const Tokenizer tokenizer = made(metadata);
  EXPECT_EQ(tokenizer.size(), 257u);
  EXPECT_EQ(tokenizer.model_name(), "gpt2");
  EXPECT_EQ(tokenizer.eos(), id(end));
  EXPECT_EQ(tokenizer.find("a"), 'a');
  EXPECT_FALSE(tokenizer.find("no such piece").has_value());
  EXPECT_THAT(tokenizer.encode("a"), ElementsAre('a', id(end)));
  EXPECT_THAT(tokenizer.encode("a", {.add_special = false}), ElementsAre('a'));
  EXPECT_EQ(made(scored().metadata()).model_name(), "llama");
  EXPECT_THAT(made(scored().metadata()).encode(""), ElementsAre(1));
}

TEST(Tokenizer, OneTokenizerServesManyThreads) {
  const Tokenizer tokenizer = made(scored().metadata());
  auto vocabulary = SyntheticVocabulary::byte_level();
  vocabulary.merge("a", "b");
  const Tokenizer bytes = made(vocabulary.metadata());
  const Ids expected = tokenizer.encode("abc abc");
  const Ids expected_bytes = bytes.encode("ab ab 12");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        ASSERT_EQ(tokenizer.encode("abc abc"), expected);
        ASSERT_EQ(bytes.encode("ab ab 12"), expected_bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

/// Beside the ids, which are a sixth of this text: neither words nor fragments are kept.
TEST(Tokenizer, EncodingTakesLittleMemoryBesideTheIds) {
  if (kUnderSanitizer) GTEST_SKIP() << "a sanitizer keeps memory beside memory";
  std::ofstream resets_the_peak("/proc/self/clear_refs");
  if (!resets_the_peak) GTEST_SKIP() << "no /proc/self/clear_refs";
  std::string text;
  while (text.size() < 24'000'000) text += "aaaaaaaabbbbbbbbccccccc 12\ndddddddd";
  auto words = SyntheticVocabulary::byte_level();
  auto pieces = SyntheticVocabulary::sentence_piece();
  for (const std::string letter : {"a", "b", "c", "d"}) {
    pieces.add(letter);
    std::string piece = letter;
    for (int i = 0; i < 3; ++i) {
      words.merge(piece, piece);
      piece += piece;
      pieces.add(piece, kTypeNormal, 1);
    }
  }
  words.add("\n", kTypeUserDefined);
  pieces.add("\n", kTypeUserDefined);
  for (const auto& vocabulary : {words, pieces}) {
    const Tokenizer tokenizer = made(vocabulary.metadata());
    resets_the_peak << "5" << std::flush;
    const std::uint64_t before = resident_bytes();
    const Ids ids = tokenizer.encode(text, {.add_special = false});
    const auto taken = static_cast<double>(peak_resident_bytes() - before);
    EXPECT_GT(taken, 0);
    // A vector that grows holds its old and its new memory for a moment: up to twice the ids.
    EXPECT_LT(taken, 2.1 * static_cast<double>(ids.size() * sizeof(TokenId)) + 4e6)
        << vocabulary.model << ", " << ids.size() << " tokens";
  }
}

TEST(Tokenizer, StreamedPiecesAreWholeCharactersAtEveryToken) {
  auto vocabulary = SyntheticVocabulary::byte_level();
  const Tokenizer tokenizer = made(vocabulary.metadata());
  const std::string text = "caf\u00E9 \u4F60\u597D \U0001F468\u200D\U0001F469 \uFFFF.";
  const Ids ids = tokenizer.encode(text);
  for (std::size_t split = 0; split <= ids.size(); ++split) {
    Utf8Stream stream;
    const std::string head = stream.push(tokenizer.decode(std::span(ids).first(split)));
    const std::string tail = stream.push(tokenizer.decode(std::span(ids).subspan(split)));
    EXPECT_EQ(NormalizedText(head).bytes(), head) << "half a character at token " << split;
    EXPECT_EQ(head + tail + stream.flush(), text);
  }
}

}  // namespace
}  // namespace checkbit
