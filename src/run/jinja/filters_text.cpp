// Filters that give text.
#include <algorithm>

#include "run/jinja/builtins.h"
#include "run/jinja/strings.h"
#include "run/jinja/unicode.h"

namespace checkbit::jinja {
namespace {

/// The input as text, and whether it is Markup, which most filters keep.
Text soft_text(Call& call) {
  if (call.self.is(Kind::string)) return call.self.text();
  return Text(to_text(call.runtime, call.self));
}

Value changed(Call& call, const Text& from, std::string text) {
  return call.runtime.string(std::move(text), from.markup);
}

bool starts_word(std::uint32_t c) {
  return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

}  // namespace

Value filter_string(Call& call) {
  const Text text = soft_text(call);
  return changed(call, text, text.bytes);
}
Value filter_upper(Call& call) {
  const Text text = soft_text(call);
  return changed(call, text, to_upper(text.bytes));
}
Value filter_lower(Call& call) {
  const Text text = soft_text(call);
  return changed(call, text, to_lower(text.bytes));
}
Value filter_capitalize(Call& call) {
  const Text text = soft_text(call);
  return changed(call, text, capitalize(text.bytes));
}

Value filter_title(Call& call) {
  const std::string text = soft_text(call).bytes;
  std::string out;
  bool in_separator = true;
  std::size_t begin = 0;
  const auto flush = [&](std::size_t end) {
    if (begin == end) return;
    const std::size_t first = decode(text, begin).bytes;
    out += to_upper(std::string_view(text).substr(begin, first));
    out += to_lower(std::string_view(text).substr(begin + first, end - begin - first));
    begin = end;
  };
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    if (starts_word(point.value) != in_separator) {
      flush(at);
      in_separator = !in_separator;
    }
    at += point.bytes;
  }
  flush(text.size());
  return call.runtime.string(std::move(out));
}

Value filter_trim(Call& call) {
  const Text text = soft_text(call);
  const std::string* chars = call.has(0) ? &call.text(0) : nullptr;
  return changed(call, text, std::string(strip(text.bytes, chars, true, true)));
}

Value filter_center(Call& call) {
  const Text text = soft_text(call);
  return changed(call, text, pad(call.runtime, text.bytes, call.integer(0, 80), " ", true, true));
}

Value filter_replace(Call& call) {
  const std::string text = to_text(call.runtime, call.self);
  const std::string from = to_text(call.runtime, call[0]);
  const std::string to = to_text(call.runtime, call[1]);
  const std::int64_t count = call.has(2) ? call.integer(2, -1) : -1;
  return call.runtime.string(replace(call.runtime, text, from, to, count));
}

Value filter_escape(Call& call) {
  const Text text = soft_text(call);
  return call.runtime.string(text.markup ? text.bytes : escape_html(text.bytes), true);
}
Value filter_forceescape(Call& call) {
  return call.runtime.string(escape_html(soft_text(call).bytes), true);
}
Value filter_safe(Call& call) { return call.runtime.string(soft_text(call).bytes, true); }

Value filter_indent(Call& call) {
  const Text& text = call.self_text();
  std::string indent(4, ' ');
  if (call.given[0] && call[0].is(Kind::string)) {
    indent = call[0].bytes();
  } else if (call.given[0]) {
    const std::int64_t width = std::max<std::int64_t>(0, call.integer(0, 4));
    call.runtime.charge_bytes(static_cast<std::size_t>(width));
    indent.assign(static_cast<std::size_t>(width), ' ');
  }
  const bool first = call.flag(1);
  const bool blank = call.flag(2);
  std::string out = first ? indent : "";
  const std::string with_end = text.bytes + "\n";
  bool is_first = true;
  for (const std::string_view line : split_lines(with_end, false)) {
    if (!is_first) {
      out += '\n';
      if (blank || !line.empty()) out += indent;
    }
    out += line;
    is_first = false;
    call.runtime.check_size(out.size());
  }
  return changed(call, text, std::move(out));
}

Value filter_truncate(Call& call) {
  const Text& text = call.self_text();
  const std::int64_t length = call.integer(0, 255);
  const std::string end = call.text_or(2, "...");
  const std::int64_t leeway = call.has(3) ? call.integer(3, 5) : 5;
  const auto end_length = static_cast<std::int64_t>(count_code_points(end));
  if (length < end_length) invalid("expected length >= {}, got {}", end_length, length);
  if (leeway < 0) invalid("expected leeway >= 0, got {}", leeway);
  const auto have = static_cast<std::int64_t>(count_code_points(text.bytes));
  if (have - leeway <= length) return call.self;
  const std::size_t bytes = byte_offset(text.bytes, static_cast<std::size_t>(length - end_length));
  std::string out = text.bytes.substr(0, bytes);
  if (!call.flag(1)) out = out.substr(0, out.rfind(' '));
  return changed(call, text, out + end);
}

Value filter_wordcount(Call& call) {
  const std::string text = soft_text(call).bytes;
  std::int64_t count = 0;
  bool in_word = false;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    const bool is_word = point.value == '_' || is_alpha(point.value) || is_numeric(point.value);
    if (is_word && !in_word) ++count;
    in_word = is_word;
    at += point.bytes;
  }
  return Value::integer(count);
}

Value filter_format(Call& call) {
  if (!call.rest.empty() && !call.named.empty()) {
    invalid("can't handle positional and keyword arguments at the same time");
  }
  Value arguments;
  if (!call.named.empty()) {
    DictObject* dict = nullptr;
    arguments = call.runtime.dict(&dict);
    for (const auto& [name, value] : call.named) {
      dict->set(call.runtime, Value::string(name), value);
    }
  } else {
    arguments = call.runtime.tuple(call.rest);
  }
  return call.runtime.string(format_percent(call.runtime, soft_text(call).bytes, arguments));
}

Value filter_tojson(Call& call) {
  JsonStyle style;
  style.ensure_ascii = call.flag(0);
  style.sort_keys = call.flag(3);
  if (call.has(1)) {
    style.multiline = true;
    style.item_separator = ",";
    if (call[1].is(Kind::string)) {
      style.indent = call[1].bytes();
    } else {
      const std::int64_t width = std::max<std::int64_t>(0, call.integer(1, 0));
      call.runtime.charge_bytes(static_cast<std::size_t>(width));
      style.indent.assign(static_cast<std::size_t>(width), ' ');
    }
  }
  if (call.has(2)) {
    const Values separators = collect(call.runtime, call[2]);
    if (separators.size() != 2 || !separators[0].is(Kind::string) ||
        !separators[1].is(Kind::string)) {
      invalid("tojson: separators must be two strings");
    }
    style.item_separator = separators[0].bytes();
    style.key_separator = separators[1].bytes();
  }
  return call.runtime.string(to_json(call.runtime, call.self, style));
}

}  // namespace checkbit::jinja
