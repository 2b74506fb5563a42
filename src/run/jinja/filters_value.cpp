// Filters on single values and numbers.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "run/jinja/builtins.h"
#include "run/jinja/operators.h"

namespace checkbit::jinja {
namespace {

constexpr double kIntegerLimit = 9223372036854775808.0;  // 2^63

Value integer_from_real(double real) {
  if (std::isnan(real)) invalid("cannot convert float NaN to integer");
  if (std::isinf(real)) invalid("cannot convert float infinity to integer");
  const double whole = std::trunc(real);
  if (whole >= kIntegerLimit || whole < -kIntegerLimit) {
    raise(ErrorKind::unsupported, "integer beyond 64 bits");
  }
  return Value::integer(static_cast<std::int64_t>(whole));
}

/// round(value, digits) for a float: to the nearest, halves to even, of the exact binary value.
double round_real(double value, std::int64_t digits) {
  if (!std::isfinite(value) || digits > 323) return value;
  if (digits < -308) return std::copysign(0.0, value);
  if (digits < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(value / unit) * unit;
  }
  char text[768];
  std::snprintf(text, sizeof text, "%.*f", static_cast<int>(digits), value);
  return std::strtod(text, nullptr);
}

std::int64_t round_integer(std::int64_t value, std::int64_t digits) {
  if (digits >= 0) return value;
  if (digits < -18) return 0;
  std::int64_t unit = 1;
  for (std::int64_t i = 0; i > digits; --i) unit *= 10;
  const std::int64_t rest = ((value % unit) + unit) % unit;
  std::int64_t down = 0;
  if (__builtin_sub_overflow(value, rest, &down)) {
    raise(ErrorKind::unsupported, "integer beyond 64 bits");
  }
  const bool up = rest * 2 > unit || (rest * 2 == unit && (down / unit) % 2 != 0);
  std::int64_t result = down;
  if (up && __builtin_add_overflow(down, unit, &result)) {
    raise(ErrorKind::unsupported, "integer beyond 64 bits");
  }
  return result;
}

}  // namespace

Value filter_abs(Call& call) {
  require_defined(call.self);
  if (!call.self.is_number()) invalid("bad operand type for abs(): '{}'", type_name(call.self));
  if (call.self.is(Kind::real)) return Value::real(std::abs(call.self.as_real()));
  return call.self.as_integer() < 0 ? negative(call.self) : positive(call.self);
}

Value filter_attr(Call& call) {
  const std::string& name = call.text(0);
  require_defined(call.self);
  // As foo.name, without the fallback to foo["name"].
  if (call.self.is(Kind::dict) && find_method(call.self, name) == nullptr &&
      !is_unsafe_method(call.self, name)) {
    return Value::undefined(fmt::format("'dict object' has no attribute '{}'", name));
  }
  return get_attribute(call.runtime, call.self, name);
}

Value filter_default(Call& call) {
  const bool use_default = call.self.is(Kind::undefined) || (call.flag(1) && !is_true(call.self));
  if (!use_default) return call.self;
  return call.given[0] ? call[0] : Value::string("");
}

Value filter_length(Call& call) {
  const auto length = length_of(call.self);
  if (!length) invalid("object of type '{}' has no len()", type_name(call.self));
  return Value::integer(*length);
}

Value filter_int(Call& call) {
  const Value otherwise = call.given[0] ? call[0] : Value::integer(0);
  const Value& self = call.self;
  require_defined(self);
  if (self.is(Kind::string)) {
    const std::int64_t base = call.integer(1, 10);
    if (base == 0 || (base >= 2 && base <= 36)) {
      const auto parsed = parse_integer(self.bytes(), static_cast<int>(base));
      if (parsed) return Value::integer(*parsed);
    }
    const auto real = parse_real(self.bytes());
    return real && std::isfinite(*real) ? integer_from_real(*real) : otherwise;
  }
  if (self.is(Kind::real)) {
    // int(nan) is a ValueError, and so is the second try; int(inf) is not caught.
    return std::isnan(self.as_real()) ? otherwise : integer_from_real(self.as_real());
  }
  return self.is_number() ? Value::integer(self.as_integer()) : otherwise;
}

Value filter_float(Call& call) {
  require_defined(call.self);
  if (call.self.is_number()) return Value::real(call.self.as_real());
  if (call.self.is(Kind::string)) {
    if (const auto parsed = parse_real(call.self.bytes())) return Value::real(*parsed);
  }
  return call.given[0] ? call[0] : Value::real(0);
}

Value filter_round(Call& call) {
  const std::int64_t digits = call.integer(0, 0);
  const std::string method = call.text_or(1, "common");
  if (method != "common" && method != "ceil" && method != "floor") {
    invalid("method must be common, ceil or floor");
  }
  require_defined(call.self);
  if (!call.self.is_number()) {
    invalid("type {} doesn't define __round__ method", type_name(call.self));
  }
  if (method != "common") {
    const double unit = std::pow(10.0, static_cast<double>(digits));
    const double scaled = call.self.as_real() * unit;
    return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
  }
  if (call.self.is(Kind::real)) return Value::real(round_real(call.self.as_real(), digits));
  return Value::integer(round_integer(call.self.as_integer(), digits));
}

}  // namespace checkbit::jinja
