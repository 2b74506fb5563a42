// Reads a family's hyperparameters from metadata. Private to arch/.
//
// What: looks up "<architecture>.<name>". The first thing that is wrong is kept and names the key;
//   reading goes on with a harmless value, so callers ask for `status` once, at the end.
// Errors: corrupt (missing, out of range, not a number), unsupported (a list where one number is
//   expected).
// Threads: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "file/gguf.h"

namespace checkbit {

class ConfigReader {
 public:
  /// Both must outlive the reader.
  ConfigReader(const Metadata& metadata, std::string_view architecture)
      : metadata_(metadata), architecture_(architecture) {}

  std::string key(std::string_view name) const;
  bool has(std::string_view name) const { return metadata_.find(key(name)) != nullptr; }

  /// A whole number of at least 1. Without `fallback` the key must be there.
  std::int64_t size(std::string_view name, std::optional<std::int64_t> fallback = std::nullopt) {
    return whole(name, 1, fallback);
  }
  /// The same with 0 allowed.
  std::int64_t count(std::string_view name, std::int64_t fallback) {
    return whole(name, 0, fallback);
  }
  /// A finite number in 0..1e12, stored as float or as whole number.
  double number(std::string_view name, double fallback);

  void note(Error error) {
    if (!error_) error_ = std::move(error);
  }
  Status status() const { return error_ ? Status(*error_) : Status(); }

 private:
  std::int64_t whole(std::string_view name, std::uint64_t least,
                     std::optional<std::int64_t> fallback);

  const Metadata& metadata_;
  std::string_view architecture_;
  std::optional<Error> error_;
};

}  // namespace checkbit
