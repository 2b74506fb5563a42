#include "run/jinja/strings.h"

#include <algorithm>

#include "run/jinja/unicode.h"

namespace checkbit::jinja {
namespace {

bool has_character(std::string_view chars, std::uint32_t wanted) {
  for (std::size_t at = 0; at < chars.size();) {
    const CodePoint point = decode(chars, at);
    if (point.value == wanted) return true;
    at += point.bytes;
  }
  return false;
}

std::size_t last_start(std::string_view text) {
  std::size_t start = text.size() - 1;
  while (start > 0 && text.size() - start < 4 && (text[start] & 0xC0) == 0x80) --start;
  return start + decode(text, start).bytes == text.size() ? start : text.size() - 1;
}

bool is_line_end(std::uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

}  // namespace

std::string_view strip(std::string_view text, const std::string* chars, bool left, bool right) {
  if (chars == nullptr) {
    if (left) text.remove_prefix(leading_space(text));
    if (right) text.remove_suffix(trailing_space(text));
    return text;
  }
  while (left && !text.empty() && has_character(*chars, decode(text, 0).value)) {
    text.remove_prefix(decode(text, 0).bytes);
  }
  while (right && !text.empty() && has_character(*chars, decode(text, last_start(text)).value)) {
    text = text.substr(0, last_start(text));
  }
  return text;
}

std::string replace(Runtime& runtime, std::string_view text, std::string_view from,
                    std::string_view to, std::int64_t count) {
  std::string out;
  const auto append = [&](std::string_view part) {
    runtime.check_size(out.size() + part.size());
    out += part;
  };
  std::size_t at = 0;
  for (; count != 0; --count) {
    const std::size_t found = from.empty() ? at : text.find(from, at);
    if (found == std::string_view::npos) break;
    append(text.substr(at, found - at));
    append(to);
    at = found + from.size();
    if (from.empty()) {  // between all characters
      if (at >= text.size()) return out;
      const std::size_t bytes = decode(text, at).bytes;
      append(text.substr(at, bytes));
      at += bytes;
    }
  }
  append(text.substr(at));
  return out;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    if (!is_line_end(point.value)) {
      at += point.bytes;
      continue;
    }
    std::size_t next = at + point.bytes;
    if (text[at] == '\r' && next < text.size() && text[next] == '\n') ++next;
    lines.push_back(text.substr(begin, (keep_ends ? next : at) - begin));
    begin = at = next;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string pad(Runtime& runtime, std::string_view text, std::int64_t width, std::string_view fill,
                bool left, bool right) {
  const auto length = static_cast<std::int64_t>(count_code_points(text));
  if (width <= length) return std::string(text);
  const std::int64_t room = width - length;
  // Python's center gives the odd space to the left only when the width is odd.
  const std::int64_t before = left && right ? room / 2 + (room & width & 1) : left ? room : 0;
  runtime.check_size(static_cast<std::size_t>(width));
  const auto repeated = [&](std::int64_t count) {
    std::string out;
    for (std::int64_t i = 0; i < count; ++i) out += fill;
    return out;
  };
  return repeated(before) + std::string(text) + repeated(room - before);
}

}  // namespace checkbit::jinja
