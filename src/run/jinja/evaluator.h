// Renders a parsed template.
//
// What: walks the Ast with Python's evaluation order and jinja2's scopes: loops, macros, set
// blocks,
//   filter blocks and `with` have their own variables, `if` has not; a macro sees the variables of
//   the place where it was defined as they are when it is called.
// Errors: Fault, with the offset of the statement or expression that failed.
// Threads: one Evaluator per rendering; the Ast is only read.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "run/jinja/ast.h"
#include "run/jinja/builtins.h"
#include "run/jinja/value.h"

namespace checkbit::jinja {

/// Variables of one block. Few per scope, so a flat list.
struct Scope : Object {
  Scope* parent = nullptr;
  std::vector<std::pair<std::string, Value>> variables;

  const Value* find(std::string_view name) const;  ///< here or in a parent
  void set(const std::string& name, Value value);
};

class Evaluator {
 public:
  /// `variables`: what the template is rendered with.
  Evaluator(Runtime& runtime, const Ast& ast, Scope& variables);
  std::string render();

 private:
  enum class Flow : std::uint8_t { normal, break_loop, continue_loop };

  Flow run(const Stmt::Body& body, Scope& scope);
  Flow run(const Stmt& stmt, Scope& scope);
  Flow run_branch(const Stmt& stmt, Scope& scope);
  Flow run_loop(const Stmt& stmt, Scope& scope);
  Flow run_set_block(const Stmt& stmt, Scope& scope);
  Flow run_with(const Stmt& stmt, Scope& scope);
  /// Runs `body` in a new scope and collects its output.
  std::string capture(const Stmt::Body& body, Scope& scope, Flow& flow);
  Flow walk(const Stmt& stmt, Scope& scope, const Value& source, int depth);
  std::function<bool(Value&)> item_source(const Stmt& stmt, Scope& scope, const Value& source);
  void call_block(const Stmt& stmt, Scope& scope);
  void assign(const Expr& target, const Value& value, Scope& scope);
  void check_members(const Expr& target, Scope& scope);
  void write(std::string_view text);
  Scope& new_scope(Scope* parent);
  Value make_macro(const Stmt& stmt, Scope& scope);

  Value eval(const Expr& expr, Scope& scope);
  Value eval_unchecked(const Expr& expr, Scope& scope);
  Value eval_name(const Expr& expr, Scope& scope);
  Value eval_dict(const Expr& expr, Scope& scope);
  Value eval_slice(const Expr& expr, Scope& scope);
  Value eval_logical(const Expr& expr, Scope& scope);
  Value eval_compare(const Expr& expr, Scope& scope);
  Value eval_concat(const Expr& expr, Scope& scope);
  Value eval_conditional(const Expr& expr, Scope& scope);
  /// A filter applied to `block`'s text where the chain starts with null.
  Value eval_filter(const Expr& expr, Scope& scope, const Value* block);
  Value eval_test(const Expr& expr, Scope& scope);
  Value eval_call(const Expr& expr, Scope& scope, const Value* caller);
  Values eval_items(const std::vector<const Expr*>& items, Scope& scope, std::size_t first = 0);
  Arguments eval_arguments(const Expr& expr, Scope& scope, std::size_t first);

  Value call(const Value& callee, Arguments arguments);
  Value call_macro(const CallableObject& macro, Arguments arguments);
  void bind_macro(const Stmt& macro, Arguments& arguments, Scope& scope);
  Value call_loop(LoopObject& loop, const Arguments& arguments);

  Runtime& runtime_;
  const Ast& ast_;
  Scope& variables_;
  std::string* out_ = nullptr;
};

}  // namespace checkbit::jinja
