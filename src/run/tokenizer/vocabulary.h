// The vocabulary in a GGUF file: pieces, what kind each is, scores, and the special tokens.
//
// What: reads and checks the tokenizer.ggml.* keys, once, for both kinds of model.
// Errors: corrupt (names the key and the index), unsupported (tokenizer.ggml.model by name).
// Threads: const after creation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "file/gguf.h"
#include "run/tokenizer.h"

namespace checkbit {

/// What a token is; a token may have several (a control token that was stored as normal).
enum TokenFlag : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 4,
  kUserDefined = 8,
  kByte = 16,
  kStripLeft = 32,   ///< swallows white space before it in the text
  kStripRight = 64,  ///< and after it
};

/// Many short strings in one allocation.
class StringPool {
 public:
  void append(std::string_view text) {
    bytes_ += text;
    ends_.push_back(bytes_.size());
  }
  std::string_view operator[](std::size_t index) const {
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(bytes_).substr(begin, ends_[index] - begin);
  }
  std::size_t size() const { return ends_.size(); }
  void reserve(std::size_t count) { ends_.reserve(count); }

 private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

enum class VocabularyKind { byte_level, sentence_piece };

class Vocabulary {
 public:
  static Result<Vocabulary> create(const Metadata& metadata);

  VocabularyKind kind() const { return kind_; }
  std::size_t size() const { return texts_.size(); }
  bool contains(TokenId id) const { return id >= 0 && static_cast<std::size_t>(id) < size(); }
  /// The piece as the file stores it. Precondition: contains(id).
  std::string_view text(TokenId id) const { return texts_[static_cast<std::size_t>(id)]; }
  std::uint8_t flags(TokenId id) const { return flags_[static_cast<std::size_t>(id)]; }
  /// 0 for every token when the file has no scores.
  float score(TokenId id) const {
    return scores_.empty() ? 0.0f : scores_[static_cast<std::size_t>(id)];
  }
  std::optional<TokenId> find(std::string_view text) const;
  std::size_t longest_text() const { return longest_text_; }

  /// tokenizer.ggml.pre of a byte-level model; "default" when the file has none.
  std::string_view pretokenizer_name() const { return pretokenizer_name_; }

  struct Special {
    std::optional<TokenId> bos, eos, unknown;
    bool add_bos = false;
    bool add_eos = false;
    bool add_space_prefix = false;
    std::vector<bool> ends_generation;  ///< [size()]
  };
  const Special& special() const { return special_; }
  /// Ids of the tokens that are looked for in a text before anything else, ascending.
  std::vector<TokenId> matched_in_text() const;
  bool is_special(TokenId id) const { return (flags(id) & (kControl | kUnknown)) != 0; }

 private:
  Status read_pieces(const Metadata& metadata);
  Status read_types(const Metadata& metadata);
  Status read_scores(const Metadata& metadata);
  Status read_special(const Metadata& metadata);
  Result<std::optional<TokenId>> read_id(const Metadata& metadata, std::string_view key) const;

  VocabularyKind kind_ = VocabularyKind::byte_level;
  StringPool texts_;
  std::vector<std::uint8_t> flags_;
  std::vector<float> scores_;
  std::vector<TokenId> slots_;  ///< open addressing by hash of the text; -1 is free
  std::size_t longest_text_ = 0;
  std::string pretokenizer_name_;
  Special special_;
};

}  // namespace checkbit
