// Statements. Expressions are in evaluator_expr.cpp.
#include "run/jinja/evaluator.h"

#include <algorithm>

#include "run/jinja/operators.h"

namespace checkbit::jinja {

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent) {
    for (const auto& [key, value] : scope->variables) {
      if (key == name) return &value;
    }
  }
  return nullptr;
}

void Scope::set(const std::string& name, Value value) {
  const auto found = std::find_if(variables.begin(), variables.end(),
                                  [&](const auto& variable) { return variable.first == name; });
  if (found != variables.end()) {
    found->second = std::move(value);
  } else {
    variables.emplace_back(name, std::move(value));
  }
}

Evaluator::Evaluator(Runtime& runtime, const Ast& ast, Scope& variables)
    : runtime_(runtime), ast_(ast), variables_(variables) {}

std::string Evaluator::render() {
  std::string out;
  out_ = &out;
  run(ast_.body, new_scope(&variables_));
  return out;
}

Scope& Evaluator::new_scope(Scope* parent) {
  runtime_.charge();
  auto* scope = runtime_.heap().make<Scope>();
  scope->parent = parent;
  return *scope;
}

void Evaluator::write(std::string_view text) {
  runtime_.charge_bytes(text.size());
  runtime_.check_size(out_->size() + text.size());
  *out_ += text;
}

Evaluator::Flow Evaluator::run(const Stmt::Body& body, Scope& scope) {
  for (const Stmt* stmt : body) {
    const Flow flow = run(*stmt, scope);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Evaluator::Flow Evaluator::run(const Stmt& stmt, Scope& scope) try {
  const Runtime::Level level(runtime_);
  runtime_.charge();
  switch (stmt.kind) {
    case StmtKind::data:
      write(stmt.text);
      break;
    case StmtKind::output:
      for (const Expr* value : stmt.values) write(to_text(runtime_, eval(*value, scope)));
      break;
    case StmtKind::set:
      check_members(*stmt.target, scope);
      assign(*stmt.target, eval(*stmt.value, scope), scope);
      break;
    case StmtKind::set_block:
      return run_set_block(stmt, scope);
    case StmtKind::loop:
      return run_loop(stmt, scope);
    case StmtKind::branch:
      return run_branch(stmt, scope);
    case StmtKind::macro:
      scope.set(stmt.text, make_macro(stmt, scope));
      break;
    case StmtKind::call_block:
      call_block(stmt, scope);
      break;
    case StmtKind::filter_block: {
      Scope& inner = new_scope(&scope);
      Flow flow = Flow::normal;
      const Value text = runtime_.string(capture(stmt.body, inner, flow));
      if (flow != Flow::normal) return flow;
      write(to_text(runtime_, eval_filter(*stmt.value, inner, &text)));
      break;
    }
    case StmtKind::with:
      return run_with(stmt, scope);
    case StmtKind::scope:
      return run(stmt.body, new_scope(&scope));
    case StmtKind::break_loop:
      return Flow::break_loop;
    case StmtKind::continue_loop:
      return Flow::continue_loop;
  }
  return Flow::normal;
} catch (Fault& fault) {
  if (fault.offset == kNoOffset) fault.offset = stmt.offset;
  throw;
}

Evaluator::Flow Evaluator::run_branch(const Stmt& stmt, Scope& scope) {
  for (const auto& [condition, body] : stmt.branches) {
    if (is_true(eval(*condition, scope))) return run(body, scope);
  }
  return run(stmt.otherwise, scope);
}

std::string Evaluator::capture(const Stmt::Body& body, Scope& scope, Flow& flow) {
  std::string text;
  std::string* const outer = out_;
  out_ = &text;
  flow = run(body, scope);
  out_ = outer;
  return text;
}

Evaluator::Flow Evaluator::run_set_block(const Stmt& stmt, Scope& scope) {
  Scope& inner = new_scope(&scope);
  Flow flow = Flow::normal;
  Value text = runtime_.string(capture(stmt.body, inner, flow));
  if (flow != Flow::normal) return flow;
  if (stmt.value != nullptr) text = eval_filter(*stmt.value, inner, &text);
  check_members(*stmt.target, scope);
  assign(*stmt.target, text, scope);
  return Flow::normal;
}

Evaluator::Flow Evaluator::run_with(const Stmt& stmt, Scope& scope) {
  Scope& inner = new_scope(&scope);
  for (std::size_t i = 0; i < stmt.targets.size(); ++i) {
    assign(*stmt.targets[i], eval(*stmt.values[i], scope), inner);
  }
  return run(stmt.body, inner);
}

Evaluator::Flow Evaluator::run_loop(const Stmt& stmt, Scope& scope) {
  return walk(stmt, scope, eval(*stmt.value, scope), 0);
}

std::function<bool(Value&)> Evaluator::item_source(const Stmt& stmt, Scope& scope,
                                                   const Value& source) {
  auto iterator = std::make_shared<Iterator>(runtime_, source);
  if (stmt.test == nullptr) return [iterator](Value& item) { return iterator->next(item); };
  // The condition is asked item by item, as late as possible: the body may change a namespace that
  // it reads.
  Scope& test_scope = new_scope(&scope);
  return [this, iterator, &stmt, &test_scope](Value& item) {
    while (iterator->next(item)) {
      assign(*stmt.target, item, test_scope);
      if (is_true(eval(*stmt.test, test_scope))) return true;
    }
    return false;
  };
}

Evaluator::Flow Evaluator::walk(const Stmt& stmt, Scope& scope, const Value& source, int depth) {
  const Runtime::Level level(runtime_);
  auto* loop = runtime_.heap().make<LoopObject>();
  loop->pull = item_source(stmt, scope, source);
  loop->depth0 = depth;
  loop->scope = &scope;
  if (stmt.recursive) loop->recursive = &stmt;
  Scope& inner = new_scope(&scope);
  Flow flow = Flow::normal;
  while (flow != Flow::break_loop && loop->next()) {
    inner.variables.clear();
    inner.set("loop", Value::object(Kind::loop, loop));
    assign(*stmt.target, loop->current, inner);
    flow = run(stmt.body, inner);
  }
  inner.variables.clear();
  loop->pull = [](Value&) { return false; };
  if (loop->index0 < 0) return run(stmt.otherwise, new_scope(&scope));
  return Flow::normal;
}

Value Evaluator::make_macro(const Stmt& stmt, Scope& scope) {
  auto* macro = runtime_.heap().make<CallableObject>();
  macro->macro = &stmt;
  macro->scope = &scope;
  return Value::object(Kind::callable, macro);
}

void Evaluator::call_block(const Stmt& stmt, Scope& scope) {
  const Value caller = make_macro(stmt, scope);
  write(to_text(runtime_, eval_call(*stmt.value, scope, &caller)));
}

void Evaluator::check_members(const Expr& target, Scope& scope) {
  for (const Expr* item : target.items) check_members(*item, scope);
  if (target.kind != ExprKind::member) return;
  const Value* space = scope.find(target.name);
  if (space == nullptr || !space->is(Kind::space)) {
    invalid("cannot assign attribute on non-namespace object '{}'", target.name);
  }
}

void Evaluator::assign(const Expr& target, const Value& value, Scope& scope) {
  if (target.kind == ExprKind::name) {
    scope.set(target.name, value);
    return;
  }
  if (target.kind == ExprKind::member) {
    const Value space = *scope.find(target.name);
    space.dict().set(runtime_, Value::string(target.text), value);
    return;
  }
  const Values items = collect(runtime_, value);
  if (items.size() != target.items.size()) {
    invalid("{} values to unpack (expected {}, got {})",
            items.size() < target.items.size() ? "not enough" : "too many", target.items.size(),
            items.size());
  }
  for (std::size_t i = 0; i < items.size(); ++i) assign(*target.items[i], items[i], scope);
}

}  // namespace checkbit::jinja
