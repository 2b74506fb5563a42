#include "cli/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "report/text.h"

namespace checkbit {
namespace {

constexpr double kPatienceSeconds = 2;
constexpr int kWidestBar = 30;
constexpr int kNarrowestBar = 8;

std::string amount(std::uint64_t value, const std::string& unit) {
  return unit == "bytes" ? format_bytes(value) : format_count(value);
}

std::string rate(const ProgressState& state) {
  const double per_second = state.per_second();
  if (state.unit == "bytes") return format_bytes(static_cast<std::uint64_t>(per_second)) + "/s";
  return per_second < 10
             ? fmt::format("{:.1f} {}/s", per_second, state.unit)
             : fmt::format("{} {}/s", format_count(static_cast<std::uint64_t>(per_second)),
                           state.unit);
}

std::string join_parts(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, "  "));
}

/// "45 %", "44.1 MB of 98.0 MB", "5.2 MB/s", "0:10 left": the parts that fit into `room`, the time
/// left and the share being the last to go.
std::string figures(const ProgressState& state, std::size_t room) {
  if (state.total == 0) {
    const std::string unit = state.unit == "bytes" ? "" : " " + state.unit;
    return fmt::format("{}{}  {}", amount(state.done, state.unit), unit, rate(state));
  }
  const std::uint64_t done = std::min(state.done, state.total);
  const double share = static_cast<double>(done) / static_cast<double>(state.total);
  std::vector<std::string> parts = {
      fmt::format("{:3.0f} %", 100.0 * share),
      fmt::format("{} of {}", amount(done, state.unit), amount(state.total, state.unit))};
  const double per_second = state.per_second();
  if (per_second > 0 && state.elapsed_seconds >= 0.5) {
    const double left_seconds = static_cast<double>(state.total - done) / per_second;
    parts.push_back(rate(state));
    parts.push_back(fmt::format("{} left", format_duration(left_seconds)));
    if (display_width(join_parts(parts)) > room) parts.erase(parts.begin() + 2);
  }
  if (display_width(join_parts(parts)) > room) parts.erase(parts.begin() + 1);
  return join_parts(parts);
}

}  // namespace

ProgressBar::ProgressBar(std::ostream& err, Terminal terminal, bool quiet)
    : err_(err), terminal_(terminal), quiet_(quiet) {}

std::string ProgressBar::render(const ProgressState& state, const Terminal& terminal) {
  const std::string label = clean_line(state.label);
  const auto width = static_cast<std::size_t>(terminal.width);
  const std::size_t taken = display_width(label) + 3;
  const std::string numbers = figures(state, width > taken ? width - taken : 0);
  const auto used = static_cast<int>(display_width(label) + display_width(numbers)) + 5;
  const int bar = std::min(kWidestBar, terminal.width - used);
  if (state.total == 0 || bar < kNarrowestBar) {
    return shorten(fmt::format("{}  {}", label, numbers), width - 1);
  }
  const double share =
      static_cast<double>(std::min(state.done, state.total)) / static_cast<double>(state.total);
  const int filled = static_cast<int>(share * bar);
  std::string full;
  for (int i = 0; i < filled; ++i) full += terminal.unicode ? "━" : "=";
  std::string rest;
  for (int i = filled; i < bar; ++i) rest += terminal.unicode ? "─" : ".";
  return fmt::format("{}  {}{}  {}", label, terminal.style(Style::accent, full),
                     terminal.style(Style::dim, rest), numbers);
}

void ProgressBar::update(const ProgressState& state) {
  if (quiet_ || !terminal_.is_terminal) return;
  if (state.finished) return clear();
  if (!state.eager && state.elapsed_seconds < kPatienceSeconds) return;
  err_ << "\r" << render(state, terminal_) << "\x1b[K" << std::flush;
  drawn_ = true;
}

void ProgressBar::clear() {
  if (!drawn_) return;
  err_ << "\r\x1b[K" << std::flush;
  drawn_ = false;
}

}  // namespace checkbit
