// Equality, order and hashes of values, by Python's rules.
#include <algorithm>
#include <cmath>

#include "run/jinja/value.h"

namespace checkbit::jinja {
namespace {

bool equal_items(Runtime& runtime, const Values& a, const Values& b) {
  if (a.size() != b.size()) return false;
  const Runtime::Level level(runtime);
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!equal(runtime, a[i], b[i])) return false;
  }
  return true;
}

bool equal_dicts(Runtime& runtime, const DictObject& a, const DictObject& b) {
  if (a.entries.size() != b.entries.size()) return false;
  const Runtime::Level level(runtime);
  return std::all_of(a.entries.begin(), a.entries.end(), [&](const DictObject::Entry& entry) {
    const Value* other = b.find(runtime, entry.first);
    return other != nullptr && equal(runtime, entry.second, *other);
  });
}

/// -1, 0, 1; 2 when either is not a number.
int order_numbers(const Value& a, const Value& b) {
  if (!a.is(Kind::real) && !b.is(Kind::real)) {
    return a.as_integer() < b.as_integer() ? -1 : a.as_integer() > b.as_integer() ? 1 : 0;
  }
  // A 64-bit integer as long double is exact, so the comparison is too.
  const auto exact = [](const Value& v) {
    return v.is(Kind::real) ? static_cast<long double>(v.as_real())
                            : static_cast<long double>(v.as_integer());
  };
  const long double x = exact(a);
  const long double y = exact(b);
  return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
}

bool equal_ranges(const RangeObject& a, const RangeObject& b) {
  if (a.length != b.length) return false;
  return a.length == 0 || (a.start == b.start && (a.length == 1 || a.step == b.step));
}

std::size_t mix(std::size_t seed, std::size_t value) {
  return (seed ^ value) * 0x9E3779B97F4A7C15ull + (seed >> 7);
}

}  // namespace

bool equal(Runtime& runtime, const Value& a, const Value& b) {
  runtime.charge();
  if (a.is_number() && b.is_number()) return order_numbers(a, b) == 0;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::string:
      return a.bytes() == b.bytes();
    case Kind::list:
    case Kind::tuple:
      return a.object() == b.object() || equal_items(runtime, a.list().items, b.list().items);
    case Kind::dict:
      return a.object() == b.object() || equal_dicts(runtime, a.dict(), b.dict());
    case Kind::range:
      return equal_ranges(a.range(), b.range());
    case Kind::view: {
      const auto part = a.view().part;
      if (part == ViewObject::Part::values || part != b.view().part) {
        return a.object() == b.object();
      }
      raise(ErrorKind::unsupported, "comparing views of dicts");
    }
    default:
      return a.object() == b.object();
  }
}

bool less(Runtime& runtime, const Value& a, const Value& b) {
  runtime.charge();
  require_defined(a);
  require_defined(b);
  if (a.is_number() && b.is_number()) return order_numbers(a, b) == -1;
  if (a.is(Kind::string) && b.is(Kind::string)) return a.bytes() < b.bytes();
  if (a.is_sequence() && a.kind() == b.kind()) {
    const Runtime::Level level(runtime);
    const Values& x = a.list().items;
    const Values& y = b.list().items;
    for (std::size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!equal(runtime, x[i], y[i])) return less(runtime, x[i], y[i]);
    }
    return x.size() < y.size();
  }
  invalid("'<' not supported between instances of '{}' and '{}'", type_name(a), type_name(b));
}

std::size_t hash(Runtime& runtime, const Value& value) {
  runtime.charge();
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::none:
      return static_cast<std::size_t>(value.kind()) + 1;
    case Kind::boolean:
    case Kind::integer:
      return std::hash<std::int64_t>()(value.as_integer());
    case Kind::real: {
      const double real = value.as_real();  // 1.0 and 1 are the same key
      const bool is_whole = std::abs(real) < 9e18 && std::trunc(real) == real;
      return is_whole ? std::hash<std::int64_t>()(static_cast<std::int64_t>(real))
                      : std::hash<double>()(real);
    }
    case Kind::string:
      return std::hash<std::string_view>()(value.bytes());
    case Kind::tuple: {
      const Runtime::Level level(runtime);
      std::size_t seed = 3;
      for (const Value& item : value.list().items) seed = mix(seed, hash(runtime, item));
      return seed;
    }
    case Kind::list:
    case Kind::dict:
      invalid("unhashable type: '{}'", type_name(value));
    default:
      return std::hash<const void*>()(value.object());
  }
}

}  // namespace checkbit::jinja
