#include "cli/flag_values.h"

#include <algorithm>
#include <charconv>

namespace checkbit {

std::optional<double> parse_duration(std::string_view text) {
  double seconds = 0;
  while (!text.empty()) {
    double value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || !(value >= 0) || end == text.data() + text.size())
      return std::nullopt;
    const double unit = *end == 's' ? 1 : *end == 'm' ? 60 : *end == 'h' ? 3600 : 0;
    if (unit == 0) return std::nullopt;
    seconds += value * unit;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  }
  return seconds > 0 ? std::optional(seconds) : std::nullopt;
}

Status check_duration(std::string_view command, std::string_view text) {
  if (parse_duration(text)) return {};
  return fail(ErrorKind::invalid, "{}: --budget {}: write a time such as 90s, 30m or 1h30m",
              command, text);
}

std::vector<std::string> split_at_commas(const std::vector<std::string>& values) {
  std::vector<std::string> parts;
  for (const std::string& value : values) {
    std::size_t at = 0;
    while (at <= value.size()) {
      const std::size_t end = std::min(value.find(',', at), value.size());
      if (end > at) parts.push_back(value.substr(at, end - at));
      at = end + 1;
    }
  }
  return parts;
}

}  // namespace checkbit
