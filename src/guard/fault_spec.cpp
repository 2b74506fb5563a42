#include "guard/fault_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <utility>

namespace checkbit {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(FaultPlace::count)> kPlaces = {
    "memory", "file", "activations", "accumulators", "kv", "checks"};

constexpr std::uint32_t kMostBurst = 1u << 20;
constexpr std::uint64_t kMostPage = 1u << 30;
constexpr std::uint64_t kMostCount = 1u << 30;
constexpr std::size_t kMostText = 4096;

template <class Number>
Result<Number> number(std::string_view key, std::string_view text, Number low, Number high) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && stop == end && value >= low && value <= high) return value;
  return fail(ErrorKind::invalid, "fault: {}=\"{}\" is not a number from {} to {}", key, text, low,
              high);
}

Status read_key(FaultSpec& spec, std::string_view key, std::string_view value) {
  if (key == "seed") {
    CB_TRY(spec.seed, number<std::uint64_t>(key, value, 0, UINT64_MAX));
  } else if (key == "in") {
    const auto found = std::ranges::find(kPlaces, value);
    if (found == kPlaces.end()) {
      return fail(ErrorKind::invalid, "fault: in=\"{}\" is not known; there are {}", value,
                  fmt::join(kPlaces, ", "));
    }
    spec.place = static_cast<FaultPlace>(found - kPlaces.begin());
  } else if (key == "field") {
    CB_TRY(spec.field, parse_field_selector(value));
  } else if (key == "tensor") {
    if (value.empty()) return fail(ErrorKind::invalid, "fault: tensor= needs a name or a pattern");
    spec.tensor = value;
  } else if (key == "layer") {
    CB_TRY(spec.layer, number<std::int64_t>(key, value, 0, 1 << 20));
  } else if (key == "count") {
    CB_TRY(spec.count, number<std::uint64_t>(key, value, 1, kMostCount));
  } else if (key == "rate") {
    CB_TRY(spec.rate, number<double>(key, value, 1e-18, 0.5));
  } else if (key == "burst") {
    CB_TRY(spec.burst, number<std::uint32_t>(key, value, 1, kMostBurst));
  } else if (key == "stuck") {
    CB_TRY(const int level, number<int>(key, value, 0, 1));
    spec.stuck = level == 1;
  } else if (key == "page") {
    CB_TRY(spec.page_bytes, number<std::uint64_t>(key, value, 1, kMostPage));
    if (!std::has_single_bit(spec.page_bytes))
      return fail(ErrorKind::invalid, "fault: page={} is not a power of two", spec.page_bytes);
  } else if (key == "token") {
    CB_TRY(spec.token, number<std::uint64_t>(key, value, 0, kMostCount));
  } else {
    return fail(
        ErrorKind::invalid,
        "fault: \"{}\" is not known; there are seed, in, field, tensor, layer, count, rate, "
        "burst, stuck, page and token",
        key);
  }
  return {};
}

}  // namespace

std::string_view to_string(FaultPlace place) { return kPlaces[static_cast<std::size_t>(place)]; }

Result<FaultSpec> parse_fault_spec(std::string_view text) {
  if (text.size() > kMostText)
    return fail(ErrorKind::invalid, "fault: more than {} characters", kMostText);
  FaultSpec spec;
  bool counted = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(" ,"), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos)
      return fail(ErrorKind::invalid, "fault: \"{}\" is not of the form key=value", word);
    CB_TRY_STATUS(read_key(spec, word.substr(0, equals), word.substr(equals + 1)));
    counted = counted || word.starts_with("count=");
  }
  if (counted && spec.rate > 0)
    return fail(ErrorKind::invalid, "fault: give count or rate, not both");
  if (spec.page_bytes > 0 && (spec.burst > 1 || spec.stuck))
    return fail(ErrorKind::invalid, "fault: a lost page has neither burst nor stuck");
  return spec;
}

std::string to_string(const FaultSpec& spec) {
  const FaultSpec usual;
  std::string text = fmt::format("seed={}", spec.seed);
  const auto add = [&](bool differs, std::string_view key, const auto& value) {
    if (differs) text += fmt::format(" {}={}", key, value);
  };
  add(spec.place != usual.place, "in", to_string(spec.place));
  add(spec.field.text != usual.field.text, "field", spec.field.text);
  add(spec.tensor != usual.tensor, "tensor", spec.tensor);
  add(spec.layer != usual.layer, "layer", spec.layer);
  add(spec.rate == 0 && spec.count != usual.count, "count", spec.count);
  add(spec.rate != 0, "rate", spec.rate);
  add(spec.burst != usual.burst, "burst", spec.burst);
  add(spec.stuck.has_value(), "stuck", spec.stuck.value_or(false) ? 1 : 0);
  add(spec.page_bytes != usual.page_bytes, "page", spec.page_bytes);
  add(spec.token != usual.token, "token", spec.token);
  return text;
}

bool matches_glob(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;  // the last one, which takes what follows does not
  std::size_t taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace checkbit
