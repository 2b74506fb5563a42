// "..." % value, "...".format(...) and strftime.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "run/jinja/builtins.h"
#include "run/jinja/operators.h"
#include "run/jinja/strings.h"
#include "run/jinja/unicode.h"

namespace checkbit::jinja {
namespace {

/// How one value is to be written, from either kind of pattern.
struct Spec {
  std::string fill = " ";
  char align = 0;  ///< '<' '>' '^' '=', or 0 for the type's own
  char sign = '-';
  bool alternate = false;
  char grouping = 0;  ///< ',' or '_'
  std::int64_t width = 0;
  std::int64_t precision = -1;
  char type = 0;
};

constexpr std::int64_t kMaxPrecision = 1000;

/// The number at the front of `text`, which is removed; -1 when there is none.
std::int64_t take_number(std::string_view& text) {
  std::int64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ptr == text.data() || text[0] == '-') return -1;
  if (result.ec != std::errc()) raise(ErrorKind::budget, "format width too large");
  text.remove_prefix(static_cast<std::size_t>(result.ptr - text.data()));
  return value;
}

bool take(std::string_view& text, std::string_view any, char& taken) {
  if (text.empty() || any.find(text[0]) == std::string_view::npos) return false;
  taken = text[0];
  text.remove_prefix(1);
  return true;
}

std::string group_digits(std::string digits, char separator) {
  const std::size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
  for (std::size_t at = whole; at > 3; at -= 3) digits.insert(at - 3, 1, separator);
  return digits;
}

/// Sign and digits into the field.
std::string place_number(Runtime& runtime, const Spec& spec, bool is_negative, std::string digits) {
  if (spec.grouping != 0) digits = group_digits(std::move(digits), spec.grouping);
  const std::string sign = is_negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  const auto sign_width = static_cast<std::int64_t>(sign.size());
  if (spec.align == '=') {
    return sign + pad(runtime, digits, spec.width - sign_width, spec.fill, true, false);
  }
  const bool left = spec.align != '<';
  const bool right = spec.align == '<' || spec.align == '^';
  return pad(runtime, sign + digits, spec.width, spec.fill, left, right);
}

std::string format_integer(Runtime& runtime, const Spec& spec, std::int64_t value) {
  const auto magnitude =
      value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  std::string digits;
  switch (spec.type) {
    case 'b':
      digits = fmt::format("{:b}", magnitude);
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude);
      break;
    case 'x':
      digits = fmt::format("{:x}", magnitude);
      break;
    case 'X':
      digits = fmt::format("{:X}", magnitude);
      break;
    case 'c':
      if (value < 0 || value > 0x10FFFF) invalid("%c arg not in range(0x110000)");
      append_utf8(digits, static_cast<std::uint32_t>(value));
      return place_number(runtime, spec, false, std::move(digits));
    default:
      digits = fmt::format("{}", magnitude);
  }
  if (spec.alternate && std::string_view("boxX").find(spec.type) != std::string_view::npos) {
    digits.insert(0, std::string("0") + spec.type);
  }
  return place_number(runtime, spec, value < 0, std::move(digits));
}

std::string format_real(Runtime& runtime, const Spec& spec, double value) {
  const double magnitude = std::abs(value);
  const bool percent = spec.type == '%';
  const char type = spec.type == 0     ? (spec.precision < 0 ? 'r' : 'g')
                    : percent          ? 'f'
                    : spec.type == 'n' ? 'g'
                                       : spec.type;
  std::string digits;
  if (!std::isfinite(value)) {
    digits = std::isnan(value) ? "nan" : "inf";
    if (spec.type == 'F' || spec.type == 'E' || spec.type == 'G') digits = to_upper(digits);
  } else if (type == 'r') {
    digits = real_repr(magnitude);
  } else {
    if (spec.precision > kMaxPrecision) raise(ErrorKind::budget, "format precision too large");
    const char pattern[] = {'%',
                            spec.alternate ? '#' : '.',
                            spec.alternate ? '.' : '*',
                            spec.alternate ? '*' : type,
                            spec.alternate ? type : '\0',
                            '\0'};
    char buffer[2048];
    const int precision = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
    std::snprintf(buffer, sizeof buffer, pattern, precision, percent ? magnitude * 100 : magnitude);
    digits = buffer;
    const bool looks_whole = digits.find_first_of(".e") == std::string::npos;
    if (spec.type == 0 && looks_whole) digits += ".0";
  }
  if (percent) digits += '%';
  const bool is_negative = std::signbit(value) && !std::isnan(value);
  return place_number(runtime, spec, is_negative, std::move(digits));
}

std::string format_text(Runtime& runtime, const Spec& spec, std::string_view text) {
  if (spec.precision >= 0) {
    text = text.substr(0, byte_offset(text, static_cast<std::size_t>(spec.precision)));
  }
  const bool left = spec.align == '>' || spec.align == '^';
  const bool right = spec.align != '>';
  return pad(runtime, text, spec.width, spec.fill, left, right);
}

bool is_real_type(char type) {
  return type != 0 && std::string_view("eEfFgG%").find(type) != std::string_view::npos;
}

// --- percent ---

std::string percent_value(Runtime& runtime, Spec spec, const Value& value) {
  if (spec.type == 's' || spec.type == 'r' || spec.type == 'a') {
    if (spec.type == 'a') raise(ErrorKind::unsupported, "format %a");
    if (spec.align == 0) spec.align = '>';
    if (spec.fill == "0") spec.fill = " ";
    const std::string text = spec.type == 's' ? to_text(runtime, value) : to_repr(runtime, value);
    return format_text(runtime, spec, text);
  }
  if (spec.type == 'c' && value.is(Kind::string)) {
    if (*length_of(value) != 1) invalid("%c requires int or char");
    return format_text(runtime, spec, value.bytes());
  }
  require_defined(value);
  if (!value.is_number()) {
    invalid("%{} format: a number is required, not {}", spec.type, type_name(value));
  }
  if (is_real_type(spec.type)) return format_real(runtime, spec, value.as_real());
  if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
  if (std::string_view("doxXc").find(spec.type) == std::string_view::npos) {
    invalid("unsupported format character '{}'", spec.type);
  }
  if (!value.is(Kind::real)) return format_integer(runtime, spec, value.as_integer());
  if (spec.type != 'd') invalid("%{} format: an integer is required, not float", spec.type);
  const double whole = std::trunc(value.as_real());
  if (!(std::abs(whole) < 9.2e18)) raise(ErrorKind::unsupported, "integer beyond 64 bits");
  return format_integer(runtime, spec, static_cast<std::int64_t>(whole));
}

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& value) : runtime_(runtime), value_(value) {
    if (value.is(Kind::tuple)) {
      arguments_ = value.list().items;
    } else {
      arguments_ = {value};
    }
  }

  std::string run(std::string_view pattern) {
    std::string out;
    while (!pattern.empty()) {
      const std::size_t percent = std::min(pattern.find('%'), pattern.size());
      out += pattern.substr(0, percent);
      pattern.remove_prefix(percent);
      if (pattern.empty()) break;
      pattern.remove_prefix(1);
      out += directive(pattern);
      runtime_.check_size(out.size());
      runtime_.charge();
    }
    const bool takes_all = used_ == arguments_.size() || value_.is(Kind::dict) || by_name_;
    // A single list or string that no directive asked for is an error, as are left-over arguments.
    if (!takes_all) invalid("not all arguments converted during string formatting");
    return out;
  }

 private:
  Value next() {
    if (used_ >= arguments_.size()) invalid("not enough arguments for format string");
    return arguments_[used_++];
  }

  std::string directive(std::string_view& pattern) {
    Spec spec;
    std::optional<Value> named;
    if (pattern.starts_with('(')) {
      const std::size_t close = pattern.find(')');
      if (close == std::string_view::npos) invalid("incomplete format key");
      if (!value_.is(Kind::dict)) invalid("format requires a mapping");
      const Value* found = value_.dict().find(pattern.substr(1, close - 1));
      if (found == nullptr) invalid("key not found: '{}'", pattern.substr(1, close - 1));
      named = *found;
      by_name_ = true;
      pattern.remove_prefix(close + 1);
    }
    for (char flag = 0; take(pattern, "#0- +", flag);) {
      if (flag == '#') spec.alternate = true;
      if (flag == '-') spec.align = '<';
      if (flag == '0' && spec.align == 0) {
        spec.align = '=';
        spec.fill = "0";
      }
      if (flag == '+' || (flag == ' ' && spec.sign != '+')) spec.sign = flag;
    }
    if (spec.align == '<') spec.fill = " ";
    const auto number = [&]() -> std::int64_t {
      char star = 0;
      if (!take(pattern, "*", star)) return std::max<std::int64_t>(take_number(pattern), 0);
      const Value width = next();
      if (!width.is(Kind::integer)) invalid("* wants int");
      return width.as_integer();
    };
    spec.width = number();
    char dot = 0;
    if (take(pattern, ".", dot)) spec.precision = number();
    if (pattern.empty()) invalid("incomplete format");
    spec.type = pattern[0];
    pattern.remove_prefix(1);
    if (spec.type == '%') return "%";
    return percent_value(runtime_, spec, named ? *named : next());
  }

  Runtime& runtime_;
  const Value& value_;
  Values arguments_;
  std::size_t used_ = 0;
  bool by_name_ = false;
};

// --- braces ---

Spec parse_spec(std::string_view text) {
  Spec spec;
  static constexpr std::string_view kAligns = "<>=^";
  if (!text.empty()) {
    const std::size_t fill = decode(text, 0).bytes;
    if (fill < text.size() && kAligns.find(text[fill]) != std::string_view::npos) {
      spec.fill = text.substr(0, fill);
      text.remove_prefix(fill);
    }
  }
  take(text, kAligns, spec.align);
  take(text, "+- ", spec.sign);
  char flag = 0;
  spec.alternate = take(text, "#", flag);
  if (take(text, "0", flag) && spec.align == 0) {
    spec.align = '=';
    spec.fill = "0";
  }
  spec.width = std::max<std::int64_t>(take_number(text), 0);
  take(text, ",_", spec.grouping);
  if (take(text, ".", flag)) {
    spec.precision = take_number(text);
    if (spec.precision < 0) invalid("format specifier missing precision");
  }
  if (!text.empty()) {
    spec.type = text[0];
    text.remove_prefix(1);
  }
  if (!text.empty()) invalid("invalid format specifier");
  return spec;
}

std::string brace_value(Runtime& runtime, std::string_view spec_text, const Value& value) {
  if (spec_text.empty()) return to_text(runtime, value);
  const Spec spec = parse_spec(spec_text);
  const bool is_plain_bool = value.is(Kind::boolean) && spec.type == 0;
  if (value.is(Kind::string)) {
    if ((spec.type != 0 && spec.type != 's') || spec.align == '=' || spec.grouping != 0) {
      invalid("unknown format code for object of type 'str'");
    }
    return format_text(runtime, spec, value.bytes());
  }
  if (!value.is_number()) {
    invalid("unsupported format string passed to {}.__format__", type_name(value));
  }
  if (is_plain_bool) return format_integer(runtime, spec, value.as_integer());
  if (value.is(Kind::real) || is_real_type(spec.type)) {
    if (!value.is(Kind::real) || spec.type == 0 || spec.type == 'n' || is_real_type(spec.type)) {
      return format_real(runtime, spec, value.as_real());
    }
    invalid("unknown format code '{}' for object of type 'float'", spec.type);
  }
  if (spec.precision >= 0) invalid("precision not allowed in integer format specifier");
  if (spec.type != 0 && std::string_view("bcdoxXn").find(spec.type) == std::string_view::npos) {
    invalid("unknown format code '{}' for object of type 'int'", spec.type);
  }
  return format_integer(runtime, spec, value.as_integer());
}

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Call& call) : runtime_(runtime), call_(call) {}

  std::string run(std::string_view pattern) {
    const Runtime::Level level(runtime_);
    std::string out;
    for (std::size_t at = 0; at < pattern.size();) {
      const char c = pattern[at];
      const bool doubled = at + 1 < pattern.size() && pattern[at + 1] == c;
      if (c != '{' && c != '}') {
        out += c;
        ++at;
      } else if (doubled) {
        out += c;
        at += 2;
      } else if (c == '}') {
        invalid("single '}}' encountered in format string");
      } else {
        const std::size_t close = matching_brace(pattern, at);
        out += field(pattern.substr(at + 1, close - at - 1));
        at = close + 1;
      }
      runtime_.check_size(out.size());
    }
    return out;
  }

 private:
  static std::size_t matching_brace(std::string_view pattern, std::size_t open) {
    int depth = 0;
    for (std::size_t at = open; at < pattern.size(); ++at) {
      if (pattern[at] == '{') ++depth;
      if (pattern[at] == '}' && --depth == 0) return at;
    }
    invalid("expected '}}' before end of string");
  }

  std::string field(std::string_view text) {
    runtime_.charge();
    const std::size_t colon = std::min(text.find(':'), text.size());
    std::string_view path = text.substr(0, colon);
    char conversion = 0;
    if (path.size() >= 2 && path[path.size() - 2] == '!') {
      conversion = path.back();
      path.remove_suffix(2);
    }
    Value value = look_up(path);
    // After the value: fields without numbers count from left to right.
    const std::string spec = colon < text.size() ? run(text.substr(colon + 1)) : std::string();
    if (conversion == 'r') {
      value = runtime_.string(to_repr(runtime_, value));
    } else if (conversion == 's') {
      value = runtime_.string(to_text(runtime_, value));
    } else if (conversion != 0) {
      raise(ErrorKind::unsupported, "format conversion '!{}'", conversion);
    }
    return brace_value(runtime_, spec, value);
  }

  Value look_up(std::string_view path) {
    const std::size_t end = std::min(path.find_first_of(".["), path.size());
    Value value = argument(path.substr(0, end));
    path.remove_prefix(end);
    while (!path.empty()) {
      const bool is_item = path[0] == '[';
      path.remove_prefix(1);
      const std::size_t stop =
          is_item ? path.find(']') : std::min(path.find_first_of(".["), path.size());
      if (stop == std::string_view::npos) invalid("missing ']' in format string");
      const std::string name(path.substr(0, stop));
      if (name.empty()) invalid("empty attribute in format string");
      path.remove_prefix(std::min(stop + (is_item ? 1 : 0), path.size()));
      const bool is_index = name.find_first_not_of("0123456789") == std::string::npos;
      const auto index = is_index ? parse_integer(name, 10) : std::nullopt;
      if (is_item) {
        value = get_item(runtime_, value, index ? Value::integer(*index) : Value::string(name));
      } else {
        value = get_attribute(runtime_, value, name);
      }
    }
    return value;
  }

  Value argument(std::string_view name) {
    const bool is_index = name.find_first_not_of("0123456789") == std::string_view::npos;
    if (!is_index) {
      for (const auto& [key, value] : call_.named) {
        if (key == name) return value;
      }
      invalid("format: no argument '{}'", name);
    }
    std::size_t index = next_;
    if (name.empty()) {
      if (numbered_) invalid("cannot switch from manual field specification to automatic");
      ++next_;
    } else {
      if (next_ > 0) invalid("cannot switch from automatic field numbering to manual");
      numbered_ = true;
      index = static_cast<std::size_t>(parse_integer(name, 10).value_or(0));
    }
    if (index >= call_.rest.size()) {
      invalid("replacement index {} out of range for positional args tuple", index);
    }
    return call_.rest[index];
  }

  Runtime& runtime_;
  const Call& call_;
  std::size_t next_ = 0;
  bool numbered_ = false;
};

}  // namespace

std::string format_percent(Runtime& runtime, std::string_view pattern, const Value& value) {
  return PercentFormatter(runtime, value).run(pattern);
}

std::string format_braces(Runtime& runtime, std::string_view pattern, const Call& call) {
  return BraceFormatter(runtime, call).run(pattern);
}

std::string format_time(Runtime& runtime, std::string_view pattern, std::int64_t unix_seconds) {
  const auto seconds = static_cast<std::time_t>(unix_seconds);
  std::tm time{};
  if (gmtime_r(&seconds, &time) == nullptr) invalid("time out of range");
  std::string out;
  for (std::size_t at = 0; at < pattern.size(); ++at) {
    runtime.charge();
    if (pattern[at] != '%') {
      out += pattern[at];
      continue;
    }
    const std::size_t begin = at++;
    while (at < pattern.size() && std::string_view("-_0^#").find(pattern[at]) != pattern.npos) ++at;
    const char type = at < pattern.size() ? pattern[at] : '\0';
    if (type == 'f') {
      out += "000000";
    } else if (type != 'z' && type != 'Z') {  // a time without zone, as datetime.now() gives
      const std::string directive(pattern.substr(begin, at + 1 - begin));
      char buffer[128];
      const std::size_t bytes = std::strftime(buffer, sizeof buffer, directive.c_str(), &time);
      out.append(buffer, bytes);
    }
  }
  return out;
}

}  // namespace checkbit::jinja
