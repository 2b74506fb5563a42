#include "measure/token_class.h"

#include "run/tokenizer/utf8.h"

namespace checkbit {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(std::uint32_t c) { return c >= '0' && c <= '9'; }
bool is_ascii_letter(std::uint32_t c) { return (c | 0x20U) >= 'a' && (c | 0x20U) <= 'z'; }

/// Latin-1 signs, general punctuation, CJK punctuation.
bool is_wide_punctuation(std::uint32_t c) {
  return (c >= 0xA1 && c <= 0xBF) || (c >= 0x2010 && c <= 0x206F) || (c >= 0x3001 && c <= 0x303F) ||
         (c >= 0xFF01 && c <= 0xFF0F);
}

bool is_letter(const DecodedChar& c) {
  if (c.code_point < 0x80) return is_ascii_letter(c.code_point);
  return c.well_formed && !is_wide_punctuation(c.code_point) && c.code_point != 0xFFFD;
}

TokenClass class_of(const DecodedChar& first) {
  if (is_digit(first.code_point)) return TokenClass::number;
  if (is_letter(first)) return TokenClass::word_inside;
  if (first.code_point > 0x20 && first.code_point < 0x7F) return TokenClass::punctuation;
  if (first.well_formed && is_wide_punctuation(first.code_point)) return TokenClass::punctuation;
  return TokenClass::other;
}

}  // namespace

std::string_view to_string(TokenClass kind) {
  constexpr std::string_view kNames[kTokenClasses] = {"word start",  "word inside", "number",
                                                      "punctuation", "white space", "other"};
  return kNames[static_cast<std::size_t>(kind)];
}

TokenClasses::Entry TokenClasses::classify(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && is_space(bytes[at])) ++at;
  Entry entry;
  if (at == bytes.size()) {
    if (at > 0) entry.kind = TokenClass::white_space;
    return entry;
  }
  entry.kind = class_of(decode_lenient(bytes, at));
  const bool contraction = bytes[at] == '\'' && at + 1 < bytes.size() &&
                           is_letter(decode_lenient(bytes, at + 1));  // the "'t" of "don't"
  if (contraction && at == 0) entry.kind = TokenClass::word_inside;
  if (entry.kind == TokenClass::word_inside && at > 0) entry.kind = TokenClass::word_start;
  DecodedChar last;
  while (at < bytes.size()) {
    last = decode_lenient(bytes, at);
    at += last.length_bytes;
  }
  // "don" + "'" + "t" is one word.
  entry.ends_in_word = is_letter(last) || is_digit(last.code_point) || last.code_point == '\'' ||
                       last.code_point == 0x2019;
  return entry;
}

TokenClasses::TokenClasses(const Tokenizer& tokenizer) {
  entries_.reserve(tokenizer.size());
  for (std::size_t id = 0; id < tokenizer.size(); ++id) {
    entries_.push_back(classify(tokenizer.piece(static_cast<TokenId>(id))));
  }
}

TokenClasses::TokenClasses(const std::vector<std::string_view>& pieces) {
  for (const std::string_view piece : pieces) entries_.push_back(classify(piece));
}

const TokenClasses::Entry* TokenClasses::find(TokenId id) const {
  const bool known = id >= 0 && static_cast<std::size_t>(id) < entries_.size();
  return known ? &entries_[static_cast<std::size_t>(id)] : nullptr;
}

TokenClass TokenClasses::of(TokenId previous, TokenId token) const {
  const Entry* entry = find(token);
  if (entry == nullptr) return TokenClass::other;
  if (entry->kind != TokenClass::word_inside) return entry->kind;
  const Entry* before = find(previous);
  const bool continues = before != nullptr && before->ends_in_word;
  return continues ? TokenClass::word_inside : TokenClass::word_start;
}

}  // namespace checkbit
