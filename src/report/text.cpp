#include "report/text.h"

#include <array>
#include <cstdint>
#include <span>

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

struct Range {
  char32_t first;
  char32_t last;
};

constexpr bool in_any(char32_t c, std::span<const Range> ranges) {
  for (const Range& range : ranges) {
    if (c >= range.first && c <= range.last) return true;
  }
  return false;
}

/// Combining marks, joiners and variation selectors.
constexpr std::array<Range, 8> kNoCell = {{{0x0300, 0x036F},
                                           {0x0483, 0x0489},
                                           {0x0591, 0x05BD},
                                           {0x064B, 0x065F},
                                           {0x200B, 0x200F},
                                           {0x20D0, 0x20F0},
                                           {0xFE00, 0xFE0F},
                                           {0xFE20, 0xFE2F}}};
/// East Asian wide and full-width characters, and emoji.
constexpr std::array<Range, 13> kTwoCells = {{{0x1100, 0x115F},
                                              {0x231A, 0x231B},
                                              {0x2E80, 0x303E},
                                              {0x3041, 0xA4CF},
                                              {0xA960, 0xA97F},
                                              {0xAC00, 0xD7A3},
                                              {0xF900, 0xFAFF},
                                              {0xFE30, 0xFE6F},
                                              {0xFF00, 0xFF60},
                                              {0xFFE0, 0xFFE6},
                                              {0x1F300, 0x1F64F},
                                              {0x1F680, 0x1FAFF},
                                              {0x20000, 0x3FFFD}}};

std::size_t cells_of(char32_t c) {
  if (c < 0x300) return 1;
  if (in_any(c, kNoCell)) return 0;
  return in_any(c, kTwoCells) ? 2 : 1;
}

}  // namespace

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Piece piece = first_piece(text.substr(at));
    if (!piece.valid) return at;
    at += piece.bytes.size();
  }
  return std::nullopt;
}

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
  while (!utf8.empty()) {
    const Piece piece = first_piece(utf8);
    width += piece.valid ? cells_of(piece.code_point) : 1;
    utf8.remove_prefix(piece.bytes.size());
  }
  return width;
}

std::string_view prefix_of_width(std::string_view utf8, std::size_t width) {
  std::string_view rest = utf8;
  while (!rest.empty()) {
    const Piece piece = first_piece(rest);
    const std::size_t cells = piece.valid ? cells_of(piece.code_point) : 1;
    if (cells > width) break;
    width -= cells;
    rest.remove_prefix(piece.bytes.size());
  }
  return utf8.substr(0, utf8.size() - rest.size());
}

}  // namespace checkbit
