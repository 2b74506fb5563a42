// Splits a text into the words that byte-level BPE works on.
//
// What: the named pattern lists of pretokenizers.def. Patterns are applied one after the other:
// each
//   splits every piece of the previous ones into its matches and the text between them, and sees
//   only that piece (a look-ahead stops at the piece's end).
// Cost: linear in the text; pretokenizer_test.cpp walks the list with long runs to prove it. Takes
// no
//   memory that grows with the text: a piece goes through all patterns before the next is looked
//   for.
// Errors: find_pretokenizer: unsupported (unknown name).
// Threads: const after creation.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace checkbit {

enum PretokenizerFlag : unsigned {
  kNoFlags = 0,
  kWholeWordFirst = 1,   ///< a word that is a token as a whole is not merged ("ignore_merges")
  kAddBosByDefault = 2,  ///< unless tokenizer.ggml.add_bos_token says otherwise
};

/// One line of pretokenizers.def.
struct PretokenizerSpec {
  std::string_view names;  ///< values of tokenizer.ggml.pre, separated by spaces
  unsigned flags;
  std::vector<std::string_view> patterns;
};
const std::vector<PretokenizerSpec>& pretokenizer_specs();
Result<const PretokenizerSpec*> find_pretokenizer(std::string_view name);

class Pretokenizer {
 public:
  explicit Pretokenizer(const PretokenizerSpec& spec);
  Pretokenizer(Pretokenizer&&) noexcept;
  Pretokenizer& operator=(Pretokenizer&&) noexcept;
  ~Pretokenizer();

  /// Calls `word` with the end offset of each word, ascending. Precondition: `text` is valid UTF-8.
  using WordEnd = std::function<void(std::size_t)>;
  void split(std::string_view text, const WordEnd& word) const;

 private:
  class Pattern;
  struct Matching;
  void split_piece(const Matching& matching, std::size_t pattern, std::size_t begin,
                   std::size_t end) const;

  std::vector<Pattern> patterns_;
};

}  // namespace checkbit
