// Tests: what may stand after `is`.
#include "run/jinja/builtins.h"
#include "run/jinja/operators.h"

namespace checkbit::jinja {
namespace {

Value is_kind(const Call& call, Kind kind) { return Value::boolean(call.self.is(kind)); }

Value compare(Call& call, Op op) { return apply(call.runtime, op, call.self, call[0]); }

bool has_remainder(Call& call, const Value& divisor, std::int64_t remainder) {
  const Value rest = apply(call.runtime, Op::modulo, call.self, divisor);
  return equal(call.runtime, rest, Value::integer(remainder));
}

Value call_case_method(Call& call, const char* name) {
  const Value text = Value::string(to_text(call.runtime, call.self));
  return invoke(call.runtime, *find_method(text, name), text, {});
}

}  // namespace

Value test_eq(Call& call) { return compare(call, Op::equal); }
Value test_ne(Call& call) { return compare(call, Op::not_equal); }
Value test_lt(Call& call) { return compare(call, Op::less); }
Value test_le(Call& call) { return compare(call, Op::less_equal); }
Value test_gt(Call& call) { return compare(call, Op::greater); }
Value test_ge(Call& call) { return compare(call, Op::greater_equal); }
Value test_in(Call& call) { return Value::boolean(contains(call.runtime, call[0], call.self)); }

Value test_defined(Call& call) { return Value::boolean(!call.self.is(Kind::undefined)); }
Value test_undefined(Call& call) { return is_kind(call, Kind::undefined); }
Value test_none(Call& call) { return is_kind(call, Kind::none); }
Value test_boolean(Call& call) { return is_kind(call, Kind::boolean); }
Value test_integer(Call& call) { return is_kind(call, Kind::integer); }
Value test_float(Call& call) { return is_kind(call, Kind::real); }
Value test_string(Call& call) { return is_kind(call, Kind::string); }
Value test_mapping(Call& call) { return is_kind(call, Kind::dict); }
Value test_number(Call& call) { return Value::boolean(call.self.is_number()); }
Value test_iterable(Call& call) { return Value::boolean(is_iterable(call.self)); }
Value test_true(Call& call) {
  return Value::boolean(call.self.is(Kind::boolean) && call.self.as_bool());
}
Value test_false(Call& call) {
  return Value::boolean(call.self.is(Kind::boolean) && !call.self.as_bool());
}

Value test_callable(Call& call) {
  // An undefined value has __call__, if only to fail.
  const Kind kind = call.self.kind();
  return Value::boolean(kind == Kind::callable || kind == Kind::loop || kind == Kind::undefined);
}

Value test_sequence(Call& call) {
  switch (call.self.kind()) {
    case Kind::string:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
    case Kind::range:
    case Kind::undefined:
      return Value::boolean(true);
    default:
      return Value::boolean(false);
  }
}

Value test_odd(Call& call) { return Value::boolean(has_remainder(call, Value::integer(2), 1)); }
Value test_even(Call& call) { return Value::boolean(has_remainder(call, Value::integer(2), 0)); }
Value test_divisibleby(Call& call) { return Value::boolean(has_remainder(call, call[0], 0)); }

Value test_sameas(Call& call) {
  const Value& a = call.self;
  const Value& b = call[0];
  if (a.kind() != b.kind()) return Value::boolean(false);
  if (a.object() == nullptr || a.is(Kind::string) || a.is_number()) {
    return Value::boolean(equal(call.runtime, a, b));
  }
  return Value::boolean(a.object() == b.object());
}

Value test_escaped(Call& call) {
  return Value::boolean(call.self.is(Kind::string) && call.self.text().markup);
}
Value test_lower(Call& call) { return call_case_method(call, "islower"); }
Value test_upper(Call& call) { return call_case_method(call, "isupper"); }

Value test_filter(Call& call) {
  return Value::boolean(call.self.is(Kind::string) && find_filter(call.self.bytes()) != nullptr);
}
Value test_test(Call& call) {
  return Value::boolean(call.self.is(Kind::string) && find_test(call.self.bytes()) != nullptr);
}

}  // namespace checkbit::jinja
