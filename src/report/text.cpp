#include "report/text.h"

#include <cstdint>

namespace checkbit {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Piece {
  std::string_view bytes;
  char32_t code_point = 0;
  bool valid = false;
};

/// The first character of a text, or one byte that starts none. Precondition: text is not empty.
Piece first_piece(std::string_view text) {
  const auto lead = static_cast<std::uint8_t>(text[0]);
  if (lead < 0x80) return {text.substr(0, 1), lead, true};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  const Piece broken{text.substr(0, 1), 0, false};
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return broken;
  char32_t code_point = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<std::uint8_t>(text[i]);
    if ((byte & 0xC0U) != 0x80) return broken;
    code_point = code_point << 6 | (byte & 0x3FU);
  }
  const bool overlong =
      (length == 3 && code_point < 0x800) || (length == 4 && code_point < 0x10000);
  const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  if (overlong || surrogate || code_point > 0x10FFFF) return broken;
  return {text.substr(0, length), code_point, true};
}

/// Copies the text through `append(output, piece)` for each valid character.
template <class Append>
std::string transform(std::string_view text, Append append) {
  std::string output;
  output.reserve(text.size());
  while (!text.empty()) {
    const Piece piece = first_piece(text);
    if (piece.valid) {
      append(output, piece);
    } else {
      output += kReplacement;
    }
    text.remove_prefix(piece.bytes.size());
  }
  return output;
}

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

bool is_bidi_control(char32_t c) {
  return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0x200E ||
         c == 0x200F || c == 0x061C;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  return transform(text, [](std::string& output, const Piece& piece) { output += piece.bytes; });
}

std::string escape_html(std::string_view text) {
  return transform(text, [](std::string& output, const Piece& piece) {
    switch (piece.code_point) {
      case '&':
        output += "&amp;";
        return;
      case '<':
        output += "&lt;";
        return;
      case '>':
        output += "&gt;";
        return;
      case '"':
        output += "&quot;";
        return;
      case '\'':
        output += "&#39;";
        return;
      default:
        break;
    }
    const bool layout = piece.code_point == '\n' || piece.code_point == '\t';
    output += is_control(piece.code_point) && !layout ? kReplacement : piece.bytes;
  });
}

std::string clean_line(std::string_view text) {
  return transform(text, [](std::string& output, const Piece& piece) {
    const bool unsafe = is_control(piece.code_point) || is_bidi_control(piece.code_point) ||
                        piece.code_point == 0x2028 || piece.code_point == 0x2029;
    output += unsafe ? std::string_view("?") : piece.bytes;
  });
}

std::string glue(std::string_view text) {
  std::string output;
  for (const char c : text) output += c == ' ' ? std::string("\xC2\xA0") : std::string(1, c);
  return output;
}

std::size_t display_width(std::string_view utf8) {
  std::size_t width = 0;
  for (const char c : utf8) width += (static_cast<std::uint8_t>(c) & 0xC0U) != 0x80 ? 1 : 0;
  return width;
}

}  // namespace checkbit
