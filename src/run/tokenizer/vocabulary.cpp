#include "run/tokenizer/vocabulary.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "run/tokenizer/pretokenizer.h"
#include "run/tokenizer/special_names.h"

namespace checkbit {
namespace {

constexpr std::string_view kModelKey = "tokenizer.ggml.model";
constexpr std::string_view kPreKey = "tokenizer.ggml.pre";
constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";
constexpr std::string_view kScoresKey = "tokenizer.ggml.scores";
constexpr std::string_view kBosKey = "tokenizer.ggml.bos_token_id";
constexpr std::string_view kEosKey = "tokenizer.ggml.eos_token_id";
constexpr std::string_view kUnknownKey = "tokenizer.ggml.unknown_token_id";
constexpr std::string_view kAddBosKey = "tokenizer.ggml.add_bos_token";
constexpr std::string_view kAddEosKey = "tokenizer.ggml.add_eos_token";
constexpr std::string_view kSpacePrefixKey = "tokenizer.ggml.add_space_prefix";

std::size_t hash_of(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

/// GGUF's token types; any other value means "none of these", as does 5, "unused".
std::uint8_t flags_from_type(std::int64_t type) {
  switch (type) {
    case 1:
      return kNormal;
    case 2:
      return kUnknown;
    case 3:
      return kControl;
    case 4:
      return kUserDefined;
    case 6:
      return kByte;
    default:
      return 0;
  }
}

Error wrong_length(std::string_view key, std::size_t length, std::size_t expected) {
  return fail(ErrorKind::corrupt, "{} has {} entries, but {} has {}", key, length, kTokensKey,
              expected);
}

/// A flag that may be absent; present with another kind is an error.
Result<bool> read_flag(const Metadata& metadata, std::string_view key, bool when_absent) {
  if (metadata.find(key) == nullptr) return when_absent;
  const auto value = metadata.get_bool(key);
  if (!value) return fail(ErrorKind::corrupt, "{} is not a boolean", key);
  return *value;
}

}  // namespace

Result<Vocabulary> Vocabulary::create(const Metadata& metadata) {
  const auto model = metadata.get_string(kModelKey);
  if (!model) return fail(ErrorKind::corrupt, "{} is missing or not a string", kModelKey);
  Vocabulary vocabulary;
  if (*model == "gpt2") {
    vocabulary.kind_ = VocabularyKind::byte_level;
  } else if (*model == "llama") {
    vocabulary.kind_ = VocabularyKind::sentence_piece;
  } else {
    return fail(ErrorKind::unsupported,
                "{} \"{}\": this tokenizer is not known; known are \"gpt2\" and \"llama\"",
                kModelKey, *model);
  }
  const auto pretokenizer = metadata.get_string(kPreKey);
  if (!pretokenizer && metadata.find(kPreKey) != nullptr) {
    return fail(ErrorKind::corrupt, "{} is not a string", kPreKey);
  }
  vocabulary.pretokenizer_name_ = pretokenizer.value_or("default");
  CB_TRY_STATUS(vocabulary.read_pieces(metadata));
  CB_TRY_STATUS(vocabulary.read_types(metadata));
  CB_TRY_STATUS(vocabulary.read_scores(metadata));
  CB_TRY_STATUS(vocabulary.read_special(metadata));
  return vocabulary;
}

Status Vocabulary::read_pieces(const Metadata& metadata) {
  const std::vector<std::string>* pieces = metadata.get_strings(kTokensKey);
  if (pieces == nullptr) {
    return fail(ErrorKind::corrupt, "{} is missing or not an array of strings", kTokensKey);
  }
  if (pieces->empty()) return fail(ErrorKind::corrupt, "{} is empty", kTokensKey);
  if (pieces->size() > static_cast<std::size_t>(std::numeric_limits<TokenId>::max() / 2)) {
    return fail(ErrorKind::unsupported, "{} has {} entries, too many", kTokensKey, pieces->size());
  }
  texts_.reserve(pieces->size());
  for (const std::string& piece : *pieces) {
    texts_.append(piece);
    longest_text_ = std::max(longest_text_, piece.size());
  }

  slots_.assign(std::bit_ceil(pieces->size() * 2), -1);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t id = 0; id < pieces->size(); ++id) {
    const std::string_view piece = texts_[id];
    if (piece.empty()) continue;  // a hole in the vocabulary: never found, decodes to nothing
    std::size_t slot = hash_of(piece) & mask;
    while (slots_[slot] >= 0) {
      if (text(slots_[slot]) == piece) {
        return fail(ErrorKind::corrupt, "{}[{}] is the same piece as [{}]: \"{}\"", kTokensKey, id,
                    slots_[slot], piece);
      }
      slot = (slot + 1) & mask;
    }
    slots_[slot] = static_cast<TokenId>(id);
  }
  return {};
}

std::optional<TokenId> Vocabulary::find(std::string_view wanted) const {
  if (wanted.empty() || wanted.size() > longest_text_) return std::nullopt;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash_of(wanted) & mask; slots_[slot] >= 0; slot = (slot + 1) & mask) {
    if (text(slots_[slot]) == wanted) return slots_[slot];
  }
  return std::nullopt;
}

Status Vocabulary::read_types(const Metadata& metadata) {
  flags_.assign(size(), kNormal);
  if (metadata.find(kTypesKey) == nullptr) return {};
  const auto types = metadata.get_ints(kTypesKey);
  if (!types) return fail(ErrorKind::corrupt, "{} is not an array of integers", kTypesKey);
  if (types->size() != size()) return wrong_length(kTypesKey, types->size(), size());
  std::ranges::transform(*types, flags_.begin(), flags_from_type);
  return {};
}

Status Vocabulary::read_scores(const Metadata& metadata) {
  if (metadata.find(kScoresKey) == nullptr) {
    if (kind_ == VocabularyKind::byte_level) return {};
    return fail(ErrorKind::corrupt, "{} is missing; a \"llama\" tokenizer needs it", kScoresKey);
  }
  if (auto floats = metadata.get_floats(kScoresKey)) {
    scores_ = *std::move(floats);
  } else if (const auto integers = metadata.get_ints(kScoresKey)) {
    scores_.assign(integers->begin(), integers->end());
  } else {
    return fail(ErrorKind::corrupt, "{} is not an array of numbers", kScoresKey);
  }
  if (scores_.size() != size()) return wrong_length(kScoresKey, scores_.size(), size());
  const auto bad = std::ranges::find_if(scores_, [](float score) { return std::isnan(score); });
  if (bad != scores_.end()) {
    return fail(ErrorKind::corrupt, "{}[{}] is NaN", kScoresKey, bad - scores_.begin());
  }
  return {};
}

Result<std::optional<TokenId>> Vocabulary::read_id(const Metadata& metadata,
                                                   std::string_view key) const {
  if (metadata.find(key) == nullptr) return std::optional<TokenId>{};
  const auto value = metadata.get_int(key);
  if (!value) return fail(ErrorKind::corrupt, "{} is not an integer", key);
  if (*value < 0 || static_cast<std::uint64_t>(*value) >= size()) {
    return fail(ErrorKind::corrupt, "{} is {}, but there are {} tokens", key, *value, size());
  }
  return std::optional<TokenId>(static_cast<TokenId>(*value));
}

Status Vocabulary::read_special(const Metadata& metadata) {
  const bool sentence_piece = kind_ == VocabularyKind::sentence_piece;
  // Models of the first "llama" files: <unk>, <s>, </s> are 0, 1, 2 without being named.
  const auto old_default = [&](TokenId id) {
    return sentence_piece && contains(id) ? std::optional<TokenId>(id) : std::nullopt;
  };
  CB_TRY(special_.bos, read_id(metadata, kBosKey));
  CB_TRY(special_.eos, read_id(metadata, kEosKey));
  CB_TRY(special_.unknown, read_id(metadata, kUnknownKey));
  if (!special_.bos) special_.bos = old_default(1);
  if (!special_.eos) special_.eos = old_default(2);
  if (!special_.unknown) special_.unknown = old_default(0);

  unsigned pre_flags = kNoFlags;
  if (!sentence_piece) {
    CB_TRY(const PretokenizerSpec* spec, find_pretokenizer(pretokenizer_name_));
    pre_flags = spec->flags;
  }
  CB_TRY(special_.add_bos,
         read_flag(metadata, kAddBosKey, sentence_piece || (pre_flags & kAddBosByDefault) != 0));
  CB_TRY(special_.add_eos, read_flag(metadata, kAddEosKey, false));
  CB_TRY(special_.add_space_prefix, read_flag(metadata, kSpacePrefixKey, sentence_piece));
  special_.add_space_prefix = special_.add_space_prefix && sentence_piece;
  if (special_.add_bos && !special_.bos) {
    return fail(ErrorKind::corrupt, "{} is needed to begin a sequence and is missing", kBosKey);
  }
  if (special_.add_eos && !special_.eos) {
    return fail(ErrorKind::corrupt, "{} is true, but {} is missing", kAddEosKey, kEosKey);
  }

  KnownIds known;
  known.eos = special_.eos;
  CB_TRY(known.end_of_turn, read_id(metadata, "tokenizer.ggml.eot_token_id"));
  CB_TRY(known.end_of_message, read_id(metadata, "tokenizer.ggml.eom_token_id"));
  CB_TRY(known.fim_prefix, read_id(metadata, "tokenizer.ggml.fim_pre_token_id"));
  CB_TRY(known.fim_suffix, read_id(metadata, "tokenizer.ggml.fim_suf_token_id"));
  CB_TRY(known.fim_middle, read_id(metadata, "tokenizer.ggml.fim_mid_token_id"));
  CB_TRY(known.fim_pad, read_id(metadata, "tokenizer.ggml.fim_pad_token_id"));
  CB_TRY(known.fim_repository, read_id(metadata, "tokenizer.ggml.fim_rep_token_id"));
  CB_TRY(known.fim_separator, read_id(metadata, "tokenizer.ggml.fim_sep_token_id"));

  const NamedTokens named{[this](std::string_view name) { return find(name); }, flags_};
  special_.ends_generation = apply_special_names(named, known);
  apply_strip_rules(named, metadata.get_string("general.name").value_or(""), pretokenizer_name_,
                    matched_in_text());
  return {};
}

std::vector<TokenId> Vocabulary::matched_in_text() const {
  std::vector<TokenId> ids;
  for (std::size_t id = 0; id < size(); ++id) {
    if ((flags_[id] & (kControl | kUserDefined | kUnknown)) != 0 && !texts_[id].empty()) {
      ids.push_back(static_cast<TokenId>(id));
    }
  }
  return ids;
}

}  // namespace checkbit
