#include "run/jinja/lexer.h"

#include <charconv>

#include "run/jinja/fault.h"
#include "run/jinja/unicode.h"

namespace checkbit::jinja {
namespace {

[[noreturn]] void syntax_error(std::size_t offset, std::string message) {
  throw Fault{ErrorKind::invalid, std::move(message), offset, true};
}

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) {
  return c == '_' || is_digit_char(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) root();
    add(TokenKind::end, at_);
    return std::move(tokens_);
  }

 private:
  bool starts_with(std::string_view text, std::size_t at) const {
    return source_.substr(at, text.size()) == text;
  }
  char peek(std::size_t at) const { return at < source_.size() ? source_[at] : '\0'; }

  Token& add(TokenKind kind, std::size_t offset, std::string text = {}) {
    Token token;
    token.kind = kind;
    token.text = std::move(text);
    token.offset = offset;
    return tokens_.emplace_back(std::move(token));
  }

  void skip_space() { at_ += leading_space(source_.substr(at_)); }

  /// The '-' or '+' after a tag's opening bracket, or 0.
  char take_sign() {
    const char sign = peek(at_);
    if (sign != '-' && sign != '+') return 0;
    ++at_;
    return sign;
  }

  /// Text before a tag that starts at `end`, without what its sign or lstrip_blocks take away.
  void add_data(std::size_t begin, std::size_t end, char sign, bool is_variable) {
    std::string_view text = source_.substr(begin, end - begin);
    if (sign == '-') {
      text.remove_suffix(trailing_space(text));
    } else if (sign != '+' && !is_variable) {
      const std::size_t line = text.rfind('\n') + 1;  // npos + 1 is 0
      const bool line_starting = begin == 0 || source_[begin - 1] == '\n';
      if ((line > 0 || line_starting) && leading_space(text.substr(line)) == text.size() - line) {
        text = text.substr(0, line);
      }
    }
    if (!text.empty()) add(TokenKind::data, begin, std::string(text));
  }

  /// The closing part of a tag after its optional sign: what of the following text goes with it.
  void finish_tag(char sign) {
    if (sign == '-') {
      skip_space();
    } else if (sign != '+' && peek(at_) == '\n') {
      ++at_;
    }
  }

  void root() {
    const std::size_t begin = at_;
    std::size_t open = begin;
    for (;; ++open) {
      open = source_.find('{', open);
      if (open == std::string_view::npos) {
        add(TokenKind::data, begin, std::string(source_.substr(begin)));
        at_ = source_.size();
        return;
      }
      const char next = peek(open + 1);
      if (next == '%' || next == '{' || next == '#') break;
    }
    at_ = open + 2;
    const char type = source_[open + 1];
    const char sign = take_sign();
    add_data(begin, open, sign, type == '{');
    if (type == '#') {
      comment(open);
    } else if (type == '%' && raw_begins()) {
      raw(open);
    } else {
      tag(open, type == '%');
    }
  }

  void comment(std::size_t open) {
    if (at_ == source_.size()) return;  // jinja2 accepts a comment that the end cuts off at once
    const std::size_t close = source_.find("#}", at_);
    if (close == std::string_view::npos) syntax_error(open, "missing end of comment tag");
    const char sign = close > at_ ? source_[close - 1] : '\0';
    at_ = close + 2;
    finish_tag(sign);
  }

  /// Consumes `raw -%}` or `raw %}` when it stands here.
  bool raw_begins() {
    std::size_t at = at_ + leading_space(source_.substr(at_));
    if (!starts_with("raw", at)) return false;
    at += 3;
    at += leading_space(source_.substr(at));
    const bool strip = starts_with("-%}", at);
    if (!strip && !starts_with("%}", at)) return false;
    at_ = at + (strip ? 3 : 2);
    if (strip) skip_space();
    return true;
  }

  void raw(std::size_t open) {
    const std::size_t begin = at_;
    if (begin == source_.size()) return;
    for (std::size_t close = begin;; close += 2) {
      close = source_.find("{%", close);
      if (close == std::string_view::npos) syntax_error(open, "missing end of raw directive");
      at_ = close + 2;
      const char sign = take_sign();
      skip_space();
      if (!starts_with("endraw", at_)) continue;
      at_ += 6;
      skip_space();
      const char end_sign = take_sign();
      if (!starts_with("%}", at_)) continue;
      at_ += 2;
      add_data(begin, close, sign, false);
      finish_tag(end_sign);
      return;
    }
  }

  void tag(std::size_t open, bool is_block) {
    add(is_block ? TokenKind::block_begin : TokenKind::variable_begin, open);
    brackets_.clear();
    while (!(brackets_.empty() && tag_ends(is_block))) {
      skip_space();
      if (brackets_.empty() && tag_ends(is_block)) return;
      if (at_ >= source_.size()) {  // the parser says what is missing
        return;
      }
      token();
    }
  }

  bool tag_ends(bool is_block) {
    const std::string_view close = is_block ? "%}" : "}}";
    const std::size_t offset = at_;
    char sign = peek(at_);
    if (sign == '-' || (sign == '+' && is_block)) {
      if (!starts_with(close, at_ + 1)) return false;
      ++at_;
    } else if (starts_with(close, at_)) {
      sign = is_block ? '\0' : '+';  // trim_blocks is for blocks only
    } else {
      return false;
    }
    at_ += 2;
    finish_tag(sign);
    add(is_block ? TokenKind::block_end : TokenKind::variable_end, offset);
    return true;
  }

  void token() {
    const char c = source_[at_];
    if (is_digit_char(c)) {
      number();
    } else if (is_name_char(c)) {
      const std::size_t begin = at_;
      while (is_name_char(peek(at_))) ++at_;
      add(TokenKind::name, begin, std::string(source_.substr(begin, at_ - begin)));
    } else if (c == '"' || c == '\'') {
      string(c);
    } else {
      op();
    }
  }

  /// Digits with single underscores between them, appended without the underscores.
  template <class IsDigit>
  std::size_t digits(std::size_t at, std::string& out, IsDigit is_digit) const {
    while (is_digit(peek(at)) || (peek(at) == '_' && !out.empty() && is_digit(peek(at + 1)))) {
      if (source_[at] != '_') out += source_[at];
      ++at;
    }
    return at;
  }

  bool real_number() {
    if (at_ > 0 && source_[at_ - 1] == '.') return false;
    std::string text;
    std::size_t at = digits(at_, text, is_digit_char);
    bool is_real = false;
    if (peek(at) == '.' && is_digit_char(peek(at + 1))) {
      std::string fraction;
      at = digits(at + 1, fraction, is_digit_char);
      text += "." + fraction;
      is_real = true;
    }
    if (peek(at) == 'e' || peek(at) == 'E') {
      const std::size_t sign = peek(at + 1) == '+' || peek(at + 1) == '-' ? 1 : 0;
      if (is_digit_char(peek(at + 1 + sign))) {
        std::string exponent;
        const bool negative = peek(at + 1) == '-';
        at = digits(at + 1 + sign, exponent, is_digit_char);
        text += (negative ? "e-" : "e") + exponent;
        is_real = true;
      }
    }
    if (!is_real) return false;
    double value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc()) syntax_error(at_, "number out of range: " + text);
    add(TokenKind::real, at_, text).real = value;
    at_ = at;
    return true;
  }

  void number() {
    if (real_number()) return;
    int base = 10;
    std::size_t at = at_;
    const char prefix = static_cast<char>(peek(at + 1) | 0x20);
    if (source_[at] == '0') base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
    std::string text;
    const auto is_digit = [&](char c) {
      const char lower = static_cast<char>(c | 0x20);
      if (base == 16 && lower >= 'a' && lower <= 'f') return true;
      return is_digit_char(c) && c - '0' < base;
    };
    if (base == 10) {
      // A leading zero is a number of its own unless only zeros follow.
      const bool zero = source_[at] == '0';
      at = digits(at, text, [&](char c) { return zero ? c == '0' : is_digit_char(c); });
    } else {
      at += 2;
      if (peek(at) == '_') ++at;
      at = digits(at, text, is_digit);
      if (text.empty()) {  // "0x" without digits: the number 0, then a name
        at = at_ + 1;
        text = "0";
      }
    }
    std::int64_t value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (result.ec != std::errc()) {
      throw Fault{ErrorKind::unsupported, "integer beyond 64 bits: " + text, at_, true};
    }
    add(TokenKind::integer, at_, text).integer = value;
    at_ = at;
  }

  void string(char quote) {
    const std::size_t begin = at_++;
    std::string text;
    while (peek(at_) != quote || at_ >= source_.size()) {
      if (at_ >= source_.size()) syntax_error(begin, "string is not closed");
      if (source_[at_] == '\\') {
        escape(text);
      } else {
        text += source_[at_++];
      }
    }
    ++at_;
    add(TokenKind::string, begin, std::move(text));
  }

  /// One escape of a string literal, as Python's unicode_escape codec reads it.
  void escape(std::string& out) {
    const std::size_t begin = at_++;
    if (at_ >= source_.size()) syntax_error(begin, "string is not closed");
    const char c = source_[at_];
    static constexpr std::string_view kNames = "\\'\"abfnrtv";
    static constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
    if (c == '\n') {
      ++at_;
    } else if (const std::size_t simple = kNames.find(c); simple != std::string_view::npos) {
      out += kValues[simple];
      ++at_;
    } else if (c >= '0' && c <= '7') {
      std::uint32_t value = 0;
      for (int i = 0; i < 3 && peek(at_) >= '0' && peek(at_) <= '7'; ++i) {
        value = value * 8 + static_cast<std::uint32_t>(source_[at_++] - '0');
      }
      append_utf8(out, value);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      hex_escape(out, begin, c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c == 'N') {
      throw Fault{ErrorKind::unsupported, "character name escape \\N", begin, true};
    } else if ((c & 0x80) != 0) {
      // jinja2 writes the character as an escape first, so its backslash is what gets escaped.
      const CodePoint point = decode(source_, at_);
      const int width = point.value < 0x100 ? 2 : point.value < 0x10000 ? 4 : 8;
      out += fmt::format("\\{}{:0{}x}",
                         width == 2   ? 'x'
                         : width == 4 ? 'u'
                                      : 'U',
                         point.value, width);
      at_ += point.bytes;
    } else {
      out += '\\';
      out += c;
      ++at_;
    }
  }

  void hex_escape(std::string& out, std::size_t begin, std::size_t width) {
    const std::string_view hex = source_.substr(at_ + 1, width);
    std::uint32_t value = 0;
    const auto result = std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
    if (hex.size() != width || result.ec != std::errc() || result.ptr != hex.data() + width) {
      syntax_error(begin, "truncated escape in a string");
    }
    if (value > 0x10FFFF) syntax_error(begin, "illegal Unicode character in a string");
    if ((value >> 11) == 0x1B) {
      throw Fault{ErrorKind::unsupported, "lone surrogate in a string", begin, true};
    }
    append_utf8(out, value);
    at_ += 1 + width;
  }

  void op() {
    static constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
    for (const std::string_view two : kTwo) {
      if (starts_with(two, at_)) {
        add(TokenKind::op, at_, std::string(two));
        at_ += 2;
        return;
      }
    }
    const char c = source_[at_];
    if (std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
      const std::string_view shown = source_.substr(at_, decode(source_, at_).bytes);
      syntax_error(at_, fmt::format("unexpected character '{}'", shown));
    }
    if (c == '(' || c == '[' || c == '{') {
      brackets_ += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets_.empty()) syntax_error(at_, fmt::format("unexpected '{}'", c));
      if (brackets_.back() != c) {
        syntax_error(at_, fmt::format("unexpected '{}', expected '{}'", c, brackets_.back()));
      }
      brackets_.pop_back();
    }
    add(TokenKind::op, at_, std::string(1, c));
    ++at_;
  }

  std::string_view source_;
  std::size_t at_ = 0;
  std::vector<Token> tokens_;
  std::string brackets_;  ///< closing brackets still expected in this tag
};

}  // namespace

std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace checkbit::jinja
