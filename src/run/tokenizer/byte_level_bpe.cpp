#include "run/tokenizer/byte_level_bpe.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "run/tokenizer/utf8.h"

namespace checkbit {
namespace {

constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";

/// Printable Latin-1 characters stand for their own byte; the other 68 bytes, in order, for U+0100
/// and following.
bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::uint32_t kAlphabetEnd = 0x100 + 68;

struct Alphabet {
  std::array<std::string, 256> of_byte;
  std::array<int, kAlphabetEnd> byte_of;  ///< -1: not in the alphabet

  Alphabet() {
    byte_of.fill(-1);
    std::uint32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const std::uint32_t code_point = stands_for_itself(byte) ? byte : next++;
      append_utf8(of_byte[byte], code_point);
      byte_of[code_point] = static_cast<int>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

struct RankedMerge {
  TokenId left, right;
  std::uint32_t rank;
  TokenId result;
};

/// One line of the merges: two pieces with a space between them. Pieces may contain spaces, but the
/// first space after the first character separates.
Result<RankedMerge> parse_merge(std::string_view line, std::size_t rank,
                                const Vocabulary& vocabulary) {
  const std::size_t space = line.empty() ? std::string_view::npos : line.find(' ', 1);
  if (space == std::string_view::npos) {
    return fail(ErrorKind::corrupt, "{}[{}] is \"{}\", not two pieces with a space between them",
                kMergesKey, rank, line);
  }
  const std::string_view first = line.substr(0, space);
  const std::string_view second = line.substr(space + 1);
  const std::string joined = std::string(first).append(second);
  const auto find = [&](std::string_view piece) -> Result<TokenId> {
    if (const auto id = vocabulary.find(piece)) return *id;
    return fail(ErrorKind::corrupt, "{}[{}]: the piece \"{}\" is not in tokenizer.ggml.tokens",
                kMergesKey, rank, piece);
  };
  RankedMerge merge{.rank = static_cast<std::uint32_t>(rank)};
  CB_TRY(merge.left, find(first));
  CB_TRY(merge.right, find(second));
  CB_TRY(merge.result, find(joined));
  return merge;
}

/// Sorted by left, then right; a pair that is listed twice keeps its first rank.
void sort_and_deduplicate(std::vector<RankedMerge>& merges) {
  std::sort(merges.begin(), merges.end(), [](const RankedMerge& a, const RankedMerge& b) {
    return std::tie(a.left, a.right, a.rank) < std::tie(b.left, b.right, b.rank);
  });
  const auto same_pair = [](const RankedMerge& a, const RankedMerge& b) {
    return a.left == b.left && a.right == b.right;
  };
  merges.erase(std::unique(merges.begin(), merges.end(), same_pair), merges.end());
}

}  // namespace

Result<ByteLevelBpe> ByteLevelBpe::create(const Metadata& metadata, const Vocabulary& vocabulary) {
  CB_TRY(const PretokenizerSpec* spec, find_pretokenizer(vocabulary.pretokenizer_name()));
  ByteLevelBpe bpe(*spec);
  for (unsigned byte = 0; byte < 256; ++byte) {
    bpe.byte_tokens_[byte] =
        vocabulary.find(alphabet().of_byte[byte]).value_or(PairMerger::kNoToken);
  }
  CB_TRY_STATUS(bpe.read_merges(metadata, vocabulary));
  return bpe;
}

Status ByteLevelBpe::read_merges(const Metadata& metadata, const Vocabulary& vocabulary) {
  const std::vector<std::string>* lines = metadata.get_strings(kMergesKey);
  if (lines == nullptr) {
    return fail(ErrorKind::corrupt, "{} is missing or not an array of strings", kMergesKey);
  }
  if (lines->size() > std::numeric_limits<std::uint32_t>::max()) {
    return fail(ErrorKind::unsupported, "{} has {} entries, too many", kMergesKey, lines->size());
  }
  std::vector<RankedMerge> ranked;
  ranked.reserve(lines->size());
  for (std::size_t rank = 0; rank < lines->size(); ++rank) {
    CB_TRY(const RankedMerge merge, parse_merge((*lines)[rank], rank, vocabulary));
    ranked.push_back(merge);
  }
  sort_and_deduplicate(ranked);

  first_merge_.assign(vocabulary.size() + 1, 0);
  merges_.reserve(ranked.size());
  for (const RankedMerge& merge : ranked) {
    ++first_merge_[static_cast<std::size_t>(merge.left) + 1];
    merges_.push_back({merge.right, merge.rank, merge.result});
  }
  for (std::size_t i = 1; i < first_merge_.size(); ++i) first_merge_[i] += first_merge_[i - 1];
  return {};
}

std::optional<PairMerger::Merge> ByteLevelBpe::find_merge(TokenId left, TokenId right) const {
  if (left < 0 || right < 0) return std::nullopt;
  const auto begin = merges_.begin() + first_merge_[static_cast<std::size_t>(left)];
  const auto end = merges_.begin() + first_merge_[static_cast<std::size_t>(left) + 1];
  const auto found = std::lower_bound(
      begin, end, right, [](const Merge& merge, TokenId wanted) { return merge.right < wanted; });
  if (found == end || found->right != right) return std::nullopt;
  return PairMerger::Merge{found->rank, found->result};
}

void ByteLevelBpe::encode(std::string_view text, const Vocabulary& vocabulary,
                          std::vector<TokenId>& ids) const {
  const NormalizedText normalized(text);
  PairMerger merger;
  std::string spelled;
  std::size_t begin = 0;
  pretokenizer_.split(normalized.subject(), [&](std::size_t end) {
    const std::string_view word = normalized.bytes().substr(begin, end - begin);
    begin = end;
    if (whole_word_first_) {
      spelled.clear();
      for (const char c : word) spelled += alphabet().of_byte[static_cast<std::uint8_t>(c)];
      if (const auto whole = vocabulary.find(spelled)) {
        ids.push_back(*whole);
        return;
      }
    }
    for (std::size_t cut = 0; cut < word.size(); cut += PairMerger::kMaxWordBytes) {
      encode_word(word.substr(cut, PairMerger::kMaxWordBytes), merger, ids);
    }
  });
}

void ByteLevelBpe::encode_word(std::string_view word, PairMerger& merger,
                               std::vector<TokenId>& ids) const {
  merger.start(word.size());
  for (std::uint32_t i = 0; i < word.size(); ++i) {
    merger.add(i, i + 1, byte_tokens_[static_cast<std::uint8_t>(word[i])]);
  }
  merger.merge([&](std::uint32_t left, std::uint32_t right, std::uint32_t) {
    return find_merge(merger.token(left), merger.token(right));
  });
  merger.for_each([&](std::uint32_t, std::uint32_t, TokenId token) {
    if (token != PairMerger::kNoToken) ids.push_back(token);
  });
}

std::string ByteLevelBpe::decode_piece(std::string_view piece) {
  std::string bytes;
  for (std::size_t position = 0; position < piece.size();) {
    const DecodedChar decoded = decode_lenient(piece, position);
    const bool known = decoded.well_formed && decoded.code_point < kAlphabetEnd &&
                       alphabet().byte_of[decoded.code_point] >= 0;
    if (known) {
      bytes += static_cast<char>(alphabet().byte_of[decoded.code_point]);
    } else {
      bytes += piece.substr(position, decoded.length_bytes);
    }
    position += decoded.length_bytes;
  }
  return bytes;
}

}  // namespace checkbit
