#include "run/tokenizer.h"

#include <utility>
#include <variant>

#include "run/tokenizer/byte_level_bpe.h"
#include "run/tokenizer/sentence_piece.h"
#include "run/tokenizer/special_splitter.h"
#include "run/tokenizer/vocabulary.h"

namespace checkbit {

struct Tokenizer::Impl {
  explicit Impl(Vocabulary read) : vocabulary(std::move(read)), splitter(vocabulary) {}

  Vocabulary vocabulary;
  SpecialSplitter splitter;
  std::variant<std::monostate, ByteLevelBpe, SentencePiece> model;
  StringPool pieces;  ///< [tokens] the bytes of each token

  void encode_fragment(std::string_view text, bool after_special, std::vector<TokenId>& ids) const {
    if (const auto* bpe = std::get_if<ByteLevelBpe>(&model)) {
      bpe->encode(text, vocabulary, ids);
    } else if (const auto* sentence_piece = std::get_if<SentencePiece>(&model)) {
      const bool space_prefix = vocabulary.special().add_space_prefix && after_special;
      sentence_piece->encode(text, space_prefix, vocabulary, ids);
    }
  }

  /// True for tokens that encode takes out of the text before merging.
  bool cuts_text(TokenId id) const {
    return (vocabulary.flags(id) & (kControl | kUnknown | kUserDefined)) != 0;
  }

  void spell_pieces() {
    const bool sentence_piece = std::holds_alternative<SentencePiece>(model);
    pieces.reserve(vocabulary.size());
    for (TokenId id = 0; vocabulary.contains(id); ++id) {
      const std::uint8_t flags = vocabulary.flags(id);
      if (sentence_piece) {
        pieces.append(SentencePiece::decode_piece(vocabulary, id));
      } else if (cuts_text(id)) {
        pieces.append(vocabulary.text(id));
      } else {
        pieces.append((flags & kNormal) != 0 ? ByteLevelBpe::decode_piece(vocabulary.text(id))
                                             : "");
      }
    }
  }
};

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::create(const Metadata& metadata) {
  CB_TRY(Vocabulary vocabulary, Vocabulary::create(metadata));
  auto impl = std::make_unique<Impl>(std::move(vocabulary));
  if (impl->vocabulary.kind() == VocabularyKind::byte_level) {
    CB_TRY(impl->model, ByteLevelBpe::create(metadata, impl->vocabulary));
  } else {
    CB_TRY(impl->model, SentencePiece::create(impl->vocabulary));
  }
  impl->spell_pieces();
  return Tokenizer(std::move(impl));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  const Vocabulary::Special& special = impl_->vocabulary.special();
  std::vector<TokenId> ids;
  if (options.add_special && special.add_bos) ids.push_back(*special.bos);
  bool after_special = true;
  const auto take = [&](const TextFragment& fragment) {
    if (fragment.token) {
      ids.push_back(*fragment.token);
    } else {
      impl_->encode_fragment(fragment.text, after_special, ids);
    }
    after_special = fragment.token.has_value();
  };
  impl_->splitter.split(text, options.parse_special, impl_->vocabulary, take);
  if (options.add_special && special.add_eos) ids.push_back(*special.eos);
  return ids;
}

std::string_view Tokenizer::piece(TokenId id, bool special) const {
  if (!impl_->vocabulary.contains(id)) return {};
  if (!special && impl_->vocabulary.is_special(id)) return {};
  return impl_->pieces[static_cast<std::size_t>(id)];
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool special) const {
  std::string text;
  bool after_special = impl_->vocabulary.special().add_space_prefix;
  for (const TokenId id : ids) {
    std::string_view bytes = piece(id, special);
    const bool cuts = impl_->vocabulary.contains(id) && impl_->cuts_text(id);
    if (after_special && !cuts && bytes.starts_with(' ')) bytes.remove_prefix(1);
    after_special = cuts && impl_->vocabulary.special().add_space_prefix;
    text += bytes;
  }
  return text;
}

std::size_t Tokenizer::size() const { return impl_->vocabulary.size(); }
std::optional<TokenId> Tokenizer::bos() const { return impl_->vocabulary.special().bos; }
std::optional<TokenId> Tokenizer::eos() const { return impl_->vocabulary.special().eos; }

bool Tokenizer::is_end_of_generation(TokenId id) const {
  return impl_->vocabulary.contains(id) &&
         impl_->vocabulary.special().ends_generation[static_cast<std::size_t>(id)];
}

bool Tokenizer::is_control(TokenId id) const {
  return impl_->vocabulary.contains(id) && impl_->vocabulary.is_special(id);
}

std::optional<TokenId> Tokenizer::find(std::string_view piece) const {
  return impl_->vocabulary.find(piece);
}

std::string_view Tokenizer::model_name() const {
  return impl_->vocabulary.kind() == VocabularyKind::byte_level ? "gpt2" : "llama";
}

}  // namespace checkbit
