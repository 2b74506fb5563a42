// str() and repr() of values, and their JSON.
#include <algorithm>
#include <cmath>

#include "run/jinja/ast.h"
#include "run/jinja/builtins.h"
#include "run/jinja/unicode.h"

namespace checkbit::jinja {
namespace {

void append_code_point_escape(std::string& out, std::uint32_t c) {
  if (c < 0x100) {
    out += fmt::format("\\x{:02x}", c);
  } else if (c < 0x10000) {
    out += fmt::format("\\u{:04x}", c);
  } else {
    out += fmt::format("\\U{:08x}", c);
  }
}

void append_text_repr(std::string& out, std::string_view text) {
  const bool double_quotes =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  out += quote;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = decode(text, at);
    const std::uint32_t c = point.value;
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (!is_printable(c)) {
      append_code_point_escape(out, c);
    } else {
      out.append(text, at, point.bytes);
    }
    at += point.bytes;
  }
  out += quote;
}

void append_items_repr(Runtime& runtime, std::string& out, const Values& items, char open,
                       char close) {
  out += open;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(runtime, out, items[i]);
  }
  if (open == '(' && items.size() == 1) out += ',';
  out += close;
}

void append_dict_repr(Runtime& runtime, std::string& out, const DictObject& dict) {
  out += '{';
  for (std::size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(runtime, out, dict.entries[i].first);
    out += ": ";
    append_repr(runtime, out, dict.entries[i].second);
  }
  out += '}';
}

std::string callable_repr(const Value& value) {
  const CallableObject& callable = value.callable();
  if (callable.macro == nullptr) return fmt::format("<function {}>", callable.builtin->name);
  return callable.macro->text.empty() ? "<Macro anonymous>"
                                      : fmt::format("<Macro '{}'>", callable.macro->text);
}

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  std::string take() { return std::move(out_); }

  void write(const Value& value) {
    const Runtime::Level level(runtime_);
    runtime_.charge();
    switch (value.kind()) {
      case Kind::string:
        write_text(value.bytes());
        return;
      case Kind::list:
      case Kind::tuple: {
        const Values& items = value.list().items;
        write_members('[', ']', items.size(), [&](std::size_t i) { write(items[i]); });
        return;
      }
      case Kind::dict:
        write_dict(value.dict());
        return;
      default:
        out_ += scalar(value);
    }
  }

 private:
  std::string scalar(const Value& value) const {
    if (value.is(Kind::none)) return "null";
    if (value.is(Kind::boolean)) return value.as_bool() ? "true" : "false";
    if (value.is(Kind::integer)) return fmt::format("{}", value.as_integer());
    if (value.is(Kind::real)) {
      const double real = value.as_real();
      if (std::isnan(real)) return "NaN";
      if (std::isinf(real)) return real > 0 ? "Infinity" : "-Infinity";
      return real_repr(real);
    }
    invalid("Object of type {} is not JSON serializable", type_name(value));
  }

  void new_line() {
    if (!style_.multiline) return;
    out_ += '\n';
    for (int i = 0; i < depth_; ++i) out_ += style_.indent;
    runtime_.charge_bytes(style_.indent.size() * static_cast<std::size_t>(depth_));
  }

  template <class WriteMember>
  void write_members(char open, char close, std::size_t count, WriteMember write_member) {
    out_ += open;
    ++depth_;
    for (std::size_t i = 0; i < count; ++i) {
      if (i > 0) out_ += style_.item_separator;
      new_line();
      write_member(i);
    }
    --depth_;
    if (count > 0) new_line();
    out_ += close;
  }

  void write_dict(const DictObject& dict) {
    std::vector<const DictObject::Entry*> entries;
    entries.reserve(dict.entries.size());
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [this](const auto* a, const auto* b) {
        return less(runtime_, a->first, b->first);
      });
    }
    write_members('{', '}', entries.size(), [&](std::size_t i) {
      const Value& key = entries[i]->first;
      if (!key.is(Kind::string) && !key.is(Kind::none) && !key.is_number()) {
        invalid("keys must be str, int, float, bool or None, not {}", type_name(key));
      }
      write_text(key.is(Kind::string) ? key.bytes() : scalar(key));
      out_ += style_.key_separator;
      write(entries[i]->second);
    });
  }

  void write_text(std::string_view text) {
    static constexpr std::string_view kPlain = "\"\\\n\r\t\b\f";
    static constexpr std::string_view kNames = "\"\\nrtbf";
    runtime_.charge_bytes(text.size());
    out_ += '"';
    for (std::size_t at = 0; at < text.size();) {
      const CodePoint point = decode(text, at);
      const std::uint32_t c = point.value;
      const std::size_t named =
          c < 0x80 ? kPlain.find(static_cast<char>(c)) : std::string_view::npos;
      if (named != std::string_view::npos) {
        out_ += '\\';
        out_ += kNames[named];
      } else if (c < 0x20 || (style_.ensure_ascii && c > 0x7E)) {
        write_unicode_escape(c);
      } else {
        out_.append(text, at, point.bytes);
      }
      at += point.bytes;
    }
    out_ += '"';
  }

  void write_unicode_escape(std::uint32_t c) {
    if (c < 0x10000) {
      out_ += fmt::format("\\u{:04x}", c);
    } else {
      const std::uint32_t above = c - 0x10000;
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (above >> 10), 0xDC00 + (above & 0x3FF));
    }
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
  int depth_ = 0;
};

}  // namespace

std::string real_repr(double value) {
  if (std::isnan(value)) return "nan";
  std::string text = fmt::format("{}", value);
  if (std::isfinite(value) && text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

void append_repr(Runtime& runtime, std::string& out, const Value& value) {
  const Runtime::Level level(runtime);
  runtime.charge();
  const std::size_t before = out.size();
  switch (value.kind()) {
    case Kind::undefined:
      out += "Undefined";
      break;
    case Kind::none:
      out += "None";
      break;
    case Kind::boolean:
      out += value.as_bool() ? "True" : "False";
      break;
    case Kind::integer:
      out += fmt::format("{}", value.as_integer());
      break;
    case Kind::real:
      out += real_repr(value.as_real());
      break;
    case Kind::string:
      if (value.text().markup) out += "Markup(";
      append_text_repr(out, value.bytes());
      if (value.text().markup) out += ')';
      break;
    case Kind::list:
      append_items_repr(runtime, out, value.list().items, '[', ']');
      break;
    case Kind::tuple:
      append_items_repr(runtime, out, value.list().items, '(', ')');
      break;
    case Kind::dict:
      append_dict_repr(runtime, out, value.dict());
      break;
    case Kind::view:
      out += fmt::format("{}(", type_name(value));
      append_items_repr(runtime, out, collect(runtime, value), '[', ']');
      out += ')';
      break;
    case Kind::generator:
      out += "<generator object>";
      break;
    case Kind::range: {
      const RangeObject& range = value.range();
      out += fmt::format("range({}, {}", range.start, range.stop);
      out += range.step == 1 ? ")" : fmt::format(", {})", range.step);
      break;
    }
    case Kind::space:
      out += "<Namespace ";
      append_dict_repr(runtime, out, value.dict());
      out += '>';
      break;
    case Kind::callable:
      out += callable_repr(value);
      break;
    case Kind::loop:
      out += fmt::format("<LoopContext {}/{}>", value.loop().index0 + 1, value.loop().length());
      break;
  }
  runtime.charge_bytes(out.size() - before);
}

std::string to_repr(Runtime& runtime, const Value& value) {
  std::string out;
  append_repr(runtime, out, value);
  return out;
}

std::string to_text(Runtime& runtime, const Value& value) {
  if (value.is(Kind::undefined)) return {};
  if (value.is(Kind::string)) return value.bytes();
  return to_repr(runtime, value);
}

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  JsonWriter writer(runtime, style);
  writer.write(value);
  return writer.take();
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace checkbit::jinja
