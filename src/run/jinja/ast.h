// A parsed template.
//
// What: statements and expressions as plain records. Nodes point at one another and are owned by
//   the Ast in two flat lists, so a hostile template cannot make destruction deep.
// Threads: read-only after parsing.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "run/jinja/value.h"

namespace checkbit::jinja {

enum class ExprKind : std::uint8_t {
  constant,
  name,
  list,
  tuple,
  dict,       ///< items: key, value, key, value ...
  attribute,  ///< items[0].name
  subscript,  ///< items[0][items[1]]
  slice,      ///< items[0][items[1]:items[2]:items[3]], absent parts null
  call,       ///< items[0](items[1:], named, star, star_star)
  filter,     ///< items[0] | name(...); items[0] null: the block's text
  test,       ///< items[0] is name(...)
  negative,
  positive,
  logical_not,
  logical_and,  ///< n items
  logical_or,   ///< n items
  compare,      ///< n items, n - 1 operators
  arithmetic,   ///< n items, n - 1 operators of one precedence, left to right
  concat,       ///< n items joined by ~
  conditional,  ///< items: condition, then, otherwise (null: undefined)
  member        ///< target of set only: name.text of a namespace
};

enum class Op : std::uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in
};

struct Expr {
  ExprKind kind = ExprKind::constant;
  std::size_t offset = 0;
  Value constant;
  std::string name;
  std::string text;
  std::vector<const Expr*> items;
  std::vector<std::pair<std::string, const Expr*>> named;
  const Expr* star = nullptr;
  const Expr* star_star = nullptr;
  std::vector<Op> ops;
  const Builtin* builtin = nullptr;  ///< of filter and test; null when there is none of that name
};

enum class StmtKind : std::uint8_t {
  data,          ///< text
  output,        ///< values
  set,           ///< target = value
  set_block,     ///< target = body | value (a filter chain or null)
  loop,          ///< for target in value if test; body, otherwise
  branch,        ///< branches; otherwise
  macro,         ///< name, parameters, defaults, body
  call_block,    ///< value is a call; parameters, defaults, body make the caller
  filter_block,  ///< value is a filter chain
  with,          ///< targets = values
  scope,         ///< body in a scope of its own
  break_loop,
  continue_loop
};

struct Stmt {
  using Body = std::vector<const Stmt*>;
  StmtKind kind = StmtKind::data;
  std::size_t offset = 0;
  std::string text;
  const Expr* target = nullptr;
  const Expr* value = nullptr;
  const Expr* test = nullptr;
  std::vector<const Expr*> targets;
  std::vector<const Expr*> values;
  std::vector<std::pair<const Expr*, Body>> branches;
  Body body;
  Body otherwise;
  bool recursive = false;

  std::vector<std::string> parameters;  ///< of macro and call_block
  std::vector<const Expr*> defaults;    ///< for the last parameters
  bool uses_caller = false;             ///< the body mentions these special names
  bool uses_kwargs = false;
  bool uses_varargs = false;
};

struct Ast {
  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  Stmt::Body body;
};

}  // namespace checkbit::jinja
