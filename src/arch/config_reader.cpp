#include "arch/config_reader.h"

#include <cmath>

namespace checkbit {
namespace {
constexpr std::uint64_t kLargest = 1u << 24;
}  // namespace

std::string ConfigReader::key(std::string_view name) const {
  return fmt::format("{}.{}", architecture_, name);
}

std::int64_t ConfigReader::whole(std::string_view name, std::uint64_t least,
                                 std::optional<std::int64_t> fallback) {
  const std::string full = key(name);
  const bool found = has(name);
  if (!found && fallback) return *fallback;
  const auto value = metadata_.get_uint(full);
  if (value && *value >= least && *value <= kLargest) return static_cast<std::int64_t>(*value);
  if (!found) {
    note(fail(ErrorKind::corrupt, "metadata key {} is missing", full));
  } else if (!value) {
    note(fail(ErrorKind::unsupported,
              "metadata key {}: only one number for all layers is supported", full));
  } else {
    note(fail(ErrorKind::corrupt, "metadata key {} = {} is not in {}..{}", full, *value, least,
              kLargest));
  }
  return 1;
}

double ConfigReader::number(std::string_view name, double fallback) {
  const std::string full = key(name);
  if (!has(name)) return fallback;
  auto value = metadata_.get_float(full);
  if (const auto whole_number = metadata_.get_uint(full))
    value = static_cast<double>(*whole_number);
  if (!value || !std::isfinite(*value) || *value < 0 || *value > 1e12) {
    note(fail(ErrorKind::corrupt, "metadata key {} is not a number in 0..1e12", full));
    return fallback;
  }
  return *value;
}

}  // namespace checkbit
