// Template source to tokens.
//
// What: jinja2's lexer with trim_blocks and lstrip_blocks: text between tags with its white space
//   control applied, and inside tags names, literals and operators. Comments and raw tags vanish.
// Precondition: newlines are "\n" (normalize_newlines).
// Errors: Fault with the offset.
// Threads: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace checkbit::jinja {

enum class TokenKind : std::uint8_t {
  data,
  block_begin,
  block_end,
  variable_begin,
  variable_end,
  name,
  string,
  integer,
  real,
  op,
  end
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;  ///< data, name, operator, or a string's value after escapes
  std::int64_t integer = 0;
  double real = 0;
  std::size_t offset = 0;
};

/// "\r\n" and "\r" become "\n", and one newline at the end is dropped, as jinja2 does.
std::string normalize_newlines(std::string_view source);

/// The last token is `end`.
std::vector<Token> tokenize(std::string_view source);

}  // namespace checkbit::jinja
