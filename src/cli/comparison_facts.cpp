#include "cli/comparison_facts.h"

#include <map>
#include <string>

#include "cli/engine_flags.h"

namespace checkbit {
namespace {

/// Bits per weight by role and layer.
std::vector<StripRow> layer_bits_of(const Session& session) {
  const Model& model = session.model();
  const std::int64_t layers = model.hyperparameters().layers;
  std::vector<StripRow> rows;
  for (int r = 0; r < kRoleCount; ++r) {
    const Role role = static_cast<Role>(r);
    const RoleInfo& info = role_info(role);
    if (!info.per_layer() || info.rows == Dimension::one || model.matrix(role) == nullptr) continue;
    StripRow row{std::string(info.name), {}};
    for (char& c : row.label) c = c == '_' ? ' ' : c;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const PackedMatrix* matrix = model.matrix(role, layer);
      row.values.push_back(matrix == nullptr ? std::nullopt
                                             : std::optional(matrix->format().bits_per_weight()));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

/// A token as it stands in a sentence: line ends are shown, the rest made safe by the page.
std::string piece_in_words(const Tokenizer& tokenizer, TokenId token) {
  const std::string_view piece = tokenizer.piece(token, true);
  if (piece.empty()) return "(nothing)";
  std::string words;
  for (const char c : piece) words += c == '\n' ? std::string("⏎") : std::string(1, c);
  return words;
}

}  // namespace

ModelFacts facts_of(const Session& session) {
  ModelFacts facts;
  facts.name = model_name(session.file().path());
  facts.file_bytes = session.file().size_bytes();
  facts.bits_per_weight = bits_per_weight(session.file());
  std::map<std::string, double> bytes;
  for (const auto& tensor : session.file().tensors()) {
    bytes[std::string(tensor.info.format->name)] += static_cast<double>(tensor.bytes.size());
  }
  for (const auto& [type, amount] : bytes) facts.type_bytes.push_back({type, amount});
  facts.layer_bits = layer_bits_of(session);
  return facts;
}

std::vector<ChangedText> in_text(std::span<const ChangedChoice> examples,
                                 const Tokenizer& tokenizer) {
  std::vector<ChangedText> texts;
  for (const ChangedChoice& example : examples) {
    texts.push_back({.before = tokenizer.decode(example.before),
                     .actual = piece_in_words(tokenizer, example.actual),
                     .reference_choice = piece_in_words(tokenizer, example.reference_choice),
                     .choice = piece_in_words(tokenizer, example.choice),
                     .reference_probability = example.reference_probability,
                     .probability = example.probability});
  }
  return texts;
}

std::optional<TokenId> beginning_token(const Tokenizer& tokenizer) {
  const std::vector<TokenId> ids = tokenizer.encode("");
  if (ids.empty() || ids.front() != tokenizer.bos()) return std::nullopt;
  return ids.front();
}

}  // namespace checkbit
