// Small vocabularies for tests: metadata as a GGUF file would hold it, built piece by piece.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "file/gguf.h"
#include "run/tokenizer/utf8.h"

namespace checkbit {

inline constexpr std::uint32_t kTypeNormal = 1, kTypeUnknown = 2, kTypeControl = 3,
                               kTypeUserDefined = 4, kTypeUnused = 5, kTypeByte = 6;

struct SyntheticVocabulary {
  std::string model = "gpt2";
  std::string pretokenizer = "gpt-2";
  std::vector<std::string> pieces;
  std::vector<std::uint32_t> types;
  std::vector<float> scores;
  std::vector<std::string> merges;

  /// Returns the new piece's id.
  std::uint32_t add(std::string piece, std::uint32_t type = kTypeNormal, float score = 0) {
    pieces.push_back(std::move(piece));
    types.push_back(type);
    scores.push_back(score);
    return static_cast<std::uint32_t>(pieces.size() - 1);
  }

  /// The 256 characters of the byte alphabet, as pieces 0 to 255 in order of their bytes.
  static SyntheticVocabulary byte_level() {
    SyntheticVocabulary vocabulary;
    std::uint32_t next = 0x100;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
      std::string piece;
      append_utf8(piece, printable ? byte : next++);
      vocabulary.add(std::move(piece));
    }
    return vocabulary;
  }

  /// <unk>, <s>, </s> and the 256 byte tokens (3 to 258).
  static SyntheticVocabulary sentence_piece() {
    SyntheticVocabulary vocabulary;
    vocabulary.model = "llama";
    vocabulary.add("<unk>", kTypeUnknown);
    vocabulary.add("<s>", kTypeControl);
    vocabulary.add("</s>", kTypeControl);
    for (unsigned byte = 0; byte < 256; ++byte) {
      vocabulary.add(fmt::format("<0x{:02X}>", byte), kTypeByte);
    }
    return vocabulary;
  }

  /// Adds the piece first + second and the merge that makes it.
  std::uint32_t merge(const std::string& first, const std::string& second) {
    merges.push_back(first + " " + second);
    return add(first + second);
  }

  Metadata metadata() const {
    Metadata result;
    result.set("tokenizer.ggml.model", GgufValue::of(model));
    result.set("tokenizer.ggml.pre", GgufValue::of(pretokenizer));
    result.set("tokenizer.ggml.tokens", GgufValue::of(pieces));
    result.set("tokenizer.ggml.token_type", GgufValue::of(types));
    if (model == "llama") {
      result.set("tokenizer.ggml.scores", {GgufKind::array, GgufArray{GgufKind::f32, scores}});
    } else {
      result.set("tokenizer.ggml.merges", GgufValue::of(merges));
    }
    return result;
  }
};

}  // namespace checkbit
