// Tokens to an Ast, with jinja2's grammar and precedences.
//
// What: recursive descent. ExprParser knows expressions, parse_template adds statements.
// Bounds: kMaxParseDepth levels of nesting, counting chains such as a.b.c and a|b|c.
// Errors: Fault with offset: syntax, or unsupported with the construct's name.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "run/jinja/ast.h"
#include "run/jinja/fault.h"
#include "run/jinja/lexer.h"

namespace checkbit::jinja {

constexpr int kMaxParseDepth = 200;

/// `source` as returned by normalize_newlines.
Ast parse_template(std::string_view source);

class ExprParser {
 public:
  ExprParser(Ast& ast, std::vector<Token> tokens);

 protected:
  /// Special names of a macro that its body mentions before it stores them.
  struct SpecialNames {
    enum Bit : unsigned { caller = 1, kwargs = 2, varargs = 4 };
    unsigned used = 0;
    unsigned stored = 0;
  };

  const Token& now() const { return tokens_[at_]; }
  const Token& before() const { return tokens_[at_ - 1]; }
  const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  Token take() { return at_ + 1 < tokens_.size() ? tokens_[at_++] : tokens_[at_]; }
  bool at_op(std::string_view op) const;
  bool at_name(std::string_view name) const;
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  std::string expect_name(std::string_view what);
  void expect(TokenKind kind);
  [[noreturn]] void fail(std::string message) const;
  [[noreturn]] void fail_unexpected() const;

  Expr* make(ExprKind kind, std::size_t offset);
  const Expr* expression(bool with_condition = true);
  /// `until`: a name that ends the tuple, such as "in".
  const Expr* tuple(bool with_condition, std::string_view until = {}, bool parenthesized = false);
  /// A name, tuple of names or (with_member) namespace.attribute, to be assigned to.
  const Expr* target(bool with_member, std::string_view until = {});
  const Expr* filter_chain(const Expr* input, bool starts_inline);
  void note_store(const std::string& name);
  void note_load(const std::string& name);
  /// Fails when a filter or test that is not inside an if has no definition.
  void check_unknown() const;

  /// Holds one level of nesting.
  class Nesting {
   public:
    explicit Nesting(ExprParser& parser) : parser_(parser) {
      if (++parser_.depth_ > kMaxParseDepth) {
        throw Fault{ErrorKind::budget, "template is nested too deeply", parser_.now().offset};
      }
    }
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ExprParser& parser_;
  };
  Ast& ast_;
  int depth_ = 0;
  int loops_around_ = 0;  ///< for statements around this place, through macros too
  int soft_ = 0;          ///< inside an if: unknown filters fail only when reached
  std::vector<SpecialNames> macros_;

 private:
  const Expr* conditional();
  const Expr* logical(ExprKind kind, std::string_view word);
  const Expr* logical_not();
  const Expr* compare();
  const Expr* arithmetic(int level);
  const Expr* concat();
  const Expr* unary(bool with_filter);
  const Expr* primary();
  const Expr* postfix(const Expr* base, int& links);
  const Expr* postfix_and_filters(const Expr* base);
  const Expr* subscript(const Expr* base);
  const Expr* subscribed(const Expr* base);
  const Expr* call(const Expr* callee);
  const Expr* test(const Expr* input);
  const Expr* filter(const Expr* input);
  const Expr* dict();
  const Expr* target_item(bool with_member);
  void arguments(Expr& into);
  void find_builtin(Expr& expr, bool is_filter);
  bool tuple_ends(std::string_view until) const;
  void check_links(int links) const;

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::vector<const Expr*> unknown_;
};

}  // namespace checkbit::jinja
