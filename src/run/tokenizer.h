// Text to token ids and back, from the vocabulary in a GGUF file.
//
// What: byte-level BPE ("gpt2" in GGUF, with a pre-tokenizer from pretokenizers.def) and
//   SentencePiece-style merging by score with byte fallback ("llama").
// Ids are the same as llama.cpp's for the same text. decode(encode(text)) is the text, byte for
//   byte, apart from special tokens and SentencePiece's added leading space.
// Errors: corrupt or unsupported metadata (names the key). encode accepts any bytes, valid UTF-8
//   or not, of any length.
// Threads: const after creation, any number of threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "file/gguf.h"

namespace checkbit {

using TokenId = std::int32_t;

struct EncodeOptions {
  bool add_special = true;     ///< beginning and end of sequence tokens as the model asks for
  bool parse_special = false;  ///< text such as "<|im_end|>" becomes its control token
};

class Tokenizer {
 public:
  static Result<Tokenizer> create(const Metadata& metadata);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const;
  /// The bytes of one token. Control tokens give nothing unless `special`.
  std::string_view piece(TokenId id, bool special = false) const;
  /// Joined pieces; drops SentencePiece's leading space at the start of a text.
  std::string decode(std::span<const TokenId> ids, bool special = false) const;

  std::size_t size() const;
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  bool is_end_of_generation(TokenId id) const;  ///< eos, end of turn, end of message ...
  bool is_control(TokenId id) const;
  std::optional<TokenId> find(std::string_view piece) const;  ///< exact vocabulary text
  std::string_view model_name() const;                        ///< "gpt2" or "llama"

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Holds back incomplete UTF-8: what push returns is always whole characters. Bytes that can never
/// become valid come out as they are. flush() gives the rest.
class Utf8Stream {
 public:
  std::string push(std::string_view bytes);
  std::string flush();

 private:
  std::string held_;
};

}  // namespace checkbit
