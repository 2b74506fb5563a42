#include "measure/aggregate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace checkbit {
namespace {

TokenScore some_score(double divergence, bool changed, double sure = 0.5) {
  TokenScore score;
  score.loss = 1 + divergence;
  score.reference_loss = 1;
  score.divergence = divergence;
  score.choice = changed ? 2 : 1;
  score.reference_choice = 1;
  score.choice_probability = score.reference_choice_probability = sure;
  return score;
}

const AggregateOptions kWindowOfTen = {.first_scored = 4, .last_scored = 9};

void add_window(Aggregate& aggregate, std::size_t window, double divergence, bool changed = false,
                double sure = 0.5) {
  const std::vector<TokenId> tokens(10, 3);
  for (std::size_t position = 4; position < 9; ++position) {
    aggregate.add({.window = window,
                   .position = position,
                   .text_position = window * 10 + position + 1,
                   .before = std::span<const TokenId>(tokens).first(position + 1),
                   .actual = 5},
                  some_score(divergence, changed, sure));
  }
  aggregate.close_window();
}

TEST(Aggregate, KeepsNoMoreBlocksHoweverManyWindows) {
  Aggregate aggregate(kWindowOfTen);
  constexpr std::size_t kWindows = 5 * Aggregate::kMostBlocks + 3;
  double sum = 0;
  for (std::size_t i = 0; i < kWindows; ++i) {
    const double divergence = 0.001 * static_cast<double>(i % 7);
    add_window(aggregate, i, divergence);
    sum += 5 * divergence;
  }
  const BlockTable blocks = aggregate.blocks();
  EXPECT_LT(blocks.blocks(), Aggregate::kMostBlocks);
  EXPECT_EQ(aggregate.windows_per_block(), 8U);
  EXPECT_EQ(blocks.blocks(), (kWindows + 7) / 8);
  const std::vector<double> totals = blocks.totals();
  EXPECT_EQ(totals[kTokens], 5.0 * kWindows);
  EXPECT_NEAR(totals[kDivergence], sum, 1e-9);
  EXPECT_EQ(blocks.block(0)[kTokens], 40);
  EXPECT_NEAR(blocks.block(0)[kDivergence], 5 * 0.001 * (0 + 1 + 2 + 3 + 4 + 5 + 6 + 0), 1e-12);
}

TEST(Aggregate, CountsWindowsThatGotWorse) {
  Aggregate aggregate(kWindowOfTen);
  for (const double divergence : {0.1, 0.2, -0.1, 0.0}) {
    Aggregate one(kWindowOfTen);
    const std::vector<TokenId> tokens(10, 3);
    TokenScore score = some_score(0, false);
    score.loss = 1 + divergence;
    aggregate.add({.window = 0,
                   .position = 4,
                   .text_position = 5,
                   .before = std::span<const TokenId>(tokens).first(5),
                   .actual = 5},
                  score);
    aggregate.close_window();
  }
  EXPECT_EQ(aggregate.windows_worse(), 2U);
  EXPECT_EQ(aggregate.windows_better(), 1U);
}

TEST(Aggregate, KeepsTheSurestChangesOneOfEachWindow) {
  Aggregate aggregate(kWindowOfTen);
  for (std::size_t window = 0; window < 30; ++window) {
    add_window(aggregate, window, 0.1, window % 2 == 0, 0.01 * static_cast<double>(window));
  }
  const auto examples = aggregate.examples();
  ASSERT_EQ(examples.size(), Aggregate::kExamples);
  for (std::size_t i = 0; i < examples.size(); ++i) {
    EXPECT_EQ(examples[i].window, 28 - 2 * i);
    EXPECT_EQ(examples[i].position, 4U) << "of equals the first";
    EXPECT_EQ(examples[i].before.size(), 5U);
  }
}

TEST(Aggregate, ManyDocumentsShareTheLastPlace) {
  std::vector<Document> documents;
  for (std::size_t i = 0; i < Aggregate::kMostDocuments + 10; ++i) {
    documents.push_back({"d" + std::to_string(i), 10 * i});
  }
  AggregateOptions options = kWindowOfTen;
  options.documents = documents;
  Aggregate aggregate(options);
  for (std::size_t i = 0; i < documents.size(); ++i) add_window(aggregate, i, 0.1);
  const auto figures = aggregate.by_document();
  ASSERT_EQ(figures.size(), Aggregate::kMostDocuments);
  EXPECT_EQ(figures[7].name, "d7");
  EXPECT_EQ(figures[7].tokens, 5);
  EXPECT_EQ(figures.back().name, "all later documents");
  EXPECT_EQ(figures.back().tokens, 5 * 11);
}

TEST(TokenClass, ComesFromTheBytesAndTheTokenBefore) {
  const std::vector<std::string_view> pieces = {" the", "ing",  "42",   " 7",      ",",  "\n",
                                                "",     "\xC3", "é",    "\n\nThe", "'t", "—",
                                                " (",   "don",  "\xE2", "  "};
  const TokenClasses classes(pieces);
  const auto of = [&](TokenId previous, TokenId token) { return classes.of(previous, token); };
  EXPECT_EQ(of(4, 0), TokenClass::word_start);
  EXPECT_EQ(of(0, 1), TokenClass::word_inside) << "the|ing";
  EXPECT_EQ(of(12, 1), TokenClass::word_start) << "(|ing";
  EXPECT_EQ(of(5, 1), TokenClass::word_start) << "a line begins";
  EXPECT_EQ(of(2, 1), TokenClass::word_inside) << "42|ing";
  EXPECT_EQ(of(13, 10), TokenClass::word_inside) << "don|'t";
  EXPECT_EQ(of(0, 8), TokenClass::word_inside);
  EXPECT_EQ(of(0, 9), TokenClass::word_start) << "white space before it";
  EXPECT_EQ(of(0, 2), TokenClass::number);
  EXPECT_EQ(of(0, 3), TokenClass::number);
  EXPECT_EQ(of(0, 4), TokenClass::punctuation);
  EXPECT_EQ(of(0, 11), TokenClass::punctuation);
  EXPECT_EQ(of(0, 12), TokenClass::punctuation);
  EXPECT_EQ(of(0, 5), TokenClass::white_space);
  EXPECT_EQ(of(0, 15), TokenClass::white_space);
  EXPECT_EQ(of(0, 6), TokenClass::other);
  EXPECT_EQ(of(0, 7), TokenClass::other) << "half a character";
  EXPECT_EQ(of(0, 99), TokenClass::other);
  EXPECT_EQ(of(-1, -1), TokenClass::other);
}

TEST(Documents, AreTheArticlesOfAWiki) {
  const std::string text =
      " \n = First = \n \n words = not a title = here\n = = Section = = \n more \n"
      " = Second one = \n \n the end\n";
  const auto starts = find_document_starts(text, "");
  ASSERT_EQ(starts.size(), 2U);
  EXPECT_EQ(starts[0].title, "First");
  EXPECT_EQ(starts[1].title, "Second one");
  EXPECT_EQ(text.substr(starts[1].byte, 10), " = Second ");
  EXPECT_TRUE(find_document_starts(" = Only = \n words", "").empty());
  EXPECT_TRUE(find_document_starts("", "").empty());
  for (const char* line : {"=", "= =", "=  =", "= = =", "==", " = a", "a ="}) {
    EXPECT_TRUE(find_document_starts(std::string(line) + "\n" + line, "").empty()) << line;
  }
}

TEST(Documents, AreTheLinesOfAJsonFile) {
  const std::string lines =
      "{\"text\": \"One here.\", \"title\": \"First\"}\n{\"id\": 7, \"text\": \" \"}\n"
      "{\"text\": \"Two\\nthere.\"}\n";
  const auto read = read_documents("a.jsonl", lines, "");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->text, "One here.\n\nTwo\nthere.");
  ASSERT_EQ(read->starts.size(), 2U);
  EXPECT_EQ(read->starts[0].title, "First");
  EXPECT_EQ(read->starts[1].title, "Two");
  EXPECT_EQ(read->starts[1].byte, 11U);
  // By another name it is text like any other.
  EXPECT_EQ(read_documents("a.txt", lines, "")->text, lines);
  const auto bad = read_documents("a.jsonl", "{\"text\": \"x\"}\n{\"words\": 1}\n", "");
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.error().message.find("a.jsonl:2"), std::string::npos) << bad.error().message;
}

TEST(Documents, BeginAtTheLineThatTheUserNamed) {
  const std::string text = "before it\n---\n\nOne begins\n ---\r\nTwo\n---";
  const auto starts = find_document_starts(text, "---");
  ASSERT_EQ(starts.size(), 4U);
  EXPECT_EQ(starts[0].title, "before it");
  EXPECT_EQ(starts[0].byte, 0U);
  EXPECT_EQ(starts[1].title, "One begins");
  EXPECT_EQ(starts[2].title, "Two");
  EXPECT_EQ(starts[3].title, "document 3");
  const std::string long_line =
      "---\n" + std::string(59, 'a') + "é" + std::string(50, 'b') + "\n---\nx";
  EXPECT_EQ(find_document_starts(long_line, "---")[0].title, std::string(59, 'a') + "…")
      << "cut between two characters";
}

}  // namespace
}  // namespace checkbit
