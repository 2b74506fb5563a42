// What may follow an operand: subscripts, slices, calls, filters and tests.
#include "run/jinja/builtins.h"
#include "run/jinja/fault.h"
#include "run/jinja/parser.h"

namespace checkbit::jinja {

const Expr* ExprParser::subscript(const Expr* base) {
  const Token token = take();
  if (token.text == "[") {
    const Expr* expr = subscribed(base);
    expect_op("]");
    return expr;
  }
  Expr* expr = make(ExprKind::attribute, token.offset);
  expr->items = {base};
  if (now().kind == TokenKind::integer) {
    Expr* index = make(ExprKind::constant, now().offset);
    index->constant = Value::integer(take().integer);
    expr->kind = ExprKind::subscript;
    expr->items.push_back(index);
  } else {
    expr->name = expect_name("a name or number");
  }
  return expr;
}

const Expr* ExprParser::subscribed(const Expr* base) {
  const std::size_t offset = now().offset;
  const Expr* start = at_op(":") ? nullptr : expression();
  if (!at_op(":")) {
    Expr* expr = make(ExprKind::subscript, offset);
    if (at_op(",")) {
      Expr* key = make(ExprKind::tuple, offset);
      key->items.push_back(start);
      while (skip_op(",")) key->items.push_back(expression());
      start = key;
    }
    expr->items = {base, start};
    return expr;
  }
  const auto part = [&]() -> const Expr* {
    if (!skip_op(":") || at_op(":") || at_op("]")) return nullptr;
    return expression();
  };
  Expr* expr = make(ExprKind::slice, offset);
  const Expr* stop = part();
  const Expr* step = part();
  expr->items = {base, start, stop, step};
  return expr;
}

const Expr* ExprParser::call(const Expr* callee) {
  Expr* expr = make(ExprKind::call, now().offset);
  expr->items = {callee};
  arguments(*expr);
  return expr;
}

void ExprParser::arguments(Expr& into) {
  const Nesting nesting(*this);
  expect_op("(");
  const auto ensure = [&](bool good) {
    if (!good) fail("invalid syntax for function call expression");
  };
  while (!at_op(")")) {
    if (skip_op("*")) {
      ensure(into.star == nullptr && into.star_star == nullptr);
      into.star = expression();
    } else if (skip_op("**")) {
      ensure(into.star_star == nullptr);
      into.star_star = expression();
    } else if (now().kind == TokenKind::name && ahead().kind == TokenKind::op &&
               ahead().text == "=") {
      ensure(into.star_star == nullptr);
      const std::string name = take().text;
      take();
      for (const auto& [other, value] : into.named) {
        if (other == name) fail(fmt::format("keyword argument repeated: {}", name));
      }
      into.named.emplace_back(name, expression());
    } else {
      ensure(into.star == nullptr && into.star_star == nullptr && into.named.empty());
      into.items.push_back(expression());
    }
    if (!at_op(")")) expect_op(",");
  }
  take();
}

void ExprParser::find_builtin(Expr& expr, bool is_filter) {
  expr.builtin = is_filter ? find_filter(expr.name) : find_test(expr.name);
  if (expr.builtin == nullptr && soft_ == 0) unknown_.push_back(&expr);
}

void ExprParser::check_unknown() const {
  if (unknown_.empty()) return;
  const Expr& expr = *unknown_.front();
  throw Fault{ErrorKind::unsupported,
              fmt::format("{} '{}'", expr.kind == ExprKind::filter ? "filter" : "test", expr.name),
              expr.offset};
}

const Expr* ExprParser::filter(const Expr* input) {
  Expr* expr = make(ExprKind::filter, now().offset);
  expr->items = {input};
  expr->name = expect_name("a filter's name");
  while (skip_op(".")) expr->name += "." + expect_name("a filter's name");
  if (at_op("(")) arguments(*expr);
  find_builtin(*expr, true);
  return expr;
}

const Expr* ExprParser::filter_chain(const Expr* input, bool starts_inline) {
  if (starts_inline) input = filter(input);
  for (int links = 0; skip_op("|"); ++links) {
    check_links(links);
    input = filter(input);
  }
  return input;
}

const Expr* ExprParser::test(const Expr* input) {
  const std::size_t offset = take().offset;
  const bool negated = skip_name("not");
  Expr* expr = make(ExprKind::test, offset);
  expr->items = {input};
  expr->name = expect_name("a test's name");
  while (skip_op(".")) expr->name += "." + expect_name("a test's name");
  const bool starts_value = now().kind == TokenKind::name || now().kind == TokenKind::string ||
                            now().kind == TokenKind::integer || now().kind == TokenKind::real ||
                            at_op("[") || at_op("{");
  if (at_op("(")) {
    arguments(*expr);
  } else if (starts_value && !at_name("else") && !at_name("or") && !at_name("and")) {
    if (at_name("is")) fail("you cannot chain multiple tests with is");
    int links = 0;
    expr->items.push_back(postfix(primary(), links));
  }
  find_builtin(*expr, false);
  if (!negated) return expr;
  Expr* whole = make(ExprKind::logical_not, offset);
  whole->items = {expr};
  return whole;
}

}  // namespace checkbit::jinja
