#include "cli/arguments.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <limits>

#include "cli/command.h"
#include "cli/terminal.h"

namespace checkbit {
namespace {

const Flag* find_flag(const Command& command, std::string_view name) {
  for (const auto* list : {&command.positionals, &command.flags, &common_flags()}) {
    const auto found = std::ranges::find(*list, name, &Flag::name);
    if (found != list->end()) return &*found;
  }
  return nullptr;
}

std::string join_choices(const std::vector<std::string_view>& choices) {
  return fmt::format("{}", fmt::join(choices, ", "));
}

template <class T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string out_of_range(const Flag& flag, double value) {
  if (value < flag.minimum) return fmt::format("is too small: the least is {}", flag.minimum);
  if (flag.maximum > 0 && value > flag.maximum)
    return fmt::format("is too large: the most is {}", flag.maximum);
  return "";
}

/// What is wrong with `value` for this flag, "" when nothing.
std::string objection(const Flag& flag, const std::string& value) {
  switch (flag.kind) {
    case ValueKind::integer: {
      const auto parsed = parse_whole<std::int64_t>(value);
      if (parsed) return out_of_range(flag, static_cast<double>(*parsed));
      const bool digits =
          std::ranges::all_of(std::string_view(value).substr(value.starts_with('-') ? 1 : 0),
                              [](char c) { return c >= '0' && c <= '9'; });
      return digits && value.size() > 1 ? "is out of range" : "is not a whole number";
    }
    case ValueKind::number: {
      const auto parsed = parse_whole<double>(value);
      if (!parsed || !std::isfinite(*parsed)) return "is not a number";
      return out_of_range(flag, *parsed);
    }
    case ValueKind::bytes:
      return parse_bytes(value) ? "" : "is not a size: write 1500000, 120MiB or 1.5GB";
    case ValueKind::choice:
      if (std::ranges::find(flag.choices, value) != flag.choices.end()) return "";
      return fmt::format("is not one of {}", join_choices(flag.choices));
    case ValueKind::path:
    case ValueKind::model:
    case ValueKind::catalogue:
      if (value.empty()) return "is empty";
      return value.find('\0') == std::string::npos ? "" : "holds a zero byte";
    case ValueKind::none:
    case ValueKind::text:
    case ValueKind::recipe:
      return "";
  }
  return "";
}

Error unknown_words(const Command& command, const std::vector<std::string>& words) {
  const bool after_mark = words.front() == "--" && words.size() > 1;
  const std::string& word = words[after_mark ? 1 : 0];
  if (after_mark || word.size() < 2 || word[0] != '-') {
    return fail(ErrorKind::invalid, "{}: unexpected argument '{}'{}", command.name, word,
                command.positionals.empty() ? ": it takes none" : "");
  }
  std::vector<std::string_view> known = {"--help"};
  for (const auto* list : {&command.flags, &common_flags()}) {
    for (const auto& flag : *list) known.push_back(flag.name);
  }
  const std::string_view suggestion = closest_match(word.substr(0, word.find('=')), known);
  return fail(ErrorKind::invalid, "{}: unknown flag {}{}", command.name, word,
              suggestion.empty() ? std::string() : fmt::format(": did you mean {}?", suggestion));
}

std::string cli11_name(const Flag& flag, bool positional) {
  if (positional) return std::string(flag.name);
  return flag.short_name == 0 ? std::string(flag.name)
                              : fmt::format("-{},{}", flag.short_name, flag.name);
}

/// Every option as a list of texts; their meaning is checked afterwards, in one place.
struct Binding {
  const Flag* flag;
  CLI::Option* option;
};

std::vector<Binding> bind(CLI::App& app, const Command& command) {
  std::vector<Binding> bindings;
  const auto add = [&](const Flag& flag, bool positional) {
    CLI::Option* option = nullptr;
    if (flag.kind == ValueKind::none) {
      option = app.add_flag(cli11_name(flag, positional));
    } else {
      option = app.add_option(cli11_name(flag, positional));
      option->type_size(1);
      const int most = flag.repeatable ? CLI::detail::expected_max_vector_size : 1;
      if (positional) {
        option->expected(1, most);  // missing ones are found by validate
        option->allow_extra_args(flag.repeatable);
      }
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
    bindings.push_back({&flag, option});
  };
  for (const auto& flag : command.positionals) add(flag, true);
  for (const auto& flag : command.flags) add(flag, false);
  for (const auto& flag : common_flags()) add(flag, false);
  return bindings;
}

Status validate(const Command& command, const Flag& flag, const std::vector<std::string>& values) {
  const bool positional = flag.name[0] != '-';
  if (positional && !flag.optional && values.empty()) {
    return fail(ErrorKind::invalid, "{}: {} is missing", command.name, flag.name);
  }
  if (flag.kind == ValueKind::none) {
    if (values.empty() || values.front() == "true") return {};
    return fail(ErrorKind::invalid, "{}: {} takes no value", command.name, flag.name);
  }
  if (values.size() > 1 && !flag.repeatable) {
    return fail(ErrorKind::invalid, "{}: {} is given twice", command.name, flag.name);
  }
  for (const auto& value : values) {
    if (const std::string wrong = objection(flag, value); !wrong.empty()) {
      return fail(ErrorKind::invalid, "{}: {}: '{}' {}", command.name, flag.name, value, wrong);
    }
  }
  return {};
}

/// "--guard" becomes "--guard=check" where no level follows, so that it never takes a model's name
/// for one.
std::vector<std::string> with_bare_values(const Command& command,
                                          std::span<const std::string> words) {
  std::vector<std::string> all(words.begin(), words.end());
  for (std::size_t i = 0; i < all.size() && all[i] != "--"; ++i) {
    const Flag* flag = find_flag(command, all[i]);
    if (flag == nullptr || flag->bare_value.empty()) continue;
    const bool follows = i + 1 < all.size() && std::ranges::count(flag->choices, all[i + 1]) > 0;
    if (!follows) all[i] += fmt::format("={}", flag->bare_value);
  }
  return all;
}

}  // namespace

Result<Arguments> parse_arguments(const Command& command, std::span<const std::string> words) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  app.allow_windows_style_options(false);
  const std::vector<Binding> bindings = bind(app, command);
  std::vector<std::string> reversed = with_bare_values(command, words);
  std::ranges::reverse(reversed);
  try {
    app.parse(reversed);
  } catch (const CLI::ArgumentMismatch& mismatch) {
    const std::string text = mismatch.what();
    return fail(ErrorKind::invalid, "{}: {} needs a value", command.name,
                text.substr(0, text.find(':')));
  } catch (const CLI::Error& error) {
    return fail(ErrorKind::invalid, "{}: {}", command.name, error.what());
  }
  // The parser leaves the mark that ends the flags among what it did not use.
  const auto rest = app.remaining();
  if (!rest.empty() && rest != std::vector<std::string>{"--"}) return unknown_words(command, rest);

  Arguments arguments;
  arguments.command_ = &command;
  for (const auto& [flag, option] : bindings) {
    const std::vector<std::string> values =
        option->count() > 0 ? option->results() : std::vector<std::string>{};
    CB_TRY_STATUS(validate(command, *flag, values));
    if (!values.empty()) arguments.values_.emplace(flag->name, values);
  }
  return arguments;
}

bool Arguments::has(std::string_view name) const {
  CB_CHECK(find_flag(*command_, name) != nullptr);
  return values_.find(name) != values_.end();
}

std::vector<std::string> Arguments::texts(std::string_view name) const {
  if (has(name)) return values_.find(name)->second;
  const std::string_view value = find_flag(*command_, name)->default_value;
  return value.empty() ? std::vector<std::string>{} : std::vector<std::string>{std::string(value)};
}

std::optional<std::string> Arguments::find(std::string_view name) const {
  const auto values = texts(name);
  return values.empty() ? std::nullopt : std::optional(values.front());
}

std::string Arguments::text(std::string_view name) const { return find(name).value_or(""); }

std::int64_t Arguments::integer(std::string_view name) const {
  const auto value = parse_whole<std::int64_t>(text(name));
  CB_CHECK(value.has_value());
  return *value;
}

double Arguments::number(std::string_view name) const {
  const auto value = parse_whole<double>(text(name));
  CB_CHECK(value.has_value());
  return *value;
}

std::uint64_t Arguments::bytes(std::string_view name) const {
  const auto value = parse_bytes(text(name));
  CB_CHECK(value.has_value());
  return *value;
}

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view closest_match(std::string_view word,
                               std::span<const std::string_view> candidates) {
  constexpr std::size_t kLongestWord = 64;  // hostile words must not cost quadratic time
  if (word.size() > kLongestWord) return "";
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(word.size() / 3, 1) + 1;
  for (const auto candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace checkbit
