// Text as Python sees it: sequences of code points, held as UTF-8.
//
// What: decoding, counting, offsets, character classes and case, with the results of Python's str
//   methods (Unicode 14 tables). A byte that is not valid UTF-8 counts as one character and is
//   kept.
// Not covered: case-ignorable marks when deciding whether a capital sigma ends a word.
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace checkbit::jinja {

struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 1;
};

/// The character at byte `at`. Precondition: at < text.size().
CodePoint decode(std::string_view text, std::size_t at);
void append_utf8(std::string& out, std::uint32_t code_point);

bool is_ascii(std::string_view text);
std::size_t count_code_points(std::string_view text);
/// The byte at which character number `index` starts; text.size() past the end.
std::size_t byte_offset(std::string_view text, std::size_t index);

bool is_space(std::uint32_t code_point);
bool is_alpha(std::uint32_t code_point);
bool is_decimal(std::uint32_t code_point);
bool is_digit(std::uint32_t code_point);
bool is_numeric(std::uint32_t code_point);
bool is_lower(std::uint32_t code_point);
bool is_upper(std::uint32_t code_point);
bool is_title(std::uint32_t code_point);
bool is_printable(std::uint32_t code_point);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);    ///< str.title: each run of letters
std::string capitalize(std::string_view text);  ///< first character in title case, the rest lower

/// Lengths in bytes of the white space at both ends.
std::size_t leading_space(std::string_view text);
std::size_t trailing_space(std::string_view text);

}  // namespace checkbit::jinja
