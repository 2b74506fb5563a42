#include "run/jinja/unicode.h"

#include <algorithm>
#include <iterator>

namespace checkbit::jinja {
namespace {

struct Range {
  std::uint32_t first, last, stride;
};
struct Mapping {
  std::uint32_t first, last, stride;
  std::int32_t delta;
};
struct Special {
  std::uint32_t from;
  std::uint32_t to[3];
};

#include "run/jinja/unicode_tables.inc"

/// Runs are ascending, but runs of stride 2 may interleave with the next one: look back two.
template <class Row>
const Row* find(const Row* rows, std::size_t count, std::uint32_t code_point) {
  const Row* after =
      std::upper_bound(rows, rows + count, code_point,
                       [](std::uint32_t c, const Row& row) { return c < row.first; });
  for (int back = 0; back < 4 && after != rows; ++back) {
    --after;
    if (code_point <= after->last && (code_point - after->first) % after->stride == 0) return after;
  }
  return nullptr;
}

template <class Row, std::size_t N>
bool contains(const Row (&rows)[N], std::uint32_t code_point) {
  return find(rows, N, code_point) != nullptr;
}

template <std::size_t M, std::size_t S>
void append_mapped(std::string& out, std::uint32_t c, const Mapping (&simple)[M],
                   const Special (&special)[S]) {
  const Special* row = std::lower_bound(
      special, special + S, c, [](const Special& s, std::uint32_t x) { return s.from < x; });
  if (row != special + S && row->from == c) {
    for (const std::uint32_t to : row->to) {
      if (to != 0) append_utf8(out, to);
    }
    return;
  }
  const Mapping* mapping = find(simple, M, c);
  append_utf8(out, mapping == nullptr
                       ? c
                       : static_cast<std::uint32_t>(static_cast<std::int64_t>(c) + mapping->delta));
}

bool is_cased(std::uint32_t c) { return is_lower(c) || is_upper(c) || is_title(c); }

constexpr std::uint32_t kCapitalSigma = 0x3A3;
constexpr std::uint32_t kFinalSigma = 0x3C2;
/// Bytes that are not UTF-8 decode to these, as Python's surrogateescape does.
constexpr std::uint32_t kEscapedByte = 0xDC00;

bool is_escaped_byte(std::uint32_t c) {
  return c >= kEscapedByte + 0x80 && c <= kEscapedByte + 0xFF;
}

void append_lower(std::string& out, std::string_view text, std::size_t at, CodePoint point,
                  bool after_cased) {
  const std::size_t next = at + point.bytes;
  const bool before_cased = next < text.size() && is_cased(decode(text, next).value);
  if (point.value == kCapitalSigma && after_cased && !before_cased) {
    append_utf8(out, kFinalSigma);
  } else {
    append_mapped(out, point.value, kToLower, kLowerSpecial);
  }
}

/// Applies title case where `starts(previous character is cased, index)` says so, else lower case.
template <class Starts>
std::string change_case(std::string_view text, Starts starts) {
  std::string out;
  out.reserve(text.size());
  bool after_cased = false;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    if (starts(after_cased, at)) {
      append_mapped(out, point.value, kToTitle, kTitleSpecial);
    } else {
      append_lower(out, text, at, point, after_cased);
    }
    after_cased = is_cased(point.value);
    at += point.bytes;
  }
  return out;
}

}  // namespace

CodePoint decode(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const std::uint32_t lead = byte(at);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  static constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  std::uint32_t value = lead & (0x7Fu >> bytes);
  bool valid = lead >= 0xC2 && lead <= 0xF4;
  for (std::size_t i = 1; i < bytes && valid; ++i) {
    valid = (byte(at + i) & 0xC0) == 0x80;
    value = value << 6 | (byte(at + i) & 0x3F);
  }
  valid = valid && value >= kSmallest[bytes] && value <= 0x10FFFF && (value >> 11) != 0x1B;
  return valid ? CodePoint{value, bytes} : CodePoint{kEscapedByte + lead, 1};
}

void append_utf8(std::string& out, std::uint32_t c) {
  if (is_escaped_byte(c)) {
    out += static_cast<char>(c - kEscapedByte);
  } else if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; });
}

std::size_t count_code_points(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); at += decode(text, at).bytes) ++count;
  return count;
}

std::size_t byte_offset(std::string_view text, std::size_t index) {
  std::size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at += decode(text, at).bytes;
  return at;
}

bool is_space(std::uint32_t c) { return contains(kSpace, c); }
bool is_alpha(std::uint32_t c) { return contains(kAlpha, c); }
bool is_decimal(std::uint32_t c) { return contains(kDecimal, c); }
bool is_digit(std::uint32_t c) { return contains(kDigit, c); }
bool is_numeric(std::uint32_t c) { return contains(kNumeric, c); }
bool is_lower(std::uint32_t c) { return contains(kLower, c); }
bool is_upper(std::uint32_t c) { return contains(kUpper, c); }
bool is_title(std::uint32_t c) { return contains(kTitle, c); }
bool is_printable(std::uint32_t c) { return !contains(kUnprintable, c) && (c >> 11) != 0x1B; }

std::string to_upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    append_mapped(out, point.value, kToUpper, kUpperSpecial);
    at += point.bytes;
  }
  return out;
}

std::string to_lower(std::string_view text) {
  return change_case(text, [](bool, std::size_t) { return false; });
}

std::string to_title(std::string_view text) {
  return change_case(text, [](bool after_cased, std::size_t) { return !after_cased; });
}

std::string capitalize(std::string_view text) {
  return change_case(text, [](bool, std::size_t at) { return at == 0; });
}

std::size_t leading_space(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const CodePoint point = decode(text, at);
    if (!is_space(point.value)) break;
    at += point.bytes;
  }
  return at;
}

std::size_t trailing_space(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t start = end - 1;
    while (start > 0 && end - start < 4 && (text[start] & 0xC0) == 0x80) --start;
    const CodePoint point = decode(text, start);
    if (start + point.bytes != end || !is_space(point.value)) break;
    end = start;
  }
  return text.size() - end;
}

}  // namespace checkbit::jinja
