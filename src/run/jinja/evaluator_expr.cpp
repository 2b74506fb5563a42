// Expressions and calls.
#include <algorithm>

#include "run/jinja/evaluator.h"
#include "run/jinja/operators.h"

namespace checkbit::jinja {

Value Evaluator::eval(const Expr& expr, Scope& scope) try {
  const Runtime::Level level(runtime_);
  runtime_.charge();
  return eval_unchecked(expr, scope);
} catch (Fault& fault) {
  if (fault.offset == kNoOffset) fault.offset = expr.offset;
  throw;
}

Value Evaluator::eval_unchecked(const Expr& expr, Scope& scope) {
  const auto item = [&](std::size_t i) { return eval(*expr.items[i], scope); };
  switch (expr.kind) {
    case ExprKind::constant:
      return expr.constant;
    case ExprKind::name:
      return eval_name(expr, scope);
    case ExprKind::list:
      return runtime_.list(eval_items(expr.items, scope));
    case ExprKind::tuple:
      return runtime_.tuple(eval_items(expr.items, scope));
    case ExprKind::dict:
      return eval_dict(expr, scope);
    case ExprKind::attribute:
      return get_attribute(runtime_, item(0), expr.name);
    case ExprKind::subscript: {
      const Value base = item(0);
      return get_item(runtime_, base, item(1));
    }
    case ExprKind::slice:
      return eval_slice(expr, scope);
    case ExprKind::call:
      return eval_call(expr, scope, nullptr);
    case ExprKind::filter:
      return eval_filter(expr, scope, nullptr);
    case ExprKind::test:
      return eval_test(expr, scope);
    case ExprKind::negative:
      return negative(item(0));
    case ExprKind::positive:
      return positive(item(0));
    case ExprKind::logical_not:
      return Value::boolean(!is_true(item(0)));
    case ExprKind::logical_and:
    case ExprKind::logical_or:
      return eval_logical(expr, scope);
    case ExprKind::compare:
      return eval_compare(expr, scope);
    case ExprKind::arithmetic: {
      Value result = item(0);
      for (std::size_t i = 0; i < expr.ops.size(); ++i) {
        result = apply(runtime_, expr.ops[i], result, item(i + 1));
      }
      return result;
    }
    case ExprKind::concat:
      return eval_concat(expr, scope);
    case ExprKind::conditional:
      return eval_conditional(expr, scope);
    case ExprKind::member:
      break;  // a target, never evaluated
  }
  return Value();
}

Value Evaluator::eval_name(const Expr& expr, Scope& scope) {
  if (const Value* value = scope.find(expr.name)) return *value;
  if (const Builtin* function = find_function(expr.name)) return runtime_.method(*function, {});
  return Value::undefined(fmt::format("'{}' is undefined", expr.name));
}

Value Evaluator::eval_dict(const Expr& expr, Scope& scope) {
  DictObject* dict = nullptr;
  const Value value = runtime_.dict(&dict);
  for (std::size_t i = 0; i + 1 < expr.items.size(); i += 2) {
    const Value key = eval(*expr.items[i], scope);
    dict->set(runtime_, key, eval(*expr.items[i + 1], scope));
  }
  return value;
}

Value Evaluator::eval_slice(const Expr& expr, Scope& scope) {
  const auto part = [&](std::size_t i) {
    return expr.items[i] == nullptr ? Value::none() : eval(*expr.items[i], scope);
  };
  const Value base = part(0);
  const Value start = part(1);
  const Value stop = part(2);
  return get_slice(runtime_, base, start, stop, part(3));
}

Value Evaluator::eval_logical(const Expr& expr, Scope& scope) {
  const bool stops_at = expr.kind == ExprKind::logical_or;
  Value value;
  for (const Expr* item : expr.items) {
    value = eval(*item, scope);
    if (is_true(value) == stops_at) break;
  }
  return value;
}

Value Evaluator::eval_compare(const Expr& expr, Scope& scope) {
  Value left = eval(*expr.items[0], scope);
  for (std::size_t i = 0; i < expr.ops.size(); ++i) {
    const Value right = eval(*expr.items[i + 1], scope);
    const Value result = apply(runtime_, expr.ops[i], left, right);
    if (!is_true(result)) return result;
    left = right;
  }
  return Value::boolean(true);
}

Value Evaluator::eval_concat(const Expr& expr, Scope& scope) {
  std::string text;
  for (const Value& value : eval_items(expr.items, scope)) text += to_text(runtime_, value);
  return runtime_.string(std::move(text));
}

Value Evaluator::eval_conditional(const Expr& expr, Scope& scope) {
  if (is_true(eval(*expr.items[0], scope))) return eval(*expr.items[1], scope);
  if (expr.items[2] != nullptr) return eval(*expr.items[2], scope);
  return Value::undefined(
      "the inline if-expression evaluated to false and no else section was defined");
}

Values Evaluator::eval_items(const std::vector<const Expr*>& items, Scope& scope,
                             std::size_t first) {
  Values values;
  for (std::size_t i = first; i < items.size(); ++i) values.push_back(eval(*items[i], scope));
  return values;
}

Arguments Evaluator::eval_arguments(const Expr& expr, Scope& scope, std::size_t first) {
  Arguments arguments;
  arguments.positional = eval_items(expr.items, scope, first);
  for (const auto& [name, value] : expr.named) {
    arguments.named.emplace_back(name, eval(*value, scope));
  }
  if (expr.star != nullptr) {
    for (Value& value : collect(runtime_, eval(*expr.star, scope))) {
      arguments.positional.push_back(std::move(value));
    }
  }
  if (expr.star_star != nullptr) {
    const Value more = eval(*expr.star_star, scope);
    if (!more.is(Kind::dict)) invalid("argument after ** must be a mapping");
    for (const auto& [key, value] : more.dict().entries) {
      if (!key.is(Kind::string)) invalid("keywords must be strings");
      for (const auto& other : arguments.named) {
        if (other.first == key.bytes()) {
          invalid("got multiple values for keyword argument '{}'", key.bytes());
        }
      }
      arguments.named.emplace_back(key.bytes(), value);
    }
  }
  return arguments;
}

Value Evaluator::eval_filter(const Expr& expr, Scope& scope, const Value* block) {
  const Expr* input = expr.items[0];
  Value self;
  if (input == nullptr) {
    self = *block;
  } else {
    self = block != nullptr && input->kind == ExprKind::filter ? eval_filter(*input, scope, block)
                                                               : eval(*input, scope);
  }
  if (expr.builtin == nullptr) raise(ErrorKind::unsupported, "filter '{}'", expr.name);
  return invoke(runtime_, *expr.builtin, self, eval_arguments(expr, scope, 1));
}

Value Evaluator::eval_test(const Expr& expr, Scope& scope) {
  const Value self = eval(*expr.items[0], scope);
  if (expr.builtin == nullptr) raise(ErrorKind::unsupported, "test '{}'", expr.name);
  return invoke(runtime_, *expr.builtin, self, eval_arguments(expr, scope, 1));
}

Value Evaluator::eval_call(const Expr& expr, Scope& scope, const Value* caller) {
  const Value callee = eval(*expr.items[0], scope);
  Arguments arguments = eval_arguments(expr, scope, 1);
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return call(callee, std::move(arguments));
}

Value Evaluator::call(const Value& callee, Arguments arguments) {
  require_defined(callee);
  if (callee.is(Kind::loop)) return call_loop(callee.loop(), arguments);
  if (!callee.is(Kind::callable)) invalid("'{}' object is not callable", type_name(callee));
  const CallableObject& callable = callee.callable();
  if (callable.macro != nullptr) return call_macro(callable, std::move(arguments));
  return invoke(runtime_, *callable.builtin, callable.self, std::move(arguments));
}

Value Evaluator::call_loop(LoopObject& loop, const Arguments& arguments) {
  if (loop.recursive == nullptr) {
    invalid("the loop must have the 'recursive' marker to be called recursively");
  }
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    invalid("loop() takes exactly one argument");
  }
  std::string text;
  std::string* const outer = out_;
  out_ = &text;
  walk(*loop.recursive, *loop.scope, arguments.positional[0], loop.depth0 + 1);
  out_ = outer;
  return runtime_.string(std::move(text));
}

Value Evaluator::call_macro(const CallableObject& macro, Arguments arguments) {
  const Runtime::Level level(runtime_);
  Scope& scope = new_scope(macro.scope);
  bind_macro(*macro.macro, arguments, scope);
  Flow flow = Flow::normal;
  return runtime_.string(capture(macro.macro->body, scope, flow));
}

void Evaluator::bind_macro(const Stmt& macro, Arguments& arguments, Scope& scope) {
  const auto take_named = [&](const std::string& name, Value& value) {
    const auto found = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& argument) { return argument.first == name; });
    if (found == arguments.named.end()) return false;
    value = std::move(found->second);
    arguments.named.erase(found);
    return true;
  };
  const std::size_t count = macro.parameters.size();
  const std::size_t given = std::min(count, arguments.positional.size());
  std::vector<bool> bound(count, true);
  for (std::size_t i = 0; i < count; ++i) {
    Value value;
    if (i < given) {
      value = arguments.positional[i];
    } else {
      bound[i] = take_named(macro.parameters[i], value);
    }
    if (bound[i]) scope.set(macro.parameters[i], value);
  }
  if (macro.uses_caller) {
    Value caller;
    const bool has_caller = take_named("caller", caller) && !caller.is(Kind::none);
    scope.set("caller", has_caller ? caller : Value::undefined("No caller defined"));
  }
  if (macro.uses_kwargs) {
    DictObject* dict = nullptr;
    scope.set("kwargs", runtime_.dict(&dict));
    for (auto& [name, value] : arguments.named) dict->set(runtime_, Value::string(name), value);
  } else if (!arguments.named.empty()) {
    invalid("macro '{}' takes no keyword argument '{}'", macro.text, arguments.named.front().first);
  }
  const auto rest = arguments.positional.begin() + static_cast<std::ptrdiff_t>(given);
  if (macro.uses_varargs) {
    scope.set("varargs", runtime_.tuple(Values(rest, arguments.positional.end())));
  } else if (rest != arguments.positional.end()) {
    invalid("macro '{}' takes not more than {} argument(s)", macro.text, count);
  }
  const std::size_t plain = count - macro.defaults.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& name = macro.parameters[i];
    if (bound[i]) continue;
    scope.set(name, i < plain
                        ? Value::undefined(fmt::format("parameter '{}' was not provided", name))
                        : eval(*macro.defaults[i - plain], scope));
  }
}

}  // namespace checkbit::jinja
