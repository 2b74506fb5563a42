// Byte-level byte pair encoding ("gpt2" in GGUF).
//
// What: pieces are written in an alphabet of 256 printable characters, one for each byte. A text is
//   split into words by its pre-tokenizer; within a word the pair with the lowest rank in
//   tokenizer.ggml.merges merges first.
// A byte whose character is not in the vocabulary gives no token: published ids assume that.
// Errors: corrupt (merges: missing, or naming pieces that do not exist, with the index).
// Threads: const after creation.
// Reference: Sennrich et al., Neural Machine Translation of Rare Words with Subword Units, 2016;
//   the byte alphabet is that of GPT-2.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "file/gguf.h"
#include "run/tokenizer/pair_merger.h"
#include "run/tokenizer/pretokenizer.h"
#include "run/tokenizer/vocabulary.h"

namespace checkbit {

class ByteLevelBpe {
 public:
  static Result<ByteLevelBpe> create(const Metadata& metadata, const Vocabulary& vocabulary);

  /// Appends the ids of `text`, any bytes. `vocabulary` is the one given to create.
  void encode(std::string_view text, const Vocabulary& vocabulary, std::vector<TokenId>& ids) const;

  /// The bytes that a piece stands for; characters outside the alphabet stay as they are.
  static std::string decode_piece(std::string_view piece);

 private:
  struct Merge {
    TokenId right;
    std::uint32_t rank;
    TokenId result;
  };
  explicit ByteLevelBpe(const PretokenizerSpec& spec)
      : pretokenizer_(spec), whole_word_first_((spec.flags & kWholeWordFirst) != 0) {}
  Status read_merges(const Metadata& metadata, const Vocabulary& vocabulary);
  std::optional<PairMerger::Merge> find_merge(TokenId left, TokenId right) const;
  void encode_word(std::string_view word, PairMerger& merger, std::vector<TokenId>& ids) const;

  Pretokenizer pretokenizer_;
  bool whole_word_first_;
  std::array<TokenId, 256> byte_tokens_{};  ///< PairMerger::kNoToken where the vocabulary has none
  /// Merges by left piece: merges_[first_merge_[left], first_merge_[left + 1]), sorted by right.
  std::vector<std::uint32_t> first_merge_;
  std::vector<Merge> merges_;
};

}  // namespace checkbit
