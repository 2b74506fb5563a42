// Python's operators on values.
//
// What: arithmetic, membership, subscripts, slices and attributes as the immutable sandbox of
// jinja2
//   gives them: an unknown attribute or index is undefined, using an undefined value fails.
// Integers have 64 bits; beyond that the result is an `unsupported` Fault instead of a wrong
// number.
#pragma once

#include <string>

#include "run/jinja/ast.h"
#include "run/jinja/value.h"

namespace checkbit::jinja {

Value apply(Runtime& runtime, Op op, const Value& a, const Value& b);
Value negative(const Value& value);
Value positive(const Value& value);
bool contains(Runtime& runtime, const Value& container, const Value& item);

Value get_attribute(Runtime& runtime, const Value& value, const std::string& name);
Value get_item(Runtime& runtime, const Value& value, const Value& key);
/// Absent bounds are None.
Value get_slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
                const Value& step);

}  // namespace checkbit::jinja
