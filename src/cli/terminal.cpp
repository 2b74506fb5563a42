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

#include "report/html.h"
#include "report/number.h"
#include "report/text.h"

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

std::string clean_lines(std::string_view text) {
  std::string shown;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line = text.substr(start, end - start);
    for (std::size_t tab = 0; (tab = line.find('\t')) != std::string_view::npos;) {
      shown += clean_line(line.substr(0, tab)) + '\t';
      line.remove_prefix(tab + 1);
    }
    shown += clean_line(line);
    if (end < text.size()) shown += '\n';
    start = end + 1;
  }
  return shown;
}

std::string shorten(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  return std::string(prefix_of_width(text, width > 0 ? width - 1 : 0)) + "…";
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
      if (!source.empty()) {
        wrapped += fmt::format("{}{}\n", margin, source);
      } else if (end < text.size()) {
        wrapped += "\n";
      }
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
  return print_quantity(static_cast<double>(bytes), "bytes");
}

std::string format_count(std::uint64_t count) {
  const double value = static_cast<double>(count);
  if (count < 10'000) return format_grouped(count);
  if (value < 999.95e3) return fmt::format("{:.1f} k", value / 1e3);
  if (value < 999.95e6) return fmt::format("{:.1f} M", value / 1e6);
  return fmt::format("{:.2f} B", value / 1e9);
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
  const auto under = [&](const std::string& line, const std::string& cell) {
    const std::size_t column = display_width(line);
    const std::string text = wrap(cell, terminal.width, static_cast<int>(column));
    return text.empty() ? std::string("\n") : text.substr(column);
  };
  const auto line_of = [&](const std::vector<std::string>& cells) {
    std::string line = margin;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (c > 0) line += "  ";
      if (c + 1 == cells.size() && !right[c]) return line + under(line, cells[c]);
      line += right[c] ? pad_left(cells[c], widths[c]) : pad_right(cells[c], widths[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line + "\n";
  };
  std::string text = terminal.style(Style::dim, line_of(header));
  for (const auto& row : rows) text += line_of(row);
  return text;
}

TextTable text_table(const Table& table) {
  TextTable text{.header = table.columns,
                 .right = std::vector<bool>(table.columns.size(), true),
                 .rows = table.rows};
  if (!text.right.empty()) text.right.front() = false;
  return text;
}

}  // namespace checkbit
