// UTF-8 as the tokenizers read it.
//
// What: a lenient decoder for any bytes, and the two views of a text that byte-level models need.
// Lenient rule (the rule that published token ids assume): a lead byte with the continuation bytes
//   it promises is one code point, overlong forms and surrogates included; every other byte is
//   U+FFFD on its own, and so is each byte of a sequence above U+10FFFF.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace checkbit {

struct DecodedChar {
  std::uint32_t code_point = 0xFFFD;
  std::uint32_t length_bytes = 1;  ///< consumed from the text
  bool well_formed = false;        ///< the bytes read are the code point's own UTF-8 form
};

/// The code point at `position`. Precondition: position < text.size().
DecodedChar decode_lenient(std::string_view text, std::size_t position);

/// Appends UTF-8; surrogates get their three-byte form. Precondition: code_point <= 0x10FFFF.
void append_utf8(std::string& out, std::uint32_t code_point);

/// Bytes that a lead byte promises by its upper half alone: 1, 2, 3 or 4; 1 for continuation bytes.
inline std::uint32_t promised_length(char lead) {
  constexpr std::uint8_t kLengths[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
  return kLengths[static_cast<std::uint8_t>(lead) >> 4];
}

/// Two views of the same length: `bytes` is what gets tokens (the text with invalid bytes replaced
/// by U+FFFD and overlong forms shortened); `subject` is valid UTF-8 for pattern matching, where
/// code points that the pattern library may classify differently (surrogates, characters newer than
/// its tables, U+180E) are replaced by others of the right class and the same length in bytes.
/// Lifetime: the views point into the given text or into this object; do not copy or move it.
class NormalizedText {
 public:
  explicit NormalizedText(std::string_view text);
  NormalizedText(const NormalizedText&) = delete;
  NormalizedText& operator=(const NormalizedText&) = delete;
  std::string_view bytes() const { return bytes_; }
  std::string_view subject() const { return subject_; }

 private:
  std::string owned_bytes_;
  std::string owned_subject_;
  std::string_view bytes_;
  std::string_view subject_;
};

}  // namespace checkbit
