#include "run/chat_template.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>

#include "run/jinja/evaluator.h"
#include "run/jinja/parser.h"
#include "run/jinja/unicode.h"

namespace checkbit {
namespace {

using nlohmann::ordered_json;

/// "line 3, column 7" of a byte in the source, counted in characters.
std::string position(std::string_view source, std::size_t offset) {
  const std::string_view before = source.substr(0, std::min(offset, source.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  const std::size_t column = 1 + jinja::count_code_points(before.substr(line_start));
  return fmt::format("line {}, column {}", line, column);
}

Error to_error(const jinja::Fault& fault, std::string_view source) {
  if (fault.is_raised) return fail(fault.kind, "chat template: {}", fault.message);
  const std::string_view what = fault.kind == ErrorKind::unsupported ? "unsupported " : "";
  if (fault.offset == jinja::kNoOffset) {
    return fail(fault.kind, "chat template: {}{}", what, fault.message);
  }
  return fail(fault.kind, "chat template, {}: {}{}", position(source, fault.offset), what,
              fault.message);
}

jinja::Value to_value(jinja::Runtime& runtime, const ordered_json& json) {
  const jinja::Runtime::Level level(runtime);
  switch (json.type()) {
    case ordered_json::value_t::boolean:
      return jinja::Value::boolean(json.get<bool>());
    case ordered_json::value_t::number_integer:
      return jinja::Value::integer(json.get<std::int64_t>());
    case ordered_json::value_t::number_unsigned: {
      const auto number = json.get<std::uint64_t>();
      if (number > INT64_MAX) jinja::raise(ErrorKind::unsupported, "integer beyond 64 bits");
      return jinja::Value::integer(static_cast<std::int64_t>(number));
    }
    case ordered_json::value_t::number_float:
      return jinja::Value::real(json.get<double>());
    case ordered_json::value_t::string:
      return jinja::Value::string(json.get_ref<const std::string&>());
    case ordered_json::value_t::array: {
      jinja::Values items;
      items.reserve(json.size());
      for (const ordered_json& item : json) items.push_back(to_value(runtime, item));
      return runtime.list(std::move(items));
    }
    case ordered_json::value_t::object: {
      jinja::DictObject* dict = nullptr;
      const jinja::Value value = runtime.dict(&dict);
      for (const auto& [key, item] : json.items()) {
        dict->set(runtime, jinja::Value::string(key), to_value(runtime, item));
      }
      return value;
    }
    default:
      return jinja::Value::none();
  }
}

/// Runs `action` and turns whatever the interpreter throws into an Error.
template <class T, class Action>
Result<T> guarded(std::string_view source, Action action) {
  try {
    return action();
  } catch (const jinja::Fault& fault) {
    return to_error(fault, source);
  } catch (const std::bad_alloc&) {
    return fail(ErrorKind::memory, "chat template: out of memory");
  }
}

}  // namespace

struct ChatTemplate::Impl {
  std::string source;
  jinja::Ast ast;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  auto impl = std::make_unique<Impl>();
  impl->source = jinja::normalize_newlines(source);
  const std::string_view text = impl->source;
  return guarded<ChatTemplate>(text, [&]() -> Result<ChatTemplate> {
    impl->ast = jinja::parse_template(text);
    return ChatTemplate(std::move(impl));
  });
}

Result<std::string> ChatTemplate::render(const ordered_json& variables, std::int64_t now_seconds,
                                         const TemplateLimits& limits) const {
  if (!variables.is_object()) {
    return fail(ErrorKind::invalid, "chat template: the variables must be a JSON object");
  }
  return guarded<std::string>(impl_->source, [&]() -> Result<std::string> {
    const jinja::Bounds bounds{limits.max_steps, limits.max_depth, limits.max_output_bytes};
    jinja::Runtime runtime(bounds, now_seconds);
    jinja::Scope scope;
    for (const auto& [name, value] : variables.items()) {
      scope.set(name, to_value(runtime, value));
    }
    return jinja::Evaluator(runtime, impl_->ast, scope).render();
  });
}

}  // namespace checkbit
