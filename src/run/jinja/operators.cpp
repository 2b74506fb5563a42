#include "run/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "run/jinja/builtins.h"
#include "run/jinja/unicode.h"

namespace checkbit::jinja {
namespace {

constexpr std::string_view op_text(Op op) {
  constexpr std::string_view kTexts[] = {"+",  "-", "*",  "/", "//", "%",  "** or pow()", "==",
                                         "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kTexts[static_cast<std::size_t>(op)];
}

[[noreturn]] void unsupported_operands(Op op, const Value& a, const Value& b) {
  invalid("unsupported operand types for {}: '{}' and '{}'", op_text(op), type_name(a),
          type_name(b));
}

[[noreturn]] void overflow() { raise(ErrorKind::unsupported, "integer result beyond 64 bits"); }

/// `result` by reference: it is read after the operation in the first argument has written it.
Value checked(bool overflowed, const std::int64_t& result) {
  if (overflowed) overflow();
  return Value::integer(result);
}

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow();
  }
  return result;
}

Value integer_arithmetic(Op op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (op) {
    case Op::add:
      return checked(__builtin_add_overflow(a, b, &result), result);
    case Op::subtract:
      return checked(__builtin_sub_overflow(a, b, &result), result);
    case Op::multiply:
      return checked(__builtin_mul_overflow(a, b, &result), result);
    case Op::power:
      if (b < 0 && a == 0) invalid("0.0 cannot be raised to a negative power");
      if (b < 0) return Value::real(std::pow(static_cast<double>(a), static_cast<double>(b)));
      return Value::integer(integer_power(a, b));
    default:
      break;
  }
  if (b == 0) invalid("division by zero");
  if (op == Op::divide) return Value::real(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {
    return op == Op::modulo ? Value::integer(0)
                            : checked(__builtin_sub_overflow(std::int64_t{0}, a, &result), result);
  }
  const bool rounds_up = a % b != 0 && (a % b < 0) != (b < 0);
  return Value::integer(op == Op::modulo ? a % b + (rounds_up ? b : 0)
                                         : a / b - (rounds_up ? 1 : 0));
}

Value real_arithmetic(Op op, double a, double b) {
  switch (op) {
    case Op::add:
      return Value::real(a + b);
    case Op::subtract:
      return Value::real(a - b);
    case Op::multiply:
      return Value::real(a * b);
    case Op::power: {
      if (a == 0 && b < 0) invalid("0.0 cannot be raised to a negative power");
      if (a < 0 && std::isfinite(a) && std::isfinite(b) && std::trunc(b) != b) {
        raise(ErrorKind::unsupported, "complex numbers");
      }
      const double result = std::pow(a, b);
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) {
        invalid("numerical result out of range");
      }
      return Value::real(result);
    }
    default:
      break;
  }
  if (b == 0) invalid("float division by zero");
  if (op == Op::divide) return Value::real(a / b);
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  if (op == Op::modulo) return Value::real(rest == 0 ? std::copysign(0.0, b) : rest);
  const double quotient = (a - rest) / b;
  if (quotient == 0) return Value::real(std::copysign(0.0, a / b));
  const double floor = std::floor(quotient);
  return Value::real(quotient - floor > 0.5 ? floor + 1 : floor);
}

Value add_text(Runtime& runtime, const Text& a, const Text& b) {
  if (a.markup == b.markup) return runtime.string(a.bytes + b.bytes, a.markup);
  return a.markup ? runtime.string(a.bytes + escape_html(b.bytes), true)
                  : runtime.string(escape_html(a.bytes) + b.bytes, true);
}

Value rebuild(Runtime& runtime, const Value& like, Values items) {
  return like.is(Kind::list) ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
}

Value repeat(Runtime& runtime, const Value& value, std::int64_t count) {
  const auto times = static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0));
  std::uint64_t size = 0;
  const std::uint64_t unit =
      value.is(Kind::string) ? value.bytes().size() : value.list().items.size();
  if (__builtin_mul_overflow(times, unit, &size)) size = std::numeric_limits<std::uint32_t>::max();
  if (value.is(Kind::string)) {
    runtime.charge_bytes(size);
    std::string out;
    out.reserve(size);
    for (std::uint64_t i = 0; i < times && unit > 0; ++i) out += value.bytes();
    return Value::string(std::move(out), value.text().markup);
  }
  runtime.charge(size);
  Values items;
  items.reserve(size);
  for (std::uint64_t i = 0; i < times && unit > 0; ++i) {
    items.insert(items.end(), value.list().items.begin(), value.list().items.end());
  }
  return rebuild(runtime, value, std::move(items));
}

bool is_whole(const Value& value) { return value.is(Kind::integer) || value.is(Kind::boolean); }

Value arithmetic(Runtime& runtime, Op op, const Value& a, const Value& b) {
  require_defined(a);
  if (op == Op::modulo && a.is(Kind::string)) {
    return runtime.string(format_percent(runtime, a.bytes(), b), a.text().markup);
  }
  require_defined(b);
  if (a.is_number() && b.is_number()) {
    return is_whole(a) && is_whole(b) ? integer_arithmetic(op, a.as_integer(), b.as_integer())
                                      : real_arithmetic(op, a.as_real(), b.as_real());
  }
  const auto repeats = [](const Value& v) { return v.is(Kind::string) || v.is_sequence(); };
  if (op == Op::multiply && repeats(a) && is_whole(b)) return repeat(runtime, a, b.as_integer());
  if (op == Op::multiply && repeats(b) && is_whole(a)) return repeat(runtime, b, a.as_integer());
  if (op == Op::add && a.kind() == b.kind()) {
    if (a.is(Kind::string)) return add_text(runtime, a.text(), b.text());
    if (a.is_sequence()) {
      Values items = a.list().items;
      items.insert(items.end(), b.list().items.begin(), b.list().items.end());
      return rebuild(runtime, a, std::move(items));
    }
  }
  unsupported_operands(op, a, b);
}

std::string describe(const Value& value) {
  return value.is(Kind::none) ? "None" : fmt::format("{} object", type_name(value));
}

Value missing_attribute(const Value& value, std::string_view name) {
  return Value::undefined(fmt::format("'{}' has no attribute '{}'", describe(value), name));
}

Value unsafe_attribute(const Value& value, std::string_view name) {
  return Value::undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe", name, type_name(value)));
}

/// The attributes of `loop`; undefined for an unknown name.
Value loop_attribute(LoopObject& loop, std::string_view name) {
  if (name == "index") return Value::integer(loop.index0 + 1);
  if (name == "index0") return Value::integer(loop.index0);
  if (name == "revindex") return Value::integer(loop.length() - loop.index0);
  if (name == "revindex0") return Value::integer(loop.length() - loop.index0 - 1);
  if (name == "first") return Value::boolean(loop.index0 == 0);
  if (name == "last") return Value::boolean(!loop.has_next());
  if (name == "length") return Value::integer(loop.length());
  if (name == "depth") return Value::integer(loop.depth0 + 1);
  if (name == "depth0") return Value::integer(loop.depth0);
  if (name == "previtem") {
    return loop.index0 == 0 ? Value::undefined("there is no previous item") : loop.previous;
  }
  if (name == "nextitem") {
    return loop.has_next() ? loop.ahead.front() : Value::undefined("there is no next item");
  }
  return Value();
}

bool is_loop_attribute(std::string_view name) {
  static constexpr std::string_view kNames[] = {"index",  "index0",   "revindex", "revindex0",
                                                "first",  "last",     "length",   "depth",
                                                "depth0", "previtem", "nextitem"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

/// What getattr of Python would find; false when there is no such attribute.
bool find_attribute(Runtime& runtime, const Value& value, const std::string& name, Value& found) {
  if (is_unsafe_method(value, name)) {
    found = unsafe_attribute(value, name);
    return true;
  }
  if (const Builtin* method = find_method(value, name)) {
    found = runtime.method(*method, value);
    return true;
  }
  if (value.is(Kind::space)) {
    const Value* attribute = value.dict().find(name);
    if (attribute == nullptr) return false;
    found = name.starts_with('_') ? unsafe_attribute(value, name) : *attribute;
    return true;
  }
  if (value.is(Kind::loop) && is_loop_attribute(name)) {
    found = loop_attribute(value.loop(), name);
    return true;
  }
  if (value.is(Kind::callable) && value.callable().macro != nullptr && name == "name") {
    found = Value::string(value.callable().macro->text);
    return true;
  }
  if (value.is(Kind::tuple) && value.list().is_group && (name == "grouper" || name == "list")) {
    found = value.list().items[name == "list" ? 1 : 0];
    return true;
  }
  return false;
}

/// Index counted from the front, or nothing outside [0, length).
std::optional<std::size_t> resolve_index(std::int64_t index, std::int64_t length) {
  if (index < 0) index += length;
  if (index < 0 || index >= length) return std::nullopt;
  return static_cast<std::size_t>(index);
}

/// value[key] without the fallback to attributes; false for what Python raises.
bool find_item(Runtime& runtime, const Value& value, const Value& key, Value& found) {
  if (value.is(Kind::dict)) {
    if (key.is(Kind::list) || key.is(Kind::dict)) return false;
    const Value* item = value.dict().find(runtime, key);
    if (item != nullptr) found = *item;
    return item != nullptr;
  }
  const bool indexed = value.is(Kind::string) || value.is_sequence() || value.is(Kind::range);
  if (!indexed || !is_whole(key)) return false;
  const auto index = resolve_index(key.as_integer(), *length_of(value));
  if (!index) return false;
  if (value.is_sequence()) {
    found = value.list().items[*index];
  } else if (value.is(Kind::range)) {
    found = Value::integer(value.range().at(static_cast<std::int64_t>(*index)));
  } else {
    const std::string& bytes = value.bytes();
    if (!value.text().ascii) runtime.charge_bytes(bytes.size());
    const std::size_t at = value.text().ascii ? *index : byte_offset(bytes, *index);
    found = Value::string(bytes.substr(at, decode(bytes, at).bytes), value.text().markup);
  }
  return true;
}

/// slice.indices of Python.
struct Slice {
  std::int64_t start, step, count;
};
Slice resolve_slice(std::int64_t length, const Value& start, const Value& stop, const Value& step) {
  const auto part = [](const Value& v, std::int64_t otherwise) {
    if (v.is(Kind::none)) return otherwise;
    if (!is_whole(v)) invalid("slice indices must be integers or None");
    return v.as_integer();
  };
  const std::int64_t stride = std::max(part(step, 1), -std::numeric_limits<std::int64_t>::max());
  if (stride == 0) invalid("slice step cannot be zero");
  const std::int64_t lower = stride < 0 ? -1 : 0;
  const std::int64_t upper = stride < 0 ? length - 1 : length;
  const auto clamp = [&](const Value& v, std::int64_t otherwise) {
    std::int64_t at = part(v, otherwise);
    if (v.is(Kind::none)) return at;
    if (at < 0) at += length;
    return std::clamp(at, lower, upper);
  };
  const std::int64_t from = clamp(start, stride < 0 ? upper : lower);
  const std::int64_t to = clamp(stop, stride < 0 ? lower : upper);
  const std::int64_t span = stride < 0 ? from - to : to - from;
  return {from, stride, span <= 0 ? 0 : (span - 1) / std::abs(stride) + 1};
}

Value slice_text(Runtime& runtime, const Value& value, const Slice& slice) {
  const std::string& bytes = value.bytes();
  std::string out;
  if (slice.step == 1) {
    const bool ascii = value.text().ascii;
    const auto from = static_cast<std::size_t>(slice.start);
    const auto count = static_cast<std::size_t>(slice.count);
    const std::size_t begin = ascii ? from : byte_offset(bytes, from);
    const std::string_view rest = std::string_view(bytes).substr(begin);
    out = rest.substr(0, ascii ? count : byte_offset(rest, count));
  } else {
    std::vector<std::size_t> starts;
    runtime.charge_bytes(bytes.size() * sizeof(std::size_t));
    for (std::size_t at = 0; at < bytes.size(); at += decode(bytes, at).bytes) starts.push_back(at);
    for (std::int64_t i = 0, at = slice.start; i < slice.count; ++i, at += slice.step) {
      const std::size_t begin = starts[static_cast<std::size_t>(at)];
      out.append(bytes, begin, decode(bytes, begin).bytes);
    }
  }
  runtime.charge_bytes(bytes.size());
  return Value::string(std::move(out), value.text().markup);
}

}  // namespace

Value apply(Runtime& runtime, Op op, const Value& a, const Value& b) {
  switch (op) {
    case Op::equal:
      return Value::boolean(equal(runtime, a, b));
    case Op::not_equal:
      return Value::boolean(!equal(runtime, a, b));
    case Op::less:
      return Value::boolean(less(runtime, a, b));
    case Op::greater:
      return Value::boolean(less(runtime, b, a));
    case Op::less_equal:
    case Op::greater_equal: {
      const bool is_less =
          less(runtime, op == Op::less_equal ? a : b, op == Op::less_equal ? b : a);
      return Value::boolean(is_less || equal(runtime, a, b));
    }
    case Op::in:
      return Value::boolean(contains(runtime, b, a));
    case Op::not_in:
      return Value::boolean(!contains(runtime, b, a));
    default:
      return arithmetic(runtime, op, a, b);
  }
}

Value negative(const Value& value) {
  require_defined(value);
  if (value.is(Kind::real)) return Value::real(-value.as_real());
  if (!is_whole(value)) invalid("bad operand type for unary -: '{}'", type_name(value));
  return integer_arithmetic(Op::subtract, 0, value.as_integer());
}

Value positive(const Value& value) {
  require_defined(value);
  if (value.is(Kind::real)) return value;
  if (!is_whole(value)) invalid("bad operand type for unary +: '{}'", type_name(value));
  return Value::integer(value.as_integer());
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is(Kind::string)) {
    if (item.is(Kind::undefined)) invalid("{}", item.why());
    if (!item.is(Kind::string)) {
      invalid("'in <string>' requires string as left operand, not {}", type_name(item));
    }
    runtime.charge_bytes(container.bytes().size());
    return container.bytes().find(item.bytes()) != std::string::npos;
  }
  if (container.is(Kind::dict)) return container.dict().find(runtime, item) != nullptr;
  if (!is_iterable(container)) {
    invalid("argument of type '{}' is not iterable", type_name(container));
  }
  Iterator iterator(runtime, container);
  for (Value other; iterator.next(other);) {
    if (equal(runtime, other, item)) return true;
  }
  return false;
}

Value get_attribute(Runtime& runtime, const Value& value, const std::string& name) {
  require_defined(value);
  Value found;
  if (find_attribute(runtime, value, name, found)) return found;
  if (value.is(Kind::dict)) {
    if (const Value* item = value.dict().find(name)) return *item;
  }
  return missing_attribute(value, name);
}

Value get_item(Runtime& runtime, const Value& value, const Value& key) {
  require_defined(value);
  Value found;
  if (find_item(runtime, value, key, found)) return found;
  if (!key.is(Kind::string)) {
    return Value::undefined(
        fmt::format("{} has no element {}", describe(value), to_repr(runtime, key)));
  }
  return find_attribute(runtime, value, key.bytes(), found) ? found
                                                            : missing_attribute(value, key.bytes());
}

Value get_slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
                const Value& step) {
  require_defined(value);
  const bool sliced = value.is(Kind::string) || value.is_sequence() || value.is(Kind::range);
  if (!sliced) invalid("'{}' object is not subscriptable by a slice", type_name(value));
  const Slice slice = resolve_slice(*length_of(value), start, stop, step);
  if (value.is(Kind::string)) return slice_text(runtime, value, slice);
  if (value.is(Kind::range)) {
    auto* range = runtime.heap().make<RangeObject>();
    range->start = value.range().at(slice.start);
    range->length = slice.count;
    range->stop = value.range().at(slice.start + slice.count * slice.step);
    range->step = value.range().step * slice.step;
    return Value::object(Kind::range, range);
  }
  Values items;
  for (std::int64_t i = 0, at = slice.start; i < slice.count; ++i, at += slice.step) {
    items.push_back(value.list().items[static_cast<std::size_t>(at)]);
  }
  return rebuild(runtime, value, std::move(items));
}

}  // namespace checkbit::jinja
