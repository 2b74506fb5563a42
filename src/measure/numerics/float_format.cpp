#include "measure/numerics/float_format.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

namespace checkbit {
namespace {

constexpr std::uint32_t kSignBit = 0x80000000u;
constexpr std::uint32_t kInfinity = 0x7f800000u;

int bias_of(const FloatFormat& format) { return (1 << (format.exponent_bits - 1)) - 1; }

int largest_exponent(const FloatFormat& format) {
  return format.finite_only ? bias_of(format) + 1 : bias_of(format);
}

/// What rounding needs of a format, made once for many values.
struct Rounding {
  int dropped;             ///< mantissa bits of binary32 that go
  std::uint32_t normal;    ///< magnitude bits of the smallest normal value
  std::uint32_t largest;   ///< of the largest finite value
  std::uint32_t overflow;  ///< what stands for anything beyond it
  float step;              ///< spacing of subnormals, times 2^23: adding it rounds to them
};

Rounding rounding_of(const FloatFormat& format) {
  Rounding r{};
  r.dropped = 23 - format.mantissa_bits;
  r.normal = std::bit_cast<std::uint32_t>(format.smallest_normal());
  r.largest = std::bit_cast<std::uint32_t>(format.largest());
  r.overflow = format.saturate ? r.largest : format.finite_only ? 0x7fc00000u : kInfinity;
  // Between 2^23 s and 2^24 s floats stand s apart: the adder rounds to multiples of s, to even.
  r.step = std::ldexp(format.smallest_normal(), 23 - format.mantissa_bits);
  return r;
}

float round_one(const Rounding& r, float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits & kSignBit;
  const std::uint32_t magnitude = bits & ~kSignBit;
  if (magnitude > kInfinity) return value;
  std::uint32_t rounded = magnitude;
  if (magnitude < r.normal) {
    const float positive = std::bit_cast<float>(magnitude);
    rounded = std::bit_cast<std::uint32_t>((positive + r.step) - r.step);
  } else if (r.dropped > 0) {
    const std::uint32_t half = (1u << (r.dropped - 1)) - 1;
    rounded = magnitude + half + (magnitude >> r.dropped & 1u);
    rounded &= ~((1u << r.dropped) - 1);
  }
  if (rounded > r.largest) rounded = r.overflow;
  return std::bit_cast<float>(sign | rounded);
}

}  // namespace

float FloatFormat::largest() const {
  const double fraction =
      finite_only ? 2 - 2 * std::ldexp(1.0, -mantissa_bits) : 2 - std::ldexp(1.0, -mantissa_bits);
  return static_cast<float>(std::ldexp(fraction, largest_exponent(*this)));
}

float FloatFormat::smallest_normal() const {
  return static_cast<float>(std::ldexp(1.0, 1 - bias_of(*this)));
}

std::string to_string(const FloatFormat& format) {
  return fmt::format("e{}m{}{}{}", format.exponent_bits, format.mantissa_bits,
                     format.finite_only ? "fn" : "", format.saturate ? "s" : "");
}

std::optional<FloatFormat> parse_float_format(std::string_view text) {
  if (text == "fp32") return kBinary32;
  if (text == "fp16") return kBinary16;
  if (text == "bf16") return kBfloat16;
  FloatFormat format;
  const char* const end = text.data() + text.size();
  if (text.empty() || text.front() != 'e') return std::nullopt;
  auto parsed = std::from_chars(text.data() + 1, end, format.exponent_bits);
  if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != 'm') return std::nullopt;
  parsed = std::from_chars(parsed.ptr + 1, end, format.mantissa_bits);
  if (parsed.ec != std::errc()) return std::nullopt;
  std::string_view tail(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  if (tail.starts_with("fn")) {
    format.finite_only = true;
    tail.remove_prefix(2);
  }
  if (tail == "s") {
    format.saturate = true;
    tail.remove_prefix(1);
  }
  const bool in_range = format.exponent_bits >= 2 && format.exponent_bits <= 8 &&
                        format.mantissa_bits >= 0 && format.mantissa_bits <= 23;
  const bool possible =
      !format.finite_only || (format.exponent_bits < 8 && format.mantissa_bits > 0);
  return tail.empty() && in_range && possible ? std::optional(format) : std::nullopt;
}

float round_to(const FloatFormat& format, float value) {
  return round_one(rounding_of(format), value);
}

void round_to(const FloatFormat& format, std::span<float> values) {
  if (format == kBinary32) return;
  const Rounding rounding = rounding_of(format);
  for (float& value : values) value = round_one(rounding, value);
}

}  // namespace checkbit
