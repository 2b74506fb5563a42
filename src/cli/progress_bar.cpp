#include "cli/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/text.h"

namespace checkbit {
namespace {

constexpr double kPatienceSeconds = 2;
constexpr double kPipeIntervalSeconds = 30;
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

/// Figures without the bar: "45 %  44.1 MB of 98.0 MB  5.2 MB/s  0:10 left".
std::string figures(const ProgressState& state) {
  if (state.total == 0) {
    return fmt::format("{} {} {}", amount(state.done, state.unit),
                       state.unit == "bytes" ? "" : state.unit, rate(state));
  }
  const std::uint64_t done = std::min(state.done, state.total);
  std::string text = fmt::format(
      "{:3.0f} %  {} of {}", 100.0 * static_cast<double>(done) / static_cast<double>(state.total),
      amount(done, state.unit), amount(state.total, state.unit));
  const double per_second = state.per_second();
  if (per_second > 0 && state.elapsed_seconds >= 0.5) {
    text += fmt::format("  {}  {} left", rate(state),
                        format_duration(static_cast<double>(state.total - done) / per_second));
  }
  return text;
}

}  // namespace

ProgressBar::ProgressBar(std::ostream& err, Terminal terminal, bool quiet)
    : err_(err), terminal_(terminal), quiet_(quiet) {}

std::string ProgressBar::render(const ProgressState& state, const Terminal& terminal) {
  const std::string label = clean_line(state.label);
  const std::string numbers = figures(state);
  const auto used = static_cast<int>(display_width(label) + display_width(numbers)) + 5;
  const int bar = std::min(kWidestBar, terminal.width - used);
  if (state.total == 0 || bar < kNarrowestBar) {
    return shorten(fmt::format("{}  {}", label, numbers),
                   static_cast<std::size_t>(terminal.width - 1));
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
  if (quiet_) return;
  if (!terminal_.is_terminal) {
    if (state.elapsed_seconds < 1) next_line_seconds_ = kPipeIntervalSeconds;
    if (state.finished || state.elapsed_seconds < next_line_seconds_) return;
    next_line_seconds_ = state.elapsed_seconds + kPipeIntervalSeconds;
    err_ << fmt::format("checkbit: {}: {}\n", clean_line(state.label), figures(state))
         << std::flush;
    return;
  }
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
