#include "run/jinja/builtins.h"

#include <algorithm>
#include <iterator>

namespace checkbit::jinja {

#define CHECKBIT_FILTER(name, function, parameters) Value function(Call& call);
#include "run/jinja/filters.def"
#undef CHECKBIT_FILTER
#define CHECKBIT_TEST(name, function, parameters) Value function(Call& call);
#include "run/jinja/tests.def"
#undef CHECKBIT_TEST
#define CHECKBIT_FUNCTION(name, function, parameters) Value function(Call& call);
#include "run/jinja/functions.def"
#undef CHECKBIT_FUNCTION
#define CHECKBIT_METHOD(kind, name, function, parameters) Value function(Call& call);
#define CHECKBIT_UNSAFE(kind, name)
#include "run/jinja/methods.def"
#undef CHECKBIT_METHOD
#undef CHECKBIT_UNSAFE

namespace {

struct Method {
  Kind kind;
  Builtin builtin;
};
struct UnsafeMethod {
  Kind kind;
  std::string_view name;
};

#define CHECKBIT_FILTER(name, function, parameters) {name, function, parameters},
constexpr Builtin kFilters[] = {
#include "run/jinja/filters.def"
};
#undef CHECKBIT_FILTER
#define CHECKBIT_TEST(name, function, parameters) {name, function, parameters},
constexpr Builtin kTests[] = {
#include "run/jinja/tests.def"
};
#undef CHECKBIT_TEST
#define CHECKBIT_FUNCTION(name, function, parameters) {name, function, parameters},
constexpr Builtin kFunctions[] = {
#include "run/jinja/functions.def"
};
#undef CHECKBIT_FUNCTION
#define CHECKBIT_METHOD(kind, name, function, parameters) \
  {Kind::kind, {name, function, parameters}},
#define CHECKBIT_UNSAFE(kind, name)
constexpr Method kMethods[] = {
#include "run/jinja/methods.def"
};
#undef CHECKBIT_METHOD
#undef CHECKBIT_UNSAFE
#define CHECKBIT_METHOD(kind, name, function, parameters)
#define CHECKBIT_UNSAFE(kind, name) {Kind::kind, name},
constexpr UnsafeMethod kUnsafeMethods[] = {
#include "run/jinja/methods.def"
};
#undef CHECKBIT_METHOD
#undef CHECKBIT_UNSAFE

template <std::size_t N>
const Builtin* find(const Builtin (&table)[N], std::string_view name) {
  const auto* found = std::find_if(std::begin(table), std::end(table),
                                   [&](const Builtin& b) { return name == b.name; });
  return found == std::end(table) ? nullptr : found;
}

std::vector<std::string_view> split_parameters(std::string_view spec) {
  std::vector<std::string_view> words;
  while (!spec.empty()) {
    const std::size_t space = std::min(spec.find(' '), spec.size());
    words.push_back(spec.substr(0, space));
    spec.remove_prefix(std::min(space + 1, spec.size()));
  }
  return words;
}

void bind_arguments(Call& call, Arguments& arguments,
                    const std::vector<std::string_view>& parameters) {
  std::size_t used = 0;
  bool takes_rest = false;
  bool takes_named = false;
  const bool by_name =
      std::find(parameters.begin(), parameters.end(), std::string_view("/")) == parameters.end();
  for (std::string_view parameter : parameters) {
    if (parameter == "/") continue;
    if (parameter.starts_with("**")) {
      takes_named = true;
      continue;
    }
    if (parameter.starts_with('*')) {
      takes_rest = true;
      continue;
    }
    const bool optional = parameter.ends_with('=');
    if (optional) parameter.remove_suffix(1);
    const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& a) { return by_name && a.first == parameter; });
    const bool is_positional = used < arguments.positional.size();
    if (is_positional && named != arguments.named.end()) {
      invalid("{}() got multiple values for argument '{}'", call.name, parameter);
    }
    call.given.push_back(is_positional || named != arguments.named.end());
    if (is_positional) {
      call.values.push_back(arguments.positional[used++]);
    } else if (named != arguments.named.end()) {
      call.values.push_back(named->second);
      arguments.named.erase(named);
    } else {
      if (!optional) invalid("{}() missing argument '{}'", call.name, parameter);
      call.values.emplace_back();
    }
  }
  call.rest.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(used),
                   arguments.positional.end());
  call.named = std::move(arguments.named);
  if (!takes_rest && !call.rest.empty()) invalid("{}() takes fewer arguments", call.name);
  if (!takes_named && !call.named.empty()) {
    invalid("{}() got an unexpected keyword argument '{}'", call.name, call.named.front().first);
  }
}

}  // namespace

const Builtin* find_filter(std::string_view name) { return find(kFilters, name); }
const Builtin* find_test(std::string_view name) { return find(kTests, name); }
const Builtin* find_function(std::string_view name) { return find(kFunctions, name); }

const Builtin* find_method(const Value& self, std::string_view name) {
  const auto* found = std::find_if(std::begin(kMethods), std::end(kMethods), [&](const Method& m) {
    return m.kind == self.kind() && name == m.builtin.name;
  });
  return found == std::end(kMethods) ? nullptr : &found->builtin;
}

bool is_unsafe_method(const Value& self, std::string_view name) {
  return std::any_of(
      std::begin(kUnsafeMethods), std::end(kUnsafeMethods),
      [&](const UnsafeMethod& m) { return m.kind == self.kind() && name == m.name; });
}

Value invoke(Runtime& runtime, const Builtin& builtin, const Value& self, Arguments arguments) {
  const Runtime::Level level(runtime);
  runtime.charge(1 + arguments.positional.size());
  Call call{runtime, self, builtin.name, {}, {}, {}, {}};
  bind_arguments(call, arguments, split_parameters(builtin.parameters));
  return builtin.function(call);
}

std::int64_t Call::integer(std::size_t index, std::int64_t otherwise) const {
  if (!given[index]) return otherwise;
  const Value& value = values[index];
  require_defined(value);
  if (!value.is(Kind::integer) && !value.is(Kind::boolean)) {
    invalid("{}(): '{}' object cannot be interpreted as an integer", name, type_name(value));
  }
  return value.as_integer();
}

const std::string& Call::text(std::size_t index) const {
  require_defined(values[index]);
  if (!values[index].is(Kind::string)) {
    invalid("{}(): argument must be str, not {}", name, type_name(values[index]));
  }
  return values[index].bytes();
}

std::string Call::text_or(std::size_t index, std::string_view otherwise) const {
  return given[index] ? text(index) : std::string(otherwise);
}

const Text& Call::self_text() const {
  require_defined(self);
  if (!self.is(Kind::string)) invalid("{}: needs a str, not {}", name, type_name(self));
  return self.text();
}

}  // namespace checkbit::jinja
