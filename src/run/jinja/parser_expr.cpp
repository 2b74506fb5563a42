// Expressions. Loosest first: conditional, or, and, not, comparison, + -, ~, * / // %, **, unary,
// then calls, subscripts, filters and tests.
#include <algorithm>

#include "run/jinja/builtins.h"
#include "run/jinja/fault.h"
#include "run/jinja/parser.h"

namespace checkbit::jinja {

ExprParser::ExprParser(Ast& ast, std::vector<Token> tokens)
    : ast_(ast), tokens_(std::move(tokens)) {}

bool ExprParser::at_op(std::string_view op) const {
  return now().kind == TokenKind::op && now().text == op;
}
bool ExprParser::at_name(std::string_view name) const {
  return now().kind == TokenKind::name && now().text == name;
}
bool ExprParser::skip_op(std::string_view op) {
  const bool here = at_op(op);
  if (here) take();
  return here;
}
bool ExprParser::skip_name(std::string_view name) {
  const bool here = at_name(name);
  if (here) take();
  return here;
}
void ExprParser::expect_op(std::string_view op) {
  if (!skip_op(op)) fail(fmt::format("expected '{}'", op));
}
void ExprParser::expect(TokenKind kind) {
  if (now().kind != kind) fail_unexpected();
  take();
}
std::string ExprParser::expect_name(std::string_view what) {
  if (now().kind != TokenKind::name) fail(fmt::format("expected {}", what));
  return take().text;
}
void ExprParser::fail(std::string message) const {
  throw Fault{ErrorKind::invalid, std::move(message), now().offset, true};
}
void ExprParser::fail_unexpected() const {
  switch (now().kind) {
    case TokenKind::end:
      fail("unexpected end of template");
    case TokenKind::block_end:
    case TokenKind::variable_end:
      fail("unexpected end of the tag");
    default:
      fail(fmt::format("unexpected '{}'", now().text));
  }
}

Expr* ExprParser::make(ExprKind kind, std::size_t offset) {
  Expr& expr = ast_.exprs.emplace_back();
  expr.kind = kind;
  expr.offset = offset;
  return &expr;
}

static unsigned special_bit(const std::string& name) {
  return name == "caller" ? 1u : name == "kwargs" ? 2u : name == "varargs" ? 4u : 0u;
}

void ExprParser::note_load(const std::string& name) {
  const unsigned bit = special_bit(name);
  for (SpecialNames& macro : macros_) macro.used |= bit & ~macro.stored;
}

void ExprParser::note_store(const std::string& name) {
  if (name == "loop" && loops_around_ > 0) fail("can't assign to special loop variable");
  const unsigned bit = special_bit(name);
  for (SpecialNames& macro : macros_) macro.stored |= bit;
}

const Expr* ExprParser::expression(bool with_condition) {
  const Nesting nesting(*this);
  return with_condition ? conditional() : logical(ExprKind::logical_or, "or");
}

const Expr* ExprParser::conditional() {
  const std::size_t offset = now().offset;
  const std::size_t known = unknown_.size();
  const Expr* then = logical(ExprKind::logical_or, "or");
  for (int links = 0; skip_name("if"); ++links) {
    check_links(links);
    Expr* whole = make(ExprKind::conditional, offset);
    unknown_.resize(known);  // the operand already read is conditional too
    ++soft_;
    const Expr* condition = logical(ExprKind::logical_or, "or");
    const Expr* otherwise = skip_name("else") ? expression() : nullptr;
    --soft_;
    whole->items = {condition, then, otherwise};
    then = whole;
  }
  return then;
}

const Expr* ExprParser::logical(ExprKind kind, std::string_view word) {
  const auto operand = [&] {
    return kind == ExprKind::logical_or ? logical(ExprKind::logical_and, "and") : logical_not();
  };
  const std::size_t offset = now().offset;
  const Expr* first = operand();
  if (!at_name(word)) return first;
  Expr* all = make(kind, offset);
  all->items.push_back(first);
  while (skip_name(word)) all->items.push_back(operand());
  return all;
}

const Expr* ExprParser::logical_not() {
  if (!at_name("not")) return compare();
  const Nesting nesting(*this);
  Expr* expr = make(ExprKind::logical_not, take().offset);
  expr->items = {logical_not()};
  return expr;
}

static bool compare_op(std::string_view text, Op& op) {
  static constexpr std::pair<std::string_view, Op> kOps[] = {
      {"==", Op::equal},      {"!=", Op::not_equal}, {"<", Op::less},
      {"<=", Op::less_equal}, {">", Op::greater},    {">=", Op::greater_equal}};
  const auto found = std::find_if(std::begin(kOps), std::end(kOps),
                                  [&](const auto& entry) { return entry.first == text; });
  if (found == std::end(kOps)) return false;
  op = found->second;
  return true;
}

const Expr* ExprParser::compare() {
  const std::size_t offset = now().offset;
  const Expr* first = arithmetic(0);
  Expr* all = nullptr;
  while (true) {
    Op op = Op::in;
    if (now().kind == TokenKind::op && compare_op(now().text, op)) {
      take();
    } else if (at_name("not") && ahead().kind == TokenKind::name && ahead().text == "in") {
      take();
      take();
      op = Op::not_in;
    } else if (!skip_name("in")) {
      break;
    }
    if (all == nullptr) {
      all = make(ExprKind::compare, offset);
      all->items.push_back(first);
    }
    all->ops.push_back(op);
    all->items.push_back(arithmetic(0));
  }
  return all == nullptr ? first : all;
}

/// Levels: 0 is + -, 1 is * / // %, 2 is **. Concatenation with ~ stands between 0 and 1.
const Expr* ExprParser::arithmetic(int level) {
  struct Row {
    std::string_view text;
    Op op;
    int level;
  };
  static constexpr Row kOps[] = {{"+", Op::add, 0},           {"-", Op::subtract, 0},
                                 {"*", Op::multiply, 1},      {"/", Op::divide, 1},
                                 {"//", Op::floor_divide, 1}, {"%", Op::modulo, 1},
                                 {"**", Op::power, 2}};
  const auto operand = [&] {
    return level == 0 ? concat() : level == 1 ? arithmetic(2) : unary(true);
  };
  const std::size_t offset = now().offset;
  const Expr* first = operand();
  Expr* all = nullptr;
  while (now().kind == TokenKind::op) {
    const auto found = std::find_if(std::begin(kOps), std::end(kOps), [&](const Row& row) {
      return row.level == level && row.text == now().text;
    });
    if (found == std::end(kOps)) break;
    take();
    if (all == nullptr) {
      all = make(ExprKind::arithmetic, offset);
      all->items.push_back(first);
    }
    all->ops.push_back(found->op);
    all->items.push_back(operand());
  }
  return all == nullptr ? first : all;
}

const Expr* ExprParser::concat() {
  const std::size_t offset = now().offset;
  const Expr* first = arithmetic(1);
  if (!at_op("~")) return first;
  Expr* all = make(ExprKind::concat, offset);
  all->items.push_back(first);
  while (skip_op("~")) all->items.push_back(arithmetic(1));
  return all;
}

const Expr* ExprParser::unary(bool with_filter) {
  const Expr* base = nullptr;
  if (at_op("-") || at_op("+")) {
    const Nesting nesting(*this);
    const bool is_minus = at_op("-");
    Expr* sign = make(is_minus ? ExprKind::negative : ExprKind::positive, take().offset);
    sign->items = {unary(false)};
    base = sign;
  } else {
    base = primary();
  }
  int links = 0;
  base = postfix(base, links);
  return with_filter ? postfix_and_filters(base) : base;
}

const Expr* ExprParser::primary() {
  const Nesting nesting(*this);
  const Token token = now();
  Expr* expr = nullptr;
  if (token.kind == TokenKind::name) {
    take();
    expr = make(ExprKind::constant, token.offset);
    if (token.text == "true" || token.text == "True") {
      expr->constant = Value::boolean(true);
    } else if (token.text == "false" || token.text == "False") {
      expr->constant = Value::boolean(false);
    } else if (token.text == "none" || token.text == "None") {
      expr->constant = Value::none();
    } else {
      expr->kind = ExprKind::name;
      expr->name = token.text;
      note_load(token.text);
    }
  } else if (token.kind == TokenKind::string) {
    std::string text;
    while (now().kind == TokenKind::string) text += take().text;
    expr = make(ExprKind::constant, token.offset);
    expr->constant = Value::string(std::move(text));
  } else if (token.kind == TokenKind::integer || token.kind == TokenKind::real) {
    take();
    expr = make(ExprKind::constant, token.offset);
    expr->constant =
        token.kind == TokenKind::real ? Value::real(token.real) : Value::integer(token.integer);
  } else if (skip_op("(")) {
    const Expr* inner = tuple(true, {}, true);
    expect_op(")");
    return inner;
  } else if (skip_op("[")) {
    expr = make(ExprKind::list, token.offset);
    while (!at_op("]")) {
      expr->items.push_back(expression());
      if (!at_op("]")) expect_op(",");
    }
    take();
  } else if (at_op("{")) {
    return dict();
  } else {
    fail_unexpected();
  }
  return expr;
}

const Expr* ExprParser::dict() {
  Expr* expr = make(ExprKind::dict, take().offset);
  while (!at_op("}")) {
    expr->items.push_back(expression());
    expect_op(":");
    expr->items.push_back(expression());
    if (!at_op("}")) expect_op(",");
  }
  take();
  return expr;
}

bool ExprParser::tuple_ends(std::string_view until) const {
  return now().kind == TokenKind::variable_end || now().kind == TokenKind::block_end ||
         at_op(")") || (!until.empty() && at_name(until));
}

const Expr* ExprParser::tuple(bool with_condition, std::string_view until, bool parenthesized) {
  const std::size_t offset = now().offset;
  std::vector<const Expr*> items;
  bool is_tuple = false;
  while (!tuple_ends(until)) {
    items.push_back(expression(with_condition));
    if (!skip_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return items.front();
  if (!is_tuple && !parenthesized) fail("expected an expression");
  Expr* expr = make(ExprKind::tuple, offset);
  expr->items = std::move(items);
  return expr;
}

const Expr* ExprParser::target_item(bool with_member) {
  const Nesting nesting(*this);
  const std::size_t offset = now().offset;
  if (skip_op("(")) {
    const Expr* inner = target(with_member);
    expect_op(")");
    return inner;
  }
  static constexpr std::string_view kConstants[] = {"true", "false", "none",
                                                    "True", "False", "None"};
  const bool is_constant =
      std::find(std::begin(kConstants), std::end(kConstants), now().text) != std::end(kConstants);
  if (now().kind != TokenKind::name || is_constant) fail("can't assign to this");
  Expr* expr = make(ExprKind::name, offset);
  expr->name = take().text;
  if (with_member && skip_op(".")) {
    expr->kind = ExprKind::member;
    note_load(expr->name);
    expr->text = expect_name("an attribute's name");
  } else {
    note_store(expr->name);
  }
  return expr;
}

const Expr* ExprParser::target(bool with_member, std::string_view until) {
  const std::size_t offset = now().offset;
  const Expr* first = target_item(with_member);
  if (!at_op(",")) return first;
  Expr* expr = make(ExprKind::tuple, offset);
  expr->items.push_back(first);
  while (skip_op(",")) {
    if (tuple_ends(until) || at_op("=")) break;
    expr->items.push_back(target_item(with_member));
  }
  return expr;
}

void ExprParser::check_links(int links) const {
  if (links >= kMaxParseDepth) {
    throw Fault{ErrorKind::budget, "expression is nested too deeply", now().offset};
  }
}

const Expr* ExprParser::postfix(const Expr* base, int& links) {
  while (true) {
    if (at_op(".") || at_op("[")) {
      base = subscript(base);
    } else if (at_op("(")) {
      base = call(base);
    } else {
      return base;
    }
    check_links(++links);
  }
}

const Expr* ExprParser::postfix_and_filters(const Expr* base) {
  for (int links = 0;; ++links) {
    check_links(links);
    if (skip_op("|")) {
      base = filter(base);
    } else if (at_name("is")) {
      base = test(base);
    } else if (at_op("(")) {
      base = call(base);
    } else {
      return base;
    }
  }
}

}  // namespace checkbit::jinja
