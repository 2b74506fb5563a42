// str methods. Line numbers of failures come from the caller.
#include <algorithm>
#include <limits>

#include "run/jinja/builtins.h"
#include "run/jinja/strings.h"
#include "run/jinja/unicode.h"

namespace checkbit::jinja {
namespace {

/// Results keep the Markup of the string they were made from.
Value like_self(const Call& call, std::string text) {
  return call.runtime.string(std::move(text), call.self.text().markup);
}

/// An argument put into a Markup string is escaped first.
std::string argument(const Call& call, std::size_t index) {
  const std::string& text = call.text(index);
  const bool escapes = call.self.text().markup && !call[index].text().markup;
  return escapes ? escape_html(text) : text;
}

Value strip_method(const Call& call, bool left, bool right) {
  const std::string* chars = call.has(0) ? &call.text(0) : nullptr;
  return like_self(call, std::string(strip(call.self.bytes(), chars, left, right)));
}

/// The part of self between the optional arguments `start` and `end`, and where it begins.
struct Window {
  std::string_view text;
  std::size_t begin = 0;
  bool valid = true;
};
Window window(const Call& call, std::size_t first) {
  const std::string_view text = call.self.bytes();
  if (!call.has(first) && !call.has(first + 1)) return {text, 0, true};
  call.runtime.charge_bytes(text.size());
  const auto length = static_cast<std::int64_t>(count_code_points(text));
  const auto bound = [&](std::size_t index, std::int64_t otherwise) {
    std::int64_t at = call.has(index) ? call.integer(index, 0) : otherwise;
    if (at < 0) at = std::max<std::int64_t>(0, at + length);
    return at;
  };
  const std::int64_t start = bound(first, 0);
  const std::int64_t end = std::min(bound(first + 1, length), length);
  if (start > end) return {{}, 0, false};
  const std::size_t begin = byte_offset(text, static_cast<std::size_t>(start));
  const std::size_t stop = byte_offset(text, static_cast<std::size_t>(end));
  return {text.substr(begin, stop - begin), begin, true};
}

Value find_method_result(const Call& call, bool from_right, bool must_exist) {
  const Window part = window(call, 1);
  const std::string& wanted = call.text(0);
  call.runtime.charge_bytes(part.text.size());
  std::size_t found = std::string_view::npos;
  if (part.valid) found = from_right ? part.text.rfind(wanted) : part.text.find(wanted);
  if (found == std::string_view::npos) {
    if (must_exist) invalid("substring not found");
    return Value::integer(-1);
  }
  const std::string_view before = std::string_view(call.self.bytes()).substr(0, part.begin + found);
  return Value::integer(static_cast<std::int64_t>(count_code_points(before)));
}

Value affix_method(const Call& call, bool at_start) {
  const Window part = window(call, 1);
  const auto matches = [&](const Value& affix) {
    require_defined(affix);
    if (!affix.is(Kind::string)) {
      invalid("{} first arg must be str or a tuple of str, not {}", call.name, type_name(affix));
    }
    return part.valid &&
           (at_start ? part.text.starts_with(affix.bytes()) : part.text.ends_with(affix.bytes()));
  };
  if (!call[0].is(Kind::tuple)) return Value::boolean(matches(call[0]));
  const Values& affixes = call[0].list().items;
  return Value::boolean(std::any_of(affixes.begin(), affixes.end(), matches));
}

Value pieces(const Call& call, const std::vector<std::string_view>& parts) {
  Values items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.push_back(like_self(call, std::string(part)));
  return call.runtime.list(std::move(items));
}

std::vector<std::string_view> split_at_space(std::string_view text, std::int64_t max) {
  std::vector<std::string_view> parts;
  text.remove_prefix(leading_space(text));
  for (; !text.empty() && max != 0; --max) {
    std::size_t end = 0;
    while (end < text.size() && !is_space(decode(text, end).value)) end += decode(text, end).bytes;
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end);
    text.remove_prefix(leading_space(text));
  }
  if (!text.empty()) parts.push_back(text);
  return parts;
}

std::vector<std::string_view> split_at_space_right(std::string_view text, std::int64_t max) {
  std::vector<std::string_view> parts;
  text.remove_suffix(trailing_space(text));
  for (; !text.empty() && max != 0; --max) {
    std::size_t begin = text.size();
    while (begin > 0 && trailing_space(text.substr(0, begin)) == 0) {
      do {
        --begin;
      } while (begin > 0 && (text[begin] & 0xC0) == 0x80);
    }
    parts.push_back(text.substr(begin));
    text = text.substr(0, begin);
    text.remove_suffix(trailing_space(text));
  }
  if (!text.empty()) parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

Value split_method(const Call& call, bool from_right) {
  std::string_view text = call.self.bytes();
  std::int64_t max = call.integer(1, -1);
  call.runtime.charge_bytes(text.size());
  if (!call.has(0)) {
    return pieces(call, from_right ? split_at_space_right(text, max) : split_at_space(text, max));
  }
  const std::string& separator = call.text(0);
  if (separator.empty()) invalid("empty separator");
  std::vector<std::string_view> parts;
  for (; max != 0; --max) {
    const std::size_t found = from_right ? text.rfind(separator) : text.find(separator);
    if (found == std::string_view::npos) break;
    const std::string_view after = text.substr(found + separator.size());
    parts.push_back(from_right ? after : text.substr(0, found));
    text = from_right ? text.substr(0, found) : after;
  }
  parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return pieces(call, parts);
}

Value partition_method(const Call& call, bool from_right) {
  const std::string_view text = call.self.bytes();
  const std::string& separator = call.text(0);
  if (separator.empty()) invalid("empty separator");
  const std::size_t found = from_right ? text.rfind(separator) : text.find(separator);
  std::string parts[3];
  if (found == std::string_view::npos) {
    parts[from_right ? 2 : 0] = text;
  } else {
    parts[0] = text.substr(0, found);
    parts[1] = separator;
    parts[2] = text.substr(found + separator.size());
  }
  Values items;
  for (std::string& part : parts) items.push_back(like_self(call, std::move(part)));
  return call.runtime.tuple(std::move(items));
}

Value pad_method(const Call& call, bool left, bool right) {
  const std::string fill = call.text_or(1, " ");
  if (count_code_points(fill) != 1) {
    invalid("the fill character must be exactly one character long");
  }
  return like_self(call,
                   pad(call.runtime, call.self.bytes(), call.integer(0, 0), fill, left, right));
}

/// Whether the text is not empty and every character passes.
template <class Test>
Value every(const Call& call, Test test) {
  const std::string& text = call.self.bytes();
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    if (!test(point.value)) return Value::boolean(false);
    at += point.bytes;
  }
  return Value::boolean(!text.empty());
}

Value has_case(const Call& call, bool (*wanted)(std::uint32_t), bool (*other)(std::uint32_t)) {
  bool found = false;
  const std::string& text = call.self.bytes();
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    if (other(point.value) || is_title(point.value)) return Value::boolean(false);
    found = found || wanted(point.value);
    at += point.bytes;
  }
  return Value::boolean(found);
}

}  // namespace

Value method_unsupported(Call& call) {
  raise(ErrorKind::unsupported, "method '{}' of {}", call.name, type_name(call.self));
}

Value string_capitalize(Call& call) { return like_self(call, capitalize(call.self.bytes())); }
Value string_lower(Call& call) { return like_self(call, to_lower(call.self.bytes())); }
Value string_upper(Call& call) { return like_self(call, to_upper(call.self.bytes())); }
Value string_title(Call& call) { return like_self(call, to_title(call.self.bytes())); }

Value string_strip(Call& call) { return strip_method(call, true, true); }
Value string_lstrip(Call& call) { return strip_method(call, true, false); }
Value string_rstrip(Call& call) { return strip_method(call, false, true); }

Value string_find(Call& call) { return find_method_result(call, false, false); }
Value string_rfind(Call& call) { return find_method_result(call, true, false); }
Value string_index(Call& call) { return find_method_result(call, false, true); }
Value string_rindex(Call& call) { return find_method_result(call, true, true); }

Value string_count(Call& call) {
  const Window part = window(call, 1);
  const std::string& wanted = call.text(0);
  call.runtime.charge_bytes(part.text.size());
  std::int64_t count = 0;
  if (part.valid && wanted.empty()) {
    return Value::integer(static_cast<std::int64_t>(count_code_points(part.text)) + 1);
  }
  for (std::size_t at = 0; part.valid; ++count) {
    at = part.text.find(wanted, at);
    if (at == std::string_view::npos) break;
    at += wanted.size();
  }
  return Value::integer(count);
}

Value string_startswith(Call& call) { return affix_method(call, true); }
Value string_endswith(Call& call) { return affix_method(call, false); }

Value string_removeprefix(Call& call) {
  std::string_view text = call.self.bytes();
  if (text.starts_with(call.text(0))) text.remove_prefix(call.text(0).size());
  return like_self(call, std::string(text));
}
Value string_removesuffix(Call& call) {
  std::string_view text = call.self.bytes();
  if (text.ends_with(call.text(0))) text.remove_suffix(call.text(0).size());
  return like_self(call, std::string(text));
}

Value string_split(Call& call) { return split_method(call, false); }
Value string_rsplit(Call& call) { return split_method(call, true); }
Value string_partition(Call& call) { return partition_method(call, false); }
Value string_rpartition(Call& call) { return partition_method(call, true); }
Value string_splitlines(Call& call) {
  return pieces(call, split_lines(call.self.bytes(), call.flag(0)));
}

Value string_center(Call& call) { return pad_method(call, true, true); }
Value string_ljust(Call& call) { return pad_method(call, false, true); }
Value string_rjust(Call& call) { return pad_method(call, true, false); }
Value string_zfill(Call& call) {
  std::string_view text = call.self.bytes();
  const bool has_sign = text.starts_with('-') || text.starts_with('+');
  const std::string sign(text.substr(0, has_sign ? 1 : 0));
  text.remove_prefix(sign.size());
  const auto taken = static_cast<std::int64_t>(sign.size());
  const std::int64_t width = std::max(call.integer(0, 0), taken) - taken;
  return like_self(call, sign + pad(call.runtime, text, width, "0", true, false));
}

Value string_replace(Call& call) {
  return like_self(call, replace(call.runtime, call.self.bytes(), argument(call, 0),
                                 argument(call, 1), call.integer(2, -1)));
}

Value string_join(Call& call) {
  std::string out;
  bool is_first = true;
  Iterator iterator(call.runtime, call[0]);
  const bool markup = call.self.text().markup;
  for (Value item; iterator.next(item); is_first = false) {
    if (!item.is(Kind::string) && !markup) {
      invalid("sequence item: expected str instance, {} found", type_name(item));
    }
    if (!is_first) out += call.self.bytes();
    const std::string text = to_text(call.runtime, item);
    out += markup && !(item.is(Kind::string) && item.text().markup) ? escape_html(text) : text;
    call.runtime.check_size(out.size());
  }
  return like_self(call, std::move(out));
}

Value string_format(Call& call) {
  if (call.self.text().markup) raise(ErrorKind::unsupported, "method 'format' of Markup");
  return call.runtime.string(format_braces(call.runtime, call.self.bytes(), call));
}

Value string_isalpha(Call& call) { return every(call, is_alpha); }
Value string_isdecimal(Call& call) { return every(call, is_decimal); }
Value string_isdigit(Call& call) { return every(call, is_digit); }
Value string_isnumeric(Call& call) { return every(call, is_numeric); }
Value string_isspace(Call& call) { return every(call, is_space); }
Value string_isalnum(Call& call) {
  return every(call, [](std::uint32_t c) { return is_alpha(c) || is_numeric(c); });
}
Value string_isascii(Call& call) { return Value::boolean(call.self.text().ascii); }
Value string_isprintable(Call& call) {
  if (call.self.bytes().empty()) return Value::boolean(true);
  return every(call, is_printable);
}
Value string_islower(Call& call) { return has_case(call, is_lower, is_upper); }
Value string_isupper(Call& call) { return has_case(call, is_upper, is_lower); }

}  // namespace checkbit::jinja
