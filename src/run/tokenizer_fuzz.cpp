// Fuzz target: a vocabulary and a text from the fuzzer's bytes. Creating may refuse, but nothing
// may crash; with a vocabulary that spells every byte, decode(encode(text)) must be the text again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "run/tokenizer.h"
#include "run/tokenizer/pretokenizer.h"
#include "run/tokenizer/synthetic_vocabulary.h"

namespace checkbit {
namespace {

/// Takes values from the front of the fuzzer's bytes; zeros when they are used up.
class Source {
 public:
  explicit Source(std::string_view bytes) : bytes_(bytes) {}
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const char first = bytes_.front();
    bytes_.remove_prefix(1);
    return static_cast<std::uint8_t>(first);
  }
  std::string_view text(std::size_t length) {
    const std::string_view taken = bytes_.substr(0, length);
    bytes_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() { return text(bytes_.size()); }

 private:
  std::string_view bytes_;
};

std::string pretokenizer_name(std::uint8_t choice) {
  const auto& specs = pretokenizer_specs();
  if (choice >= specs.size()) return choice % 2 == 0 ? "gpt-2" : "no such name";
  return std::string(specs[choice].names.substr(0, specs[choice].names.find(' ')));
}

struct Case {
  Metadata metadata;
  bool spells_every_byte = false;  ///< nothing but ordinary pieces on top of all 256 bytes
};

/// Overwrites a key with something that does not belong there.
void harm(Metadata& metadata, Source& source) {
  constexpr const char* kKeys[] = {
      "tokenizer.ggml.tokens",           "tokenizer.ggml.token_type",
      "tokenizer.ggml.scores",           "tokenizer.ggml.merges",
      "tokenizer.ggml.bos_token_id",     "tokenizer.ggml.eos_token_id",
      "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.add_bos_token",
      "tokenizer.ggml.add_eos_token",    "tokenizer.ggml.add_space_prefix",
      "tokenizer.ggml.eot_token_id",     "general.name"};
  const std::string key = kKeys[source.byte() % std::size(kKeys)];
  switch (source.byte() % 6) {
    case 0:
      metadata.erase(key);
      break;
    case 1:
      metadata.set(key, GgufValue::of(static_cast<std::uint32_t>(source.byte()) * 3));
      break;
    case 2:
      metadata.set(key, GgufValue::of(source.byte() % 2 == 0));
      break;
    case 3:
      metadata.set(key, GgufValue::of(std::string(source.text(source.byte() % 16))));
      break;
    case 4:
      metadata.set(key, GgufValue::of(std::vector<std::uint32_t>(source.byte(), 4)));
      break;
    default:
      metadata.set(key, GgufValue::of(std::vector<std::string>(source.byte() % 8, "x y")));
  }
}

Case make_case(Source& source) {
  const std::uint8_t shape = source.byte();
  const bool sentence_piece = (shape & 1) != 0;
  const bool with_bytes = (shape & 2) == 0;
  SyntheticVocabulary vocabulary;
  if (with_bytes) {
    vocabulary =
        sentence_piece ? SyntheticVocabulary::sentence_piece() : SyntheticVocabulary::byte_level();
  }
  if (sentence_piece) {
    vocabulary.model = "llama";
    vocabulary.add("\u2581");
  }
  vocabulary.pretokenizer = pretokenizer_name(source.byte());

  Case result;
  result.spells_every_byte = with_bytes;
  for (int pieces = source.byte() % 64; pieces > 0; --pieces) {
    const std::uint8_t type = source.byte() % 8;
    const float score = static_cast<float>(source.byte() % 16) - 8.0f;
    vocabulary.add(std::string(source.text(source.byte() % 12)), type, score);
    result.spells_every_byte = result.spells_every_byte && type == kTypeNormal;
  }
  for (int merges = source.byte() % 64; merges > 0 && !vocabulary.pieces.empty(); --merges) {
    const std::string first = vocabulary.pieces[source.byte() % vocabulary.pieces.size()];
    const std::string second = vocabulary.pieces[source.byte() % vocabulary.pieces.size()];
    vocabulary.merge(first, second);
  }
  result.metadata = vocabulary.metadata();
  for (int harms = source.byte() % 4; harms > 0; --harms) {
    harm(result.metadata, source);
    result.spells_every_byte = false;
  }
  return result;
}

/// What the header promises, for text that the model can hold: SentencePiece writes a space like a
/// literal U+2581, also inside a broken sequence.
void check_round_trip(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<TokenId> ids = tokenizer.encode(text, {false, false});
  for (const TokenId id : ids) {
    if (tokenizer.is_control(id)) return;  // a name that looks like a control token
  }
  const NormalizedText normalized(text);
  if (tokenizer.model_name() == "llama" &&
      (text.find("\u2581") != std::string_view::npos || normalized.bytes() != text)) {
    return;
  }
  if (tokenizer.decode(ids) != normalized.bytes()) std::abort();
}

void run(std::string_view bytes) {
  Source source(bytes);
  const Case fuzzed = make_case(source);
  const EncodeOptions options{.add_special = source.byte() % 2 == 0,
                              .parse_special = source.byte() % 2 == 0};
  const auto tokenizer = Tokenizer::create(fuzzed.metadata);
  if (!tokenizer.ok()) {
    if (tokenizer.error().message.empty()) std::abort();
    return;
  }
  const std::string_view text = source.rest();
  const std::vector<TokenId> ids = tokenizer->encode(text, options);
  Utf8Stream stream;
  std::string streamed;
  std::string joined;
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= tokenizer->size()) std::abort();
    streamed += stream.push(tokenizer->piece(id, true));
    joined += tokenizer->piece(id, true);
  }
  streamed += stream.flush();
  if (streamed != joined) std::abort();

  if (fuzzed.spells_every_byte) check_round_trip(*tokenizer, text);
}

}  // namespace
}  // namespace checkbit

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  checkbit::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
