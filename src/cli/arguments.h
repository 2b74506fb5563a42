// The parsed command line of one command.
//
// What: values by flag name, checked against the command's Flag records. parse_arguments turns
// words
//   into this; the typed getters cannot fail afterwards.
// Preconditions: getters are called with a name of the command's records (a bug otherwise).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace checkbit {

struct Command;

class Arguments {
 public:
  bool has(std::string_view name) const;  ///< given on the command line
  std::string text(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  std::uint64_t bytes(std::string_view name) const;
  /// Value or default; nullopt when neither is there.
  std::optional<std::string> find(std::string_view name) const;

 private:
  friend Result<Arguments> parse_arguments(const Command& command,
                                           std::span<const std::string> words);
  const Command* command_ = nullptr;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

/// Parses the words after the command's name, with the common flags. Errors are usage errors.
Result<Arguments> parse_arguments(const Command& command, std::span<const std::string> words);

/// The candidate closest to `word` when it is close enough to be a slip, else "".
std::string_view closest_match(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace checkbit
