#include "run/tokenizer/sentence_piece.h"

#include <bit>
#include <charconv>

#include "run/tokenizer/utf8.h"

namespace checkbit {
namespace {

constexpr std::string_view kSpaceMark = "\u2581";
constexpr std::size_t kLongestCharacter = 4;  ///< the most that promised_length says

/// A key that ascends as the score descends; equal scores (and both zeros) have equal keys.
std::uint32_t descending_key(float score) {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // -0 becomes +0
  const std::uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

/// The value of "<0xHH>".
std::optional<std::uint8_t> parse_byte_token(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
  std::uint8_t value = 0;
  const auto parsed = std::from_chars(text.data() + 3, text.data() + 5, value, 16);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + 5) return std::nullopt;
  return value;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string replaced;
  replaced.reserve(text.size());
  for (std::size_t position = 0;;) {
    const std::size_t found = text.find(from, position);
    replaced += text.substr(position, found - position);
    if (found == std::string_view::npos) return replaced;
    replaced += to;
    position = found + from.size();
  }
}

std::string byte_token_text(unsigned byte) { return fmt::format("<0x{:02X}>", byte); }

}  // namespace

Result<SentencePiece> SentencePiece::create(const Vocabulary& vocabulary) {
  SentencePiece model;
  model.order_.reserve(vocabulary.size());
  for (TokenId id = 0; vocabulary.contains(id); ++id) {
    model.order_.push_back(descending_key(vocabulary.score(id)));
    const std::string_view piece = vocabulary.text(id);
    if ((vocabulary.flags(id) & kByte) != 0 && !parse_byte_token(piece)) {
      return fail(ErrorKind::corrupt,
                  "tokenizer.ggml.tokens[{}] is a byte token, but \"{}\" is not of the form <0xHH>",
                  id, piece);
    }
    std::size_t mark = piece.find(kSpaceMark, 1);
    for (; mark != std::string_view::npos; mark = piece.find(kSpaceMark, mark + 1)) {
      model.joins_space_[static_cast<std::uint8_t>(piece[mark - 1])] = true;
    }
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char single = static_cast<char>(byte);
    auto token = vocabulary.find(byte_token_text(byte));
    if (!token) token = vocabulary.find(std::string_view(&single, 1));
    if (!token) token = vocabulary.special().unknown;
    model.byte_tokens_[byte] = token.value_or(PairMerger::kNoToken);
  }
  return model;
}

void SentencePiece::encode(std::string_view text, bool space_prefix, const Vocabulary& vocabulary,
                           std::vector<TokenId>& ids) const {
  // The text with its spaces marked, from the last cut on and as far as it is looked at.
  std::string marked(space_prefix ? kSpaceMark : "");
  std::size_t taken = 0;
  const auto mark_until = [&](std::size_t size) {
    for (; marked.size() < size && taken < text.size(); ++taken)
      text[taken] == ' ' ? marked.append(kSpaceMark) : marked.append(1, text[taken]);
  };
  PairMerger merger;
  std::size_t position = 0;
  while (mark_until(position + kLongestCharacter), position < marked.size()) {
    const std::size_t length =
        std::min<std::size_t>(promised_length(marked[position]), marked.size() - position);
    const bool cut_here = position > 0 && marked.compare(position, length, kSpaceMark) == 0 &&
                          !joins_space_[static_cast<std::uint8_t>(marked[position - 1])];
    if (cut_here || position + length > PairMerger::kMaxWordBytes) {
      encode_segment(std::string_view(marked).substr(0, position), vocabulary, merger, ids);
      marked.erase(0, position);
      position = 0;
    }
    position += length;
  }
  encode_segment(marked, vocabulary, merger, ids);
}

void SentencePiece::encode_segment(std::string_view segment, const Vocabulary& vocabulary,
                                   PairMerger& merger, std::vector<TokenId>& ids) const {
  merger.start(segment.size());
  for (std::uint32_t begin = 0; begin < segment.size();) {
    const auto rest = static_cast<std::uint32_t>(segment.size()) - begin;
    const std::uint32_t end = begin + std::min(promised_length(segment[begin]), rest);
    merger.add(begin, end, PairMerger::kNoToken);
    begin = end;
  }
  merger.merge([&](std::uint32_t left, std::uint32_t, std::uint32_t end) {
    const auto token = vocabulary.find(segment.substr(left, end - left));
    return token
               ? std::optional(PairMerger::Merge{order_[static_cast<std::size_t>(*token)], *token})
               : std::nullopt;
  });
  merger.for_each([&](std::uint32_t begin, std::uint32_t end, TokenId token) {
    const std::string_view text = segment.substr(begin, end - begin);
    if (token == PairMerger::kNoToken) token = vocabulary.find(text).value_or(token);
    if (token != PairMerger::kNoToken) {
      ids.push_back(token);
      return;
    }
    for (const char c : text) {
      const TokenId byte_token = byte_tokens_[static_cast<std::uint8_t>(c)];
      if (byte_token != PairMerger::kNoToken) ids.push_back(byte_token);
    }
  });
}

std::string SentencePiece::decode_piece(const Vocabulary& vocabulary, TokenId id) {
  const std::string_view piece = vocabulary.text(id);
  const std::uint8_t flags = vocabulary.flags(id);
  if ((flags & (kControl | kUnknown | kUserDefined)) != 0) return std::string(piece);
  if ((flags & kByte) != 0) {
    return std::string(1, static_cast<char>(parse_byte_token(piece).value_or(0)));
  }
  if ((flags & kNormal) != 0) return replace_all(piece, kSpaceMark, " ");
  return {};
}

}  // namespace checkbit
