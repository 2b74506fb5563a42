#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>

namespace checkbit {
namespace {

constexpr int kMinWidth = 40;
constexpr int kMaxWidth = 120;

const char* escape_of(Style style) {
  switch (style) {
    case Style::plain:
      return "";
    case Style::bold:
      return "\x1b[1m";
    case Style::dim:
      return "\x1b[2m";
    case Style::heading:
      return "\x1b[1;36m";
    case Style::good:
      return "\x1b[32m";
    case Style::warning:
      return "\x1b[33m";
    case Style::bad:
      return "\x1b[1;31m";
    case Style::accent:
      return "\x1b[36m";
  }
  return "";
}

bool is_continuation(unsigned char byte) { return (byte & 0xc0) == 0x80; }

/// Length of the valid UTF-8 character at `text[0]`, 0 when there is none.
std::size_t utf8_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  std::size_t length = 0;
  std::uint32_t code = 0;
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0)
    length = 2, code = first & 0x1f;
  else if (first >= 0xe0 && first < 0xf0)
    length = 3, code = first & 0x0f;
  else if (first >= 0xf0 && first < 0xf5)
    length = 4, code = first & 0x07;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(static_cast<unsigned char>(text[i]))) return 0;
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  return overlong || surrogate || code > 0x10ffff ? 0 : length;
}

/// C1 controls and the marks that reorder text can hide what a line says.
bool is_invisible_control(std::string_view character) {
  if (character.size() == 2)
    return character[0] == '\xc2' && static_cast<unsigned char>(character[1]) < 0xa0;
  if (character.size() != 3 || character[0] != '\xe2') return false;
  const auto second = static_cast<unsigned char>(character[1]);
  const auto third = static_cast<unsigned char>(character[2]);
  return (second == 0x80 && (third >= 0xa8 && third <= 0xae)) ||
         (second == 0x81 && (third >= 0xa6 && third <= 0xa9));
}

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == 0) continue;
    std::string lower(value);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    return lower.find("utf-8") != std::string::npos || lower.find("utf8") != std::string::npos;
  }
  return false;
}

std::string scaled(double value, std::string_view suffix) {
  const int decimals = value < 9.995 ? 2 : 1;
  return fmt::format("{:.{}f} {}", value, decimals, suffix);
}

}  // namespace

std::string Terminal::style(Style wanted, std::string_view text) const {
  if (!colour || wanted == Style::plain) return std::string(text);
  return fmt::format("{}{}\x1b[0m", escape_of(wanted), text);
}

Terminal describe_terminal(int descriptor) {
  Terminal terminal;
  terminal.is_terminal = isatty(descriptor) == 1;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  terminal.colour = terminal.is_terminal && (no_colour == nullptr || *no_colour == 0) &&
                    term != nullptr && std::string_view(term) != "dumb";
  terminal.unicode = terminal.is_terminal && locale_is_utf8();
  winsize size{};
  if (terminal.is_terminal && ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.width = size.ws_col;
  }
  if (const char* columns = std::getenv("COLUMNS")) {
    if (const int width = std::atoi(columns); width > 0) terminal.width = width;
  }
  terminal.width = std::clamp(terminal.width, kMinWidth, kMaxWidth);
  return terminal;
}

std::string printable(std::string_view text, bool keep_newlines) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text[0]);
    const std::size_t length = utf8_length(text);
    const bool control = byte < 0x20 || byte == 0x7f;
    if (length > 0 && !control && !is_invisible_control(text.substr(0, length))) {
      shown.append(text.substr(0, length));
    } else if (keep_newlines && (byte == '\n' || byte == '\t')) {
      shown.push_back(text[0]);
    } else if (byte == '\n') {
      shown.append("\\n");
    } else if (byte == '\t') {
      shown.append("\\t");
    } else {
      for (std::size_t i = 0; i < std::max<std::size_t>(length, 1); ++i) {
        shown.append(fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i])));
      }
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return shown;
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return !is_continuation(static_cast<unsigned char>(c)); }));
}

std::string shorten(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  std::size_t characters = 0;
  std::size_t end = 0;
  while (end < text.size()) {
    if (!is_continuation(static_cast<unsigned char>(text[end])) && ++characters >= width) break;
    ++end;
  }
  return std::string(text.substr(0, end)) + "…";
}

std::string pad_right(std::string_view text, std::size_t width) {
  const std::size_t used = display_width(text);
  return std::string(text) + std::string(width > used ? width - used : 0, ' ');
}

std::string pad_left(std::string_view text, std::size_t width) {
  const std::size_t used = display_width(text);
  return std::string(width > used ? width - used : 0, ' ') + std::string(text);
}

std::string wrap(std::string_view text, int width, int indent) {
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  const std::size_t room = static_cast<std::size_t>(std::max(width - indent, 20));
  std::string wrapped;
  std::string line;
  const auto end_line = [&] {
    if (!line.empty()) wrapped += margin + line + "\n";
    line.clear();
  };
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view source = text.substr(start, end - start);
    start = end + 1;
    if (source.empty() || source[0] == ' ') {  // a paragraph's end, or text laid out by hand
      end_line();
      if (end < text.size())
        wrapped += source.empty() ? "\n" : fmt::format("{}{}\n", margin, source);
      continue;
    }
    for (std::size_t word_start = 0; word_start < source.size();) {
      const std::size_t word_end = std::min(source.find(' ', word_start), source.size());
      const std::string_view word = source.substr(word_start, word_end - word_start);
      word_start = word_end + 1;
      if (word.empty()) continue;
      if (!line.empty() && display_width(line) + 1 + display_width(word) > room) end_line();
      line += line.empty() ? std::string(word) : fmt::format(" {}", word);
    }
  }
  end_line();
  return wrapped;
}

std::string format_bytes(std::uint64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (bytes < 1000) return fmt::format("{} B", bytes);
  if (value < 999.95e3) return scaled(value / 1e3, "kB");
  if (value < 999.95e6) return scaled(value / 1e6, "MB");
  if (value < 999.95e9) return scaled(value / 1e9, "GB");
  return scaled(value / 1e12, "TB");
}

std::string format_count(std::uint64_t count) {
  const double value = static_cast<double>(count);
  if (count < 10'000) return format_grouped(count);
  if (value < 999.95e3) return scaled(value / 1e3, "k");
  if (value < 999.95e6) return scaled(value / 1e6, "M");
  return scaled(value / 1e9, "B");
}

std::string format_grouped(std::uint64_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t i = digits.size(); i > 3;) digits.insert(i -= 3, ",");
  return digits;
}

std::string format_duration(double seconds) {
  if (!(seconds < 360'000)) return "-:--";
  const auto whole = static_cast<long>(std::lround(std::max(seconds, 0.0)));
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  double value = 0;
  const auto [rest, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !(value >= 0)) return std::nullopt;
  std::string unit(rest, text.data() + text.size());
  while (!unit.empty() && unit.front() == ' ') unit.erase(unit.begin());
  std::ranges::transform(unit, unit.begin(), [](unsigned char c) { return std::tolower(c); });
  if (!unit.empty() && unit.back() == 'b') unit.pop_back();
  static constexpr std::array<std::pair<std::string_view, double>, 9> kUnits = {{{"", 1},
                                                                                 {"k", 1e3},
                                                                                 {"m", 1e6},
                                                                                 {"g", 1e9},
                                                                                 {"t", 1e12},
                                                                                 {"ki", 0x1p10},
                                                                                 {"mi", 0x1p20},
                                                                                 {"gi", 0x1p30},
                                                                                 {"ti", 0x1p40}}};
  const auto* found = std::ranges::find(kUnits, std::string_view(unit),
                                        &std::pair<std::string_view, double>::first);
  if (found == kUnits.end() || value * found->second >= 0x1p63) return std::nullopt;
  return static_cast<std::uint64_t>(std::llround(value * found->second));
}

std::string TextTable::render(const Terminal& terminal, int indent) const {
  std::vector<std::size_t> widths;
  for (const auto& cell : header) widths.push_back(display_width(cell));
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c)
      widths[c] = std::max(widths[c], display_width(row[c]));
  }
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  const auto line_of = [&](const std::vector<std::string>& cells) {
    std::string line = margin;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (c > 0) line += "  ";
      line += right[c] ? pad_left(cells[c], widths[c]) : pad_right(cells[c], widths[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line + "\n";
  };
  std::string text = terminal.style(Style::dim, line_of(header));
  for (const auto& row : rows) text += line_of(row);
  return text;
}

}  // namespace checkbit
