#include "run/tokenizer/utf8.h"

#include <algorithm>
#include <iterator>

#include "run/tokenizer.h"

namespace checkbit {
namespace {

enum class Category : std::uint8_t { letter, mark, number, punctuation, symbol, other };

struct RecentRange {
  std::uint32_t first;
  std::uint32_t last;
  Category category;
};

constexpr RecentRange kRecent[] = {
#define UNICODE_RECENT(first, last, category) {first, last, Category::category},
#include "run/tokenizer/unicode_recent.def"
#undef UNICODE_RECENT
};

/// Long-established members of each category, with three and with four bytes in UTF-8.
constexpr std::uint32_t kStandIns[][2] = {
    {0x4E00, 0x20000},  // letter
    {0x0CBC, 0x11234},  // mark
    {0x0CE6, 0x1D7CE},  // number
    {0x2010, 0x11047},  // punctuation
    {0x2600, 0x1F600},  // symbol
    {0x200B, 0xF0000},  // other
};

bool is_surrogate(std::uint32_t code_point) { return code_point >= 0xD800 && code_point <= 0xDFFF; }

/// The code point that stands in for `code_point` while matching; itself almost always.
std::uint32_t stand_in(std::uint32_t code_point) {
  if (code_point < kRecent[0].first) return code_point;
  const bool four_bytes = code_point >= 0x10000;
  if (is_surrogate(code_point)) return 0xE000;  // private use: also the class "other"
  const auto* range =
      std::upper_bound(std::begin(kRecent), std::end(kRecent), code_point,
                       [](std::uint32_t value, const RecentRange& r) { return value < r.first; });
  --range;  // exists: code_point >= the first range's first
  if (code_point > range->last) return code_point;
  return kStandIns[static_cast<int>(range->category)][four_bytes ? 1 : 0];
}

bool is_continuation(std::string_view text, std::size_t position) {
  return position < text.size() && (static_cast<std::uint8_t>(text[position]) & 0xC0) == 0x80;
}

std::uint32_t utf8_length(std::uint32_t code_point) {
  if (code_point < 0x80) return 1;
  if (code_point < 0x800) return 2;
  return code_point < 0x10000 ? 3 : 4;
}

}  // namespace

DecodedChar decode_lenient(std::string_view text, std::size_t position) {
  const auto lead = static_cast<std::uint8_t>(text[position]);
  if (lead < 0x80) return {lead, 1, true};
  if (lead < 0xC0 || lead >= 0xF8) return {};
  const std::uint32_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  std::uint32_t code_point = lead & (0x7Fu >> length);
  for (std::uint32_t i = 1; i < length; ++i) {
    if (!is_continuation(text, position + i)) return {};
    code_point = (code_point << 6) | (static_cast<std::uint8_t>(text[position + i]) & 0x3Fu);
  }
  if (code_point > 0x10FFFF) return {};
  return {code_point, length, utf8_length(code_point) == length};
}

void append_utf8(std::string& out, std::uint32_t code_point) {
  const std::uint32_t length = utf8_length(code_point);
  if (length == 1) {
    out += static_cast<char>(code_point);
    return;
  }
  constexpr std::uint8_t kLeads[] = {0, 0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(kLeads[length] | (code_point >> (6 * (length - 1))));
  for (std::uint32_t i = length - 1; i-- > 0;) {
    out += static_cast<char>(0x80 | ((code_point >> (6 * i)) & 0x3F));
  }
}

NormalizedText::NormalizedText(std::string_view text) : bytes_(text), subject_(text) {
  std::size_t position = 0;
  while (position < text.size()) {
    if (static_cast<std::uint8_t>(text[position]) < 0x80) {
      ++position;
      continue;
    }
    const DecodedChar decoded = decode_lenient(text, position);
    if (!decoded.well_formed || stand_in(decoded.code_point) != decoded.code_point) break;
    position += decoded.length_bytes;
  }
  if (position == text.size()) return;

  const auto start_copy = [&](std::string& copy) {
    copy.reserve(text.size() + 16);
    copy.assign(text.substr(0, position));
  };
  start_copy(owned_subject_);
  bool well_formed = true;
  while (position < text.size()) {
    const DecodedChar decoded = decode_lenient(text, position);
    if (well_formed && !decoded.well_formed) start_copy(owned_bytes_);
    well_formed = well_formed && decoded.well_formed;
    if (!well_formed) append_utf8(owned_bytes_, decoded.code_point);
    append_utf8(owned_subject_, stand_in(decoded.code_point));
    position += decoded.length_bytes;
  }
  if (!well_formed) bytes_ = owned_bytes_;
  subject_ = owned_subject_;
}

namespace {

/// True when the bytes from `position` to the end may still become one strict UTF-8 character.
bool may_become_character(std::string_view text, std::size_t position) {
  const auto lead = static_cast<std::uint8_t>(text[position]);
  if (lead < 0xC2 || lead > 0xF4) return false;
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  const std::size_t available = text.size() - position;
  if (available >= length) return false;
  for (std::size_t i = 1; i < available; ++i) {
    if (!is_continuation(text, position + i)) return false;
  }
  if (available == 1) return true;
  const auto second = static_cast<std::uint8_t>(text[position + 1]);
  if (lead == 0xE0) return second >= 0xA0;
  if (lead == 0xED) return second < 0xA0;  // beyond are surrogates
  if (lead == 0xF0) return second >= 0x90;
  if (lead == 0xF4) return second < 0x90;
  return true;
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  held_ += bytes;
  const std::size_t longest_tail = std::min<std::size_t>(held_.size(), 3);
  std::size_t whole = held_.size();
  for (std::size_t tail = 1; tail <= longest_tail; ++tail) {
    if (may_become_character(held_, held_.size() - tail)) {
      whole = held_.size() - tail;
      break;
    }
  }
  std::string ready = held_.substr(0, whole);
  held_.erase(0, whole);
  return ready;
}

std::string Utf8Stream::flush() { return std::exchange(held_, {}); }

}  // namespace checkbit
