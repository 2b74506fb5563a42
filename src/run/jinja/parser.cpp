#include "run/jinja/parser.h"

#include <algorithm>

#include "run/jinja/fault.h"

namespace checkbit::jinja {
namespace {

using Names = std::initializer_list<std::string_view>;

class TemplateParser : public ExprParser {
 public:
  using ExprParser::ExprParser;

  void run() {
    ast_.body = body({});
    check_unknown();
  }

 private:
  Stmt* make_stmt(StmtKind kind, std::size_t offset) {
    Stmt& stmt = ast_.stmts.emplace_back();
    stmt.kind = kind;
    stmt.offset = offset;
    return &stmt;
  }

  static std::string join(Names names) {
    std::string text;
    for (const std::string_view name : names) {
      text += fmt::format("{}'{}'", text.empty() ? "" : " or ", name);
    }
    return text;
  }

  bool at_any(Names names) const {
    return std::any_of(names.begin(), names.end(),
                       [this](std::string_view name) { return at_name(name); });
  }

  /// Statements up to a tag named in `until`, which becomes the current token; up to the end of the
  /// template when there is none.
  Stmt::Body body(Names until) {
    Stmt::Body out;
    while (now().kind != TokenKind::end) {
      const Token token = take();
      if (token.kind == TokenKind::data) {
        Stmt* stmt = make_stmt(StmtKind::data, token.offset);
        stmt->text = token.text;
        out.push_back(stmt);
      } else if (token.kind == TokenKind::variable_begin) {
        Stmt* stmt = make_stmt(StmtKind::output, token.offset);
        stmt->values = {tuple(true)};
        expect(TokenKind::variable_end);
        out.push_back(stmt);
      } else {
        if (at_any(until)) return out;
        out.push_back(statement(until));
        expect(TokenKind::block_end);
      }
    }
    if (until.size() != 0) fail("unexpected end of template, expected " + join(until));
    return out;
  }

  /// The rest of an opening tag, then its body; the closing tag's name is consumed.
  Stmt::Body block(std::string_view end) {
    Stmt::Body out = open_block({end});
    take();
    return out;
  }
  Stmt::Body open_block(Names until) {
    skip_op(":");
    expect(TokenKind::block_end);
    return body(until);
  }

  const Stmt* statement(Names until) {
    if (now().kind != TokenKind::name) fail("tag name expected");
    if (++depth_ > kMaxParseDepth) {
      throw Fault{ErrorKind::budget, "template is nested too deeply", now().offset};
    }
    using Method = const Stmt* (TemplateParser::*)(std::size_t);
    struct Tag {
      std::string_view name;
      Method parse;
    };
    static constexpr Tag kTags[] = {
        {"if", &TemplateParser::branch},        {"for", &TemplateParser::loop},
        {"set", &TemplateParser::set},          {"macro", &TemplateParser::macro},
        {"call", &TemplateParser::call_block},  {"filter", &TemplateParser::filter_block},
        {"with", &TemplateParser::with},        {"generation", &TemplateParser::generation},
        {"break", &TemplateParser::leave_loop}, {"continue", &TemplateParser::leave_loop},
        {"print", &TemplateParser::print}};
    const auto* tag = std::find_if(std::begin(kTags), std::end(kTags),
                                   [this](const Tag& t) { return at_name(t.name); });
    if (tag == std::end(kTags)) unknown_tag(until);
    const std::size_t offset = take().offset;
    const Stmt* stmt = (this->*tag->parse)(offset);
    --depth_;
    return stmt;
  }

  [[noreturn]] void unknown_tag(Names until) const {
    static constexpr std::string_view kKnown[] = {
        "include", "import", "from", "extends", "block", "do", "autoescape", "trans", "debug"};
    if (std::find(std::begin(kKnown), std::end(kKnown), now().text) != std::end(kKnown)) {
      throw Fault{ErrorKind::unsupported, fmt::format("tag '{}'", now().text), now().offset};
    }
    fail(fmt::format("unknown tag '{}'{}", now().text,
                     until.size() != 0 ? ", expected " + join(until) : ""));
  }

  const Stmt* branch(std::size_t offset) {
    Stmt* stmt = make_stmt(StmtKind::branch, offset);
    ++soft_;
    do {
      const Expr* condition = tuple(false);
      stmt->branches.emplace_back(condition, open_block({"elif", "else", "endif"}));
    } while (skip_name("elif"));
    if (skip_name("else")) {
      stmt->otherwise = block("endif");
    } else {
      take();
    }
    --soft_;
    return stmt;
  }

  const Stmt* loop(std::size_t offset) {
    Stmt* stmt = make_stmt(StmtKind::loop, offset);
    ++loops_around_;
    stmt->target = target(false, "in");
    if (!skip_name("in")) fail("expected 'in'");
    stmt->value = tuple(false, "recursive");
    if (skip_name("if")) stmt->test = expression();
    stmt->recursive = skip_name("recursive");
    stmt->body = open_block({"endfor", "else"});
    --loops_around_;
    if (skip_name("else")) {
      stmt->otherwise = block("endfor");
    } else {
      take();
    }
    return stmt;
  }

  const Stmt* set(std::size_t offset) {
    Stmt* stmt = make_stmt(StmtKind::set, offset);
    stmt->target = target(true);
    if (skip_op("=")) {
      stmt->value = tuple(true);
      return stmt;
    }
    stmt->kind = StmtKind::set_block;
    stmt->value = filter_chain(nullptr, false);
    stmt->body = block("endset");
    return stmt;
  }

  /// `(a, b=1)`; the parentheses are optional where the caller says so.
  void signature(Stmt& stmt) {
    expect_op("(");
    while (!at_op(")")) {
      const std::string name = expect_name("a parameter's name");
      if (std::count(stmt.parameters.begin(), stmt.parameters.end(), name) != 0) {
        fail(fmt::format("duplicate parameter '{}'", name));
      }
      note_store(name);
      stmt.parameters.push_back(name);
      if (skip_op("=")) {
        stmt.defaults.push_back(expression());
      } else if (!stmt.defaults.empty()) {
        fail("non-default argument follows default argument");
      }
      if (!at_op(")")) expect_op(",");
    }
    take();
  }

  void macro_body(Stmt& stmt, std::string_view end) {
    const int loops = loops_around_;
    loops_around_ = 0;
    macros_.emplace_back();
    stmt.body = block(end);
    const unsigned used = macros_.back().used;
    macros_.pop_back();
    loops_around_ = loops;
    const auto is_parameter = [&](std::string_view name) {
      return std::count(stmt.parameters.begin(), stmt.parameters.end(), name) != 0;
    };
    stmt.uses_caller = (used & SpecialNames::caller) != 0;
    stmt.uses_kwargs = (used & SpecialNames::kwargs) != 0 && !is_parameter("kwargs");
    stmt.uses_varargs = (used & SpecialNames::varargs) != 0 && !is_parameter("varargs");
    if (stmt.uses_caller && is_parameter("caller")) {
      const auto at = std::find(stmt.parameters.begin(), stmt.parameters.end(), "caller");
      const auto after = static_cast<std::size_t>(stmt.parameters.end() - at);
      if (after > stmt.defaults.size()) fail("parameter 'caller' must be given a default");
      stmt.uses_caller = false;
    }
  }

  const Stmt* macro(std::size_t offset) {
    Stmt* stmt = make_stmt(StmtKind::macro, offset);
    stmt->text = expect_name("a macro's name");
    note_store(stmt->text);
    signature(*stmt);
    macro_body(*stmt, "endmacro");
    return stmt;
  }

  const Stmt* call_block(std::size_t offset) {
    Stmt* stmt = make_stmt(StmtKind::call_block, offset);
    if (at_op("(")) signature(*stmt);
    stmt->value = expression();
    if (stmt->value->kind != ExprKind::call) fail("expected call");
    macro_body(*stmt, "endcall");
    return stmt;
  }

  const Stmt* filter_block(std::size_t offset) {
    Stmt* stmt = make_stmt(StmtKind::filter_block, offset);
    stmt->value = filter_chain(nullptr, true);
    stmt->body = block("endfilter");
    return stmt;
  }

  const Stmt* with(std::size_t offset) {
    Stmt* stmt = make_stmt(StmtKind::with, offset);
    while (now().kind != TokenKind::block_end) {
      if (!stmt->targets.empty()) expect_op(",");
      stmt->targets.push_back(target(false));
      expect_op("=");
      stmt->values.push_back(expression());
    }
    stmt->body = block("endwith");
    return stmt;
  }

  /// transformers marks the assistant's own words with this; in it, as in a macro, `set` is local.
  const Stmt* generation(std::size_t offset) {
    Stmt* stmt = make_stmt(StmtKind::scope, offset);
    const int loops = loops_around_;
    loops_around_ = 0;
    stmt->body = block("endgeneration");
    loops_around_ = loops;
    return stmt;
  }

  const Stmt* leave_loop(std::size_t offset) {
    const bool is_break = before().text == "break";
    if (loops_around_ == 0) fail(is_break ? "'break' outside loop" : "'continue' outside loop");
    return make_stmt(is_break ? StmtKind::break_loop : StmtKind::continue_loop, offset);
  }

  const Stmt* print(std::size_t offset) {
    Stmt* stmt = make_stmt(StmtKind::output, offset);
    while (now().kind != TokenKind::block_end) {
      if (!stmt->values.empty()) expect_op(",");
      stmt->values.push_back(expression());
    }
    return stmt;
  }
};

}  // namespace

Ast parse_template(std::string_view source) {
  Ast ast;
  TemplateParser(ast, tokenize(source)).run();
  return ast;
}

}  // namespace checkbit::jinja
