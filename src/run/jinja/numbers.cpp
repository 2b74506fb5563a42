// Text to numbers, by the rules of Python's int() and float().
#include <algorithm>
#include <charconv>
#include <limits>

#include "run/jinja/builtins.h"
#include "run/jinja/strings.h"
#include "run/jinja/unicode.h"

namespace checkbit::jinja {
namespace {

/// Without single underscores between digits; false when one stands elsewhere.
bool drop_underscores(std::string_view text, std::string& out) {
  const auto is_digit = [&](std::size_t i) {
    return i < text.size() && ((text[i] >= '0' && text[i] <= '9') ||
                               ((text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z'));
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || !is_digit(i - 1) || !is_digit(i + 1)) {
      return false;
    }
  }
  return true;
}

std::string lower_ascii(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  return out;
}

}  // namespace

std::optional<double> parse_real(std::string_view text) {
  std::string digits;
  text = strip(text, nullptr, true, true);
  if (!drop_underscores(text, digits)) return std::nullopt;
  digits = lower_ascii(digits);
  std::string_view rest = digits;
  const bool is_negative = rest.starts_with('-');
  if (is_negative || rest.starts_with('+')) rest.remove_prefix(1);
  const double sign = is_negative ? -1 : 1;
  if (rest == "inf" || rest == "infinity") return sign * std::numeric_limits<double>::infinity();
  if (rest == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (rest.empty() || rest.find_first_not_of("0123456789.e+-") != std::string_view::npos ||
      rest[0] == 'e' || rest[0] == '+' || rest[0] == '-') {
    return std::nullopt;
  }
  double value = 0;
  const auto result = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (result.ptr != rest.data() + rest.size()) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    const std::size_t exponent = rest.find('e');
    const bool is_tiny = exponent != std::string_view::npos && exponent + 1 < rest.size() &&
                         rest[exponent + 1] == '-';
    return is_tiny ? sign * 0.0 : sign * std::numeric_limits<double>::infinity();
  }
  if (result.ec != std::errc()) return std::nullopt;
  return sign * value;
}

std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  std::string cleaned;
  text = strip(text, nullptr, true, true);
  const bool is_negative = text.starts_with('-');
  if (is_negative || text.starts_with('+')) text.remove_prefix(1);
  const std::string prefix = lower_ascii(text.substr(0, 2));
  const int prefixed = prefix == "0x" ? 16 : prefix == "0o" ? 8 : prefix == "0b" ? 2 : 0;
  if (prefixed != 0 && (base == 0 || base == prefixed)) {
    text.remove_prefix(2);
    if (text.starts_with('_')) text.remove_prefix(1);
    base = prefixed;
  }
  if (!drop_underscores(text, cleaned) || cleaned.empty() || cleaned[0] == '-') return std::nullopt;
  if (base == 0) {
    const bool has_leading_zero =
        cleaned[0] == '0' && cleaned.find_first_not_of('0') != cleaned.npos;
    if (has_leading_zero) return std::nullopt;
    base = 10;
  }
  if (is_negative) cleaned.insert(0, 1, '-');
  std::int64_t value = 0;
  const auto result = std::from_chars(cleaned.data(), cleaned.data() + cleaned.size(), value, base);
  if (result.ptr != cleaned.data() + cleaned.size()) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    raise(ErrorKind::unsupported, "integer beyond 64 bits");
  }
  return result.ec == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace checkbit::jinja
