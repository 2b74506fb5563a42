#include "run/tokenizer/special_names.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "run/tokenizer/vocabulary.h"

namespace checkbit {
namespace {

enum class Role {
  end_of_turn,
  end_of_message,
  ends,
  fim_prefix,
  fim_suffix,
  fim_middle,
  fim_pad,
  fim_repository,
  fim_separator
};

struct SpecialName {
  Role role;
  std::string_view text;
};

constexpr SpecialName kNames[] = {
#define SPECIAL_NAME(role, text) {Role::role, text},
#include "run/tokenizer/special_names.def"
#undef SPECIAL_NAME
};

/// The field of `known` for a role; null for `ends`.
std::optional<TokenId>* slot_of(KnownIds& known, Role role) {
  switch (role) {
    case Role::end_of_turn:
      return &known.end_of_turn;
    case Role::end_of_message:
      return &known.end_of_message;
    case Role::ends:
      return nullptr;
    case Role::fim_prefix:
      return &known.fim_prefix;
    case Role::fim_suffix:
      return &known.fim_suffix;
    case Role::fim_middle:
      return &known.fim_middle;
    case Role::fim_pad:
      return &known.fim_pad;
    case Role::fim_repository:
      return &known.fim_repository;
    case Role::fim_separator:
      return &known.fim_separator;
  }
  return nullptr;
}

bool ends_by_name(Role role) {
  return role == Role::end_of_turn || role == Role::end_of_message || role == Role::ends;
}

std::uint8_t& flags_of(const NamedTokens& tokens, TokenId id) {
  return tokens.flags[static_cast<std::size_t>(id)];
}

/// gpt-oss: these are read by programs and must always be rendered.
void show_channel_tokens(const NamedTokens& tokens) {
  for (const std::string_view text : {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"}) {
    if (const auto id = tokens.find(text)) flags_of(tokens, *id) = kUserDefined;
  }
}

/// Tokens whose name says "end" but which do not end generation in some families.
void remove_false_ends(const NamedTokens& tokens, std::vector<bool>& ends) {
  const auto is_end = [&](std::string_view text) {
    const auto id = tokens.find(text);
    return id.has_value() && ends[static_cast<std::size_t>(*id)];
  };
  const auto remove = [&](std::string_view text, std::uint8_t new_flags) {
    const TokenId id = *tokens.find(text);
    ends[static_cast<std::size_t>(id)] = false;
    flags_of(tokens, id) = new_flags;
  };
  const bool calls = is_end("<|call|>") || is_end("<|calls|>");
  if (calls && is_end("<|end|>") && (is_end("<|return|>") || is_end("<|flush|>"))) {
    remove("<|end|>", kUserDefined);
  }
  if (is_end("</s>") && (is_end("<|tool_response>") || is_end("<|plamo:eos|>"))) {
    remove("</s>", kNormal);
  }
}

}  // namespace

std::vector<bool> apply_special_names(const NamedTokens& tokens, KnownIds known) {
  std::vector<bool> ends(tokens.flags.size(), false);
  for (const SpecialName& name : kNames) {
    const auto id = tokens.find(name.text);
    if (!id) continue;
    std::optional<TokenId>* slot = slot_of(known, name.role);
    const bool fills_role = slot != nullptr && !slot->has_value();
    if (fills_role) *slot = id;
    if (ends_by_name(name.role)) ends[static_cast<std::size_t>(*id)] = true;
    if (fills_role || ends_by_name(name.role)) flags_of(tokens, *id) |= kControl;
  }
  show_channel_tokens(tokens);
  for (const auto id : {known.eos, known.end_of_turn, known.end_of_message, known.fim_pad,
                        known.fim_repository, known.fim_separator}) {
    if (id) ends[static_cast<std::size_t>(*id)] = true;
  }
  remove_false_ends(tokens, ends);
  return ends;
}

void apply_strip_rules(const NamedTokens& tokens, std::string_view model_name,
                       std::string_view pretokenizer, std::span<const TokenId> special) {
  std::string name(model_name);
  std::ranges::transform(name, name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto contains = [](std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
  };
  const auto set = [&](std::string_view text, std::uint8_t flag, bool on) {
    const auto id = tokens.find(text);
    if (!id) return;
    std::uint8_t& flags = flags_of(tokens, *id);
    flags = static_cast<std::uint8_t>(on ? flags | flag : flags & ~flag);
  };
  if (contains(pretokenizer, "jina-v2-de") || contains(pretokenizer, "jina-v2-es")) {
    set("<mask>", kStripLeft, true);
  } else if (contains(name, "phi-3") || contains(name, "phi3")) {
    for (const TokenId id : special) flags_of(tokens, id) |= kStripRight;
    set("</s>", kStripRight, true);
    for (const std::string_view text : {"<unk>", "<s>", "<|endoftext|>"}) {
      set(text, kStripRight, false);
    }
  } else if (contains(name, "modern-bert")) {
    set("[MASK]", kStripLeft, true);
  }
}

}  // namespace checkbit
