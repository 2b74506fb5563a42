// Text that others wrote, made safe for a page or a terminal.
//
// What: model names, prompts and model outputs reach reports. Here they lose what could act: markup
//   in HTML, escape sequences in a terminal, bytes that are not UTF-8 anywhere.
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace checkbit {

/// The text with each byte that is not part of valid UTF-8 replaced by U+FFFD.
std::string valid_utf8(std::string_view text);

/// For element content and quoted attributes: & < > " ' become entities, control characters other
/// than newline and tab become U+FFFD, so does what is not UTF-8.
std::string escape_html(std::string_view text);

/// For one line on a terminal: control characters, newlines too, become '?'; the rest as in
/// valid_utf8. Bidirectional controls become '?' too: they could reorder the line.
std::string clean_line(std::string_view text);

/// Spaces become no-break spaces: a number stays on the line of its unit.
std::string glue(std::string_view text);

/// Cells on a terminal: two for East Asian wide characters and emoji, none for combining marks, one
/// for everything else and for each byte that is not part of valid UTF-8.
std::size_t display_width(std::string_view utf8);
/// As many characters from the start as fit into `width` cells.
std::string_view prefix_of_width(std::string_view utf8, std::size_t width);

/// Where the first byte stands that is not part of valid UTF-8.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

}  // namespace checkbit
