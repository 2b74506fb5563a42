// SentencePiece-style merging by score, with byte fallback ("llama" in GGUF: Llama 2, Gemma).
//
// What: spaces become U+2581; characters are the first symbols; the neighbours whose joined text is
//   the piece with the highest score merge first. What is no piece in the end becomes byte tokens
//   "<0xHH>", or else the one-byte piece, or else the unknown token.
// Bytes that are no UTF-8 are grouped as their lead byte promises; byte tokens keep them all.
// Threads: const after creation.
// Reference: Kudo and Richardson, SentencePiece, 2018 (its BPE mode).
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "run/tokenizer/pair_merger.h"
#include "run/tokenizer/vocabulary.h"

namespace checkbit {

class SentencePiece {
 public:
  /// Errors: corrupt (a byte token that is not of the form <0xHH>, with its index).
  static Result<SentencePiece> create(const Vocabulary& vocabulary);

  /// Appends the ids of `text`, any bytes, after the mark for a leading space when `space_prefix`.
  void encode(std::string_view text, bool space_prefix, const Vocabulary& vocabulary,
              std::vector<TokenId>& ids) const;

  /// The bytes that a piece stands for. Precondition: vocabulary.contains(id).
  static std::string decode_piece(const Vocabulary& vocabulary, TokenId id);

 private:
  void encode_segment(std::string_view segment, const Vocabulary& vocabulary, PairMerger& merger,
                      std::vector<TokenId>& ids) const;

  std::vector<std::uint32_t> order_;  ///< [tokens] ascending as scores descend
  std::array<TokenId, 256>
      byte_tokens_{};  ///< PairMerger::kNoToken: neither byte nor unknown token
  /// True for each byte that some piece has right before a space mark; between any other byte and
  /// a space mark nothing can ever merge, so the text is cut there (same ids, less work).
  std::array<bool, 256> joins_space_{};
};

}  // namespace checkbit
