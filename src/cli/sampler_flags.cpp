#include "cli/sampler_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

namespace checkbit {
namespace {

/// "15=-2.5"
std::optional<std::pair<TokenId, float>> parse_bias(const std::string& text) {
  std::pair<TokenId, float> bias;
  const char* const end = text.data() + text.size();
  const auto id = std::from_chars(text.data(), end, bias.first);
  if (id.ec != std::errc() || id.ptr == end || *id.ptr != '=' || bias.first < 0)
    return std::nullopt;
  const auto value = std::from_chars(id.ptr + 1, end, bias.second);
  if (value.ec != std::errc() || value.ptr != end || bias.second != bias.second)
    return std::nullopt;
  return bias;
}

Flag number_flag(std::string_view name, std::string_view help, std::string_view default_value,
                 double minimum = 0, double maximum = 0) {
  return {.name = name,
          .kind = ValueKind::number,
          .value_name = "X",
          .help = help,
          .default_value = default_value,
          .minimum = minimum,
          .maximum = maximum};
}

Flag integer_flag(std::string_view name, std::string_view help, std::string_view default_value) {
  return {.name = name,
          .kind = ValueKind::integer,
          .value_name = "N",
          .help = help,
          .default_value = default_value};
}

}  // namespace

std::vector<Flag> sampler_flags() {
  Flag tokens = integer_flag("--tokens", "most tokens to generate", "256");
  tokens.short_name = 'n';
  constexpr double kAny = -1e9;
  return {
      tokens,
      number_flag("--temperature", "0 always takes the most likely token", "0.8"),
      integer_flag("--top-k", "only the N most likely tokens; 0 for all", "40"),
      number_flag("--top-p", "only the most likely tokens that share this probability", "0.95", 0,
                  1),
      number_flag("--min-p", "only tokens at least this likely, relative to the best", "0.05", 0,
                  1),
      number_flag("--repetition-penalty", "divides the logits of recent tokens; 1 for none", "1"),
      number_flag("--presence-penalty", "subtracted once from recent tokens", "0", kAny),
      number_flag("--frequency-penalty", "subtracted for each time a token is recent", "0", kAny),
      integer_flag("--penalty-window", "how many tokens are recent", "64"),
      {.name = "--logit-bias",
       .kind = ValueKind::text,
       .value_name = "ID=X",
       .help = "added to the logit of a token",
       .repeatable = true},
      integer_flag("--seed", "the same seed gives the same text, on every machine", "0"),
      {.name = "--stop",
       .kind = ValueKind::text,
       .value_name = "TEXT",
       .help = "stop before this text",
       .repeatable = true},
  };
}

Status check_sampler_flags(const Arguments& arguments) {
  for (const auto& text : arguments.texts("--logit-bias")) {
    if (!parse_bias(text))
      return fail(ErrorKind::invalid, "--logit-bias: '{}' is not ID=NUMBER", text);
  }
  for (const auto& text : arguments.texts("--stop")) {
    if (text.empty()) return fail(ErrorKind::invalid, "--stop: '' is empty");
  }
  return {};
}

std::string describe_cut(const Generation& generation) {
  if (generation.reason == StopReason::context_full)
    return "stopped because the context is full: --context N makes room";
  if (generation.reason == StopReason::token_limit && !generation.tokens.empty())
    return fmt::format("stopped at {} tokens: -n N allows more", generation.tokens.size());
  return "";
}

GenerateOptions generate_options(const Arguments& arguments) {
  GenerateOptions options;
  options.max_tokens = arguments.integer("--tokens");
  options.stop = arguments.texts("--stop");
  SamplerOptions& sampler = options.sampler;
  const auto number = [&](std::string_view name) {
    return static_cast<float>(arguments.number(name));
  };
  const auto integer = [&](std::string_view name) {
    return static_cast<int>(std::min<std::int64_t>(arguments.integer(name), 1 << 30));
  };
  sampler.temperature = number("--temperature");
  sampler.top_k = integer("--top-k");
  sampler.top_p = number("--top-p");
  sampler.min_p = number("--min-p");
  sampler.repetition_penalty = number("--repetition-penalty");
  sampler.presence_penalty = number("--presence-penalty");
  sampler.frequency_penalty = number("--frequency-penalty");
  sampler.penalty_window = integer("--penalty-window");
  sampler.seed = static_cast<std::uint64_t>(arguments.integer("--seed"));
  for (const auto& text : arguments.texts("--logit-bias"))
    sampler.logit_bias.push_back(*parse_bias(text));
  return options;
}

}  // namespace checkbit
