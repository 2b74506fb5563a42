// Text for people: widths, colours, wrapped paragraphs, aligned rows, numbers with units.
//
// What: everything that makes output fit a terminal of 80 columns and still be plain in a pipe.
// Units: widths in terminal cells, as report/text.h counts them.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace checkbit {

struct Table;

enum class Style { plain, bold, dim, heading, good, warning, bad, accent };

struct Terminal {
  bool is_terminal = false;
  bool colour = false;
  bool unicode = false;  ///< the locale says UTF-8
  int width = 80;

  /// `text` in that style, or unchanged without colour.
  std::string style(Style style, std::string_view text) const;
};

/// What the stream behind `descriptor` is. Colour needs a terminal, no NO_COLOR and a TERM that is
/// not "dumb". COLUMNS overrides the width.
Terminal describe_terminal(int descriptor);

/// report/text.h's clean_line for each line, tabs kept: text from files must not move the cursor.
std::string clean_lines(std::string_view text);

/// Cut to `width` with "…" at the end.
std::string shorten(std::string_view text, std::size_t width);
std::string pad_right(std::string_view text, std::size_t width);
std::string pad_left(std::string_view text, std::size_t width);
/// Words filled to `width`, every line after `indent` spaces; empty lines separate paragraphs.
/// Paragraphs that start with a space are kept as they are.
std::string wrap(std::string_view text, int width, int indent);

/// "105.5 MB": powers of 1000, as reports print them.
std::string format_bytes(std::uint64_t bytes);
/// "134.5 M", "1.78 B"; below ten thousand in full.
std::string format_count(std::uint64_t count);
/// "12,345,678"
std::string format_grouped(std::uint64_t value);
/// "0:42", "1:02:03"
std::string format_duration(double seconds);
/// "1500000", "1.5MB" (powers of 1000), "120MiB" (powers of 1024), any case. nullopt when
/// malformed, negative or over 2^63.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

/// A table of aligned columns. Cells are plain text; `right` columns are aligned to the right. A
/// last column that is aligned to the left is wrapped under itself.
struct TextTable {
  std::vector<std::string> header;
  std::vector<bool> right;
  std::vector<std::vector<std::string>> rows;
  std::string render(const Terminal& terminal, int indent) const;
};
/// A report's table without its caption: the first column names the row, the others are numbers.
TextTable text_table(const Table& table);

}  // namespace checkbit
