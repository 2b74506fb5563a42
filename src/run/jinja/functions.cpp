// Functions that every template knows.
#include <algorithm>

#include "run/jinja/builtins.h"

namespace checkbit::jinja {
namespace {

/// dict(mapping or pairs, **named) into `dict`.
void fill_dict(Call& call, DictObject& dict) {
  Runtime& runtime = call.runtime;
  if (call.rest.size() > 1) invalid("{} expected at most 1 argument", call.name);
  if (call.rest.size() == 1) {
    const Value& source = call.rest[0];
    require_defined(source);
    if (source.is(Kind::dict)) {
      for (const auto& [key, value] : source.dict().entries) dict.set(runtime, key, value);
    } else {
      Iterator iterator(runtime, source);
      for (Value pair; iterator.next(pair);) {
        const Values two = collect(runtime, pair);
        if (two.size() != 2) invalid("dictionary update sequence element must have length 2");
        dict.set(runtime, two[0], two[1]);
      }
    }
  }
  for (const auto& [name, value] : call.named) dict.set(runtime, Value::string(name), value);
}

constexpr std::int64_t kMaxRange = 100000;  // as jinja2's sandbox

}  // namespace

Value function_unsupported(Call& call) {
  raise(ErrorKind::unsupported, "function '{}'", call.name);
}

Value function_dict(Call& call) {
  DictObject* dict = nullptr;
  const Value value = call.runtime.dict(&dict);
  fill_dict(call, *dict);
  return value;
}

Value function_namespace(Call& call) {
  DictObject* dict = nullptr;
  call.runtime.dict(&dict);
  fill_dict(call, *dict);
  return Value::object(Kind::space, dict);
}

Value function_raise_exception(Call& call) {
  Fault fault{ErrorKind::invalid, to_text(call.runtime, call[0])};
  fault.is_raised = true;
  throw fault;
}

Value function_range(Call& call) {
  const Values& arguments = call.rest;
  if (arguments.empty() || arguments.size() > 3) invalid("range expected 1 to 3 arguments");
  std::int64_t parts[3] = {0, 0, 1};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    require_defined(arguments[i]);
    if (!arguments[i].is(Kind::integer) && !arguments[i].is(Kind::boolean)) {
      invalid("'{}' object cannot be interpreted as an integer", type_name(arguments[i]));
    }
    parts[arguments.size() == 1 ? 1 : i] = arguments[i].as_integer();
  }
  const auto [start, stop, step] = parts;
  if (step == 0) invalid("range() arg 3 must not be zero");
  auto* range = call.runtime.heap().make<RangeObject>();
  range->start = start;
  range->stop = stop;
  range->step = step;
  if (step > 0 ? start < stop : start > stop) {
    // In unsigned arithmetic neither the span nor the step can overflow.
    const auto u = [](std::int64_t v) { return static_cast<std::uint64_t>(v); };
    const std::uint64_t span = step > 0 ? u(stop) - u(start) : u(start) - u(stop);
    const std::uint64_t stride = step > 0 ? u(step) : 0 - u(step);
    const std::uint64_t length = (span - 1) / stride + 1;
    if (length > static_cast<std::uint64_t>(kMaxRange)) {
      raise(ErrorKind::budget, "range of more than {} items", kMaxRange);
    }
    range->length = static_cast<std::int64_t>(length);
  }
  return Value::object(Kind::range, range);
}

Value function_strftime_now(Call& call) {
  return call.runtime.string(format_time(call.runtime, call.text(0), call.runtime.now_seconds()));
}

}  // namespace checkbit::jinja
