#include "run/tokenizer/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "run/tokenizer/synthetic_vocabulary.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;

/// The message with which Tokenizer::create refuses `metadata`; empty when it accepts.
std::string refusal(const Metadata& metadata, ErrorKind kind = ErrorKind::corrupt) {
  const auto created = Tokenizer::create(metadata);
  if (created.ok()) return "";
  EXPECT_EQ(created.error().kind, kind);
  return created.error().message;
}

GgufValue floats(std::vector<float> values) {
  return {GgufKind::array, GgufArray{GgufKind::f32, std::move(values)}};
}

struct HostileVocabulary : ::testing::Test {
  Metadata bytes = SyntheticVocabulary::byte_level().metadata();
  Metadata pieces = SyntheticVocabulary::sentence_piece().metadata();
};

TEST_F(HostileVocabulary, TheUnharmedOnesAreAccepted) {
  EXPECT_EQ(refusal(bytes), "");
  EXPECT_EQ(refusal(pieces), "");
}

TEST_F(HostileVocabulary, UnknownModelIsRefusedByName) {
  bytes.set("tokenizer.ggml.model", GgufValue::of(std::string("t5")));
  EXPECT_THAT(refusal(bytes, ErrorKind::unsupported), HasSubstr("tokenizer.ggml.model \"t5\""));
  bytes.erase("tokenizer.ggml.model");
  EXPECT_THAT(refusal(bytes), HasSubstr("tokenizer.ggml.model is missing"));
}

TEST_F(HostileVocabulary, UnknownPretokenizerIsRefusedByName) {
  bytes.set("tokenizer.ggml.pre", GgufValue::of(std::string("klingon")));
  EXPECT_THAT(refusal(bytes, ErrorKind::unsupported), HasSubstr("\"klingon\""));
  bytes.set("tokenizer.ggml.pre", GgufValue::of(std::uint32_t{7}));
  EXPECT_THAT(refusal(bytes), HasSubstr("tokenizer.ggml.pre is not a string"));
}

TEST_F(HostileVocabulary, MissingOrEmptyTokens) {
  for (Metadata* metadata : {&bytes, &pieces}) {
    metadata->set("tokenizer.ggml.tokens", GgufValue::of(std::vector<std::string>{}));
    EXPECT_THAT(refusal(*metadata), HasSubstr("tokenizer.ggml.tokens is empty"));
    metadata->set("tokenizer.ggml.tokens", GgufValue::of(true));
    EXPECT_THAT(refusal(*metadata), HasSubstr("tokenizer.ggml.tokens is missing or not"));
    metadata->erase("tokenizer.ggml.tokens");
    EXPECT_THAT(refusal(*metadata), HasSubstr("tokenizer.ggml.tokens is missing or not"));
  }
}

TEST_F(HostileVocabulary, DuplicatePiecesAreNamed) {
  auto vocabulary = SyntheticVocabulary::byte_level();
  vocabulary.add("a");
  EXPECT_THAT(refusal(vocabulary.metadata()),
              HasSubstr("tokenizer.ggml.tokens[256] is the same piece as [97]: \"a\""));
}

TEST_F(HostileVocabulary, LengthsThatDiffer) {
  bytes.set("tokenizer.ggml.token_type", GgufValue::of(std::vector<std::uint32_t>(255, 1)));
  EXPECT_THAT(refusal(bytes), HasSubstr("tokenizer.ggml.token_type has 255 entries"));
  pieces.set("tokenizer.ggml.scores", floats(std::vector<float>(260)));
  EXPECT_THAT(refusal(pieces), HasSubstr("tokenizer.ggml.scores has 260 entries"));
}

TEST_F(HostileVocabulary, ArraysOfTheWrongKind) {
  bytes.set("tokenizer.ggml.token_type", floats(std::vector<float>(256)));
  EXPECT_THAT(refusal(bytes), HasSubstr("tokenizer.ggml.token_type is not an array of integers"));
  pieces.set("tokenizer.ggml.scores", GgufValue::of(std::vector<std::string>(259)));
  EXPECT_THAT(refusal(pieces), HasSubstr("tokenizer.ggml.scores is not an array of numbers"));
}

TEST_F(HostileVocabulary, ScoresMissingOrNan) {
  std::vector<float> scores(259);
  scores[42] = std::numeric_limits<float>::quiet_NaN();
  pieces.set("tokenizer.ggml.scores", floats(scores));
  EXPECT_THAT(refusal(pieces), HasSubstr("tokenizer.ggml.scores[42] is NaN"));
  pieces.erase("tokenizer.ggml.scores");
  EXPECT_THAT(refusal(pieces), HasSubstr("tokenizer.ggml.scores is missing"));
}

TEST_F(HostileVocabulary, InfiniteScoresAreOrdered) {
  std::vector<float> scores(259);
  scores[3] = std::numeric_limits<float>::infinity();
  scores[4] = -std::numeric_limits<float>::infinity();
  pieces.set("tokenizer.ggml.scores", floats(scores));
  EXPECT_EQ(refusal(pieces), "");
}

TEST_F(HostileVocabulary, MergesMissingOrMalformed) {
  const auto with_merge = [&](std::string merge) {
    bytes.set("tokenizer.ggml.merges", GgufValue::of(std::vector<std::string>{"a b", merge}));
    return refusal(bytes);
  };
  auto vocabulary = SyntheticVocabulary::byte_level();
  vocabulary.merge("a", "b");
  bytes = vocabulary.metadata();
  EXPECT_EQ(with_merge("a b"), "") << "a repeated merge has its first rank";
  for (const char* merge : {"", " ", "ab", "a ", "a  b"}) {
    EXPECT_THAT(with_merge(merge), HasSubstr("tokenizer.ggml.merges[1]")) << merge;
  }
  EXPECT_THAT(with_merge("a xyz"), HasSubstr("\"xyz\" is not in tokenizer.ggml.tokens"));
  EXPECT_THAT(with_merge("xyz a"), HasSubstr("\"xyz\" is not in tokenizer.ggml.tokens"));
  EXPECT_THAT(with_merge("b a"), HasSubstr("\"ba\" is not in tokenizer.ggml.tokens"));
  bytes.erase("tokenizer.ggml.merges");
  EXPECT_THAT(refusal(bytes), HasSubstr("tokenizer.ggml.merges is missing"));
}

TEST_F(HostileVocabulary, IdsOutOfRangeOrOfTheWrongKind) {
  for (const char* key : {"bos", "eos", "unknown", "eot", "eom", "fim_pre", "fim_suf", "fim_mid",
                          "fim_pad", "fim_rep", "fim_sep"}) {
    const std::string name = fmt::format("tokenizer.ggml.{}_token_id", key);
    Metadata harmed = bytes;
    harmed.set(name, GgufValue::of(std::uint32_t{256}));
    EXPECT_THAT(refusal(harmed), HasSubstr(name + " is 256, but there are 256 tokens"));
    harmed.set(name, {GgufKind::i32, std::int64_t{-1}});
    EXPECT_THAT(refusal(harmed), HasSubstr(name + " is -1"));
    harmed.set(name, GgufValue::of(std::string("1")));
    EXPECT_THAT(refusal(harmed), HasSubstr(name + " is not an integer"));
  }
}

TEST_F(HostileVocabulary, SequenceTokensThatAreAskedForMustExist) {
  bytes.set("tokenizer.ggml.add_bos_token", GgufValue::of(true));
  EXPECT_THAT(refusal(bytes), HasSubstr("tokenizer.ggml.bos_token_id is needed"));
  bytes.set("tokenizer.ggml.bos_token_id", GgufValue::of(std::uint32_t{0}));
  EXPECT_EQ(refusal(bytes), "");
  bytes.set("tokenizer.ggml.add_eos_token", GgufValue::of(true));
  EXPECT_THAT(refusal(bytes), HasSubstr("tokenizer.ggml.eos_token_id is missing"));
  bytes.set("tokenizer.ggml.add_eos_token", GgufValue::of(std::uint32_t{1}));
  EXPECT_THAT(refusal(bytes), HasSubstr("tokenizer.ggml.add_eos_token is not a boolean"));
}

TEST_F(HostileVocabulary, ByteTokensMustSayTheirByte) {
  for (const char* text : {"<0x4>", "<0xZZ>", "<0x411>", "0x41", "<0x4G>"}) {
    auto vocabulary = SyntheticVocabulary::sentence_piece();
    vocabulary.add(text, kTypeByte);
    EXPECT_THAT(refusal(vocabulary.metadata()),
                HasSubstr("tokenizer.ggml.tokens[259] is a byte token"))
        << text;
  }
}

TEST(Vocabulary, EmptyPieceIsAHoleThatDecodesToNothing) {
  auto vocabulary = SyntheticVocabulary::byte_level();
  const auto hole = vocabulary.add("");
  vocabulary.add("", kTypeControl);
  const auto tokenizer = Tokenizer::create(vocabulary.metadata());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->piece(static_cast<TokenId>(hole)), "");
  EXPECT_FALSE(tokenizer->find("").has_value());
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("ab")), "ab");
}

Vocabulary made(const SyntheticVocabulary& synthetic) {
  auto vocabulary = Vocabulary::create(synthetic.metadata());
  EXPECT_TRUE(vocabulary.ok());
  return *std::move(vocabulary);
}

TEST(SpecialNames, EndOfTurnByNameEndsGenerationAndBecomesControl) {
  auto synthetic = SyntheticVocabulary::byte_level();
  const auto end = static_cast<TokenId>(synthetic.add("<|im_end|>"));
  const auto text = static_cast<TokenId>(synthetic.add("<|endoftext|>", kTypeControl));
  const auto other = static_cast<TokenId>(synthetic.add("<|im_start|>", kTypeControl));
  const Vocabulary vocabulary = made(synthetic);
  EXPECT_TRUE(vocabulary.special().ends_generation[static_cast<std::size_t>(end)]);
  EXPECT_TRUE(vocabulary.special().ends_generation[static_cast<std::size_t>(text)]);
  EXPECT_FALSE(vocabulary.special().ends_generation[static_cast<std::size_t>(other)]);
  EXPECT_TRUE(vocabulary.is_special(end));
}

TEST(SpecialNames, CallTokensMakeEndAnOrdinaryMark) {
  auto synthetic = SyntheticVocabulary::byte_level();
  const auto end = static_cast<TokenId>(synthetic.add("<|end|>", kTypeControl));
  EXPECT_TRUE(made(synthetic).special().ends_generation[static_cast<std::size_t>(end)]);
  synthetic.add("<|call|>", kTypeControl);
  synthetic.add("<|return|>", kTypeControl);
  const Vocabulary vocabulary = made(synthetic);
  EXPECT_FALSE(vocabulary.special().ends_generation[static_cast<std::size_t>(end)]);
  EXPECT_EQ(vocabulary.flags(end), kUserDefined);
}

TEST(SpecialNames, PhiTokensSwallowTheSpaceAfterThem) {
  auto synthetic = SyntheticVocabulary::sentence_piece();
  const auto mark = static_cast<TokenId>(synthetic.add("<|user|>", kTypeControl));
  Metadata metadata = synthetic.metadata();
  metadata.set("general.name", GgufValue::of(std::string("Phi-3 mini")));
  const auto vocabulary = Vocabulary::create(metadata);
  ASSERT_TRUE(vocabulary.ok());
  EXPECT_EQ(vocabulary->flags(mark) & kStripRight, kStripRight);
  EXPECT_EQ(vocabulary->flags(1) & kStripRight, 0) << "not the beginning of a sequence";
  EXPECT_EQ(vocabulary->flags(2) & kStripRight, kStripRight);
}

}  // namespace
}  // namespace checkbit
