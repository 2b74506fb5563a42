// Filters, tests, methods and functions: what a template can call.
//
// What: each is one function `Value name(Call&)` and one line in filters.def, tests.def,
// methods.def
//   or functions.def. The line names its parameters, for example "old new count=": `count` may be
//   left out; "*rest" takes further positional and "**named" further keyword arguments, and a
//   last word "/" says that arguments cannot be given by name.
// Errors: Fault.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "run/jinja/value.h"

namespace checkbit::jinja {

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// One call with its arguments sorted to the parameters.
struct Call {
  Runtime& runtime;
  const Value& self;  ///< what the filter, test or method is applied to
  std::string_view name;
  Values values;  ///< per parameter
  std::vector<bool> given;
  Values rest;
  std::vector<std::pair<std::string, Value>> named;

  const Value& operator[](std::size_t index) const { return values[index]; }
  /// Given, and not None.
  bool has(std::size_t index) const { return given[index] && !values[index].is(Kind::none); }
  bool flag(std::size_t index) const { return given[index] && is_true(values[index]); }
  /// The argument must be an int or left out.
  std::int64_t integer(std::size_t index, std::int64_t otherwise) const;
  /// The argument must be a str.
  const std::string& text(std::size_t index) const;
  /// The argument or, left out, `otherwise`; must be a str.
  std::string text_or(std::size_t index, std::string_view otherwise) const;
  /// self as a str; other types fail.
  const Text& self_text() const;
};

struct Builtin {
  const char* name;
  Value (*function)(Call&);
  const char* parameters;
};

/// Null when there is none of that name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_function(std::string_view name);
const Builtin* find_method(const Value& self, std::string_view name);
/// A method that changes a list or dict: the sandbox gives undefined for it.
bool is_unsafe_method(const Value& self, std::string_view name);

Value invoke(Runtime& runtime, const Builtin& builtin, const Value& self, Arguments arguments);

/// json.dumps(value, ensure_ascii=..., indent=..., separators=..., sort_keys=...).
struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool multiline = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

/// "..." % value and "...".format(...).
std::string format_percent(Runtime& runtime, std::string_view pattern, const Value& value);
std::string format_braces(Runtime& runtime, std::string_view pattern, const Call& call);
std::string format_time(Runtime& runtime, std::string_view pattern, std::int64_t unix_seconds);

/// & < > ' " as HTML entities.
std::string escape_html(std::string_view text);

/// float(text) by Python's rules.
std::optional<double> parse_real(std::string_view text);
/// int(text, base) by Python's rules; fails with unsupported beyond 64 bits.
std::optional<std::int64_t> parse_integer(std::string_view text, int base);

}  // namespace checkbit::jinja
