#include "run/chat_template.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace checkbit {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kNow = 1700000000;

Result<std::string> render(std::string_view source, const ordered_json& variables = {},
                           const TemplateLimits& limits = {}) {
  auto parsed = ChatTemplate::parse(source);
  if (!parsed.ok()) return parsed.error();
  return parsed->render(variables.is_null() ? ordered_json::object() : variables, kNow, limits);
}

void expect_error(std::string_view source, ErrorKind kind, std::string_view part,
                  const TemplateLimits& limits = {}) {
  const auto result = render(source, {}, limits);
  ASSERT_FALSE(result.ok()) << source << " gave " << *result;
  EXPECT_EQ(to_string(result.error().kind), std::string(to_string(kind))) << source;
  EXPECT_NE(result.error().message.find(part), std::string::npos)
      << source << ": " << result.error().message;
}

/// What jinja2 gave (tests/oracles/check_templates.py --write-golden); null where it raised.
void expect_golden(const std::string& source, const ordered_json& variables,
                   const ordered_json& expected, const std::string& name) {
  const auto result = render(source, variables);
  if (expected.is_null()) {
    EXPECT_FALSE(result.ok()) << name << "\n" << source << "\ngave " << *result;
  } else {
    ASSERT_TRUE(result.ok()) << name << "\n" << source << "\n" << result.error().message;
    EXPECT_EQ(*result, expected.get<std::string>()) << name << "\n" << source;
  }
}

ordered_json load_golden() {
  std::ifstream file(CHECKBIT_SOURCE_DIR "/tests/data/template_golden.json");
  return ordered_json::parse(file);
}

TEST(ChatTemplate, ModelTemplatesGiveWhatJinja2Gives) {
  const ordered_json golden = load_golden();
  std::size_t count = 0;
  for (const auto& model : golden["models"]) {
    for (const auto& [name, expected] : model["results"].items()) {
      const std::string where = model["name"].get<std::string>() + ", " + name;
      expect_golden(model["source"], golden["cases"][name], expected, where);
      ++count;
    }
  }
  EXPECT_GE(count, 100u);
}

TEST(ChatTemplate, FeatureTemplatesGiveWhatJinja2Gives) {
  const ordered_json golden = load_golden();
  std::size_t count = 0;
  for (const auto& feature : golden["features"]) {
    const std::string name = "feature " + std::to_string(count++);
    expect_golden(feature["source"], golden["variables"], feature["result"], name);
  }
  EXPECT_GE(count, 200u);
}

TEST(ChatTemplate, SyntaxErrorsNameLineAndColumn) {
  expect_error("ab\n {{ 1 2 }}", ErrorKind::invalid, "line 2, column 7: unexpected '2'");
  expect_error("{{ ( }}", ErrorKind::invalid, "line 1, column 6: unexpected '}', expected ')'");
  expect_error("é{% if x %}", ErrorKind::invalid, "expected 'elif' or 'else' or 'endif'");
  expect_error("{% bogus %}", ErrorKind::invalid, "line 1, column 4: unknown tag 'bogus'");
}

TEST(ChatTemplate, UnsupportedConstructsAreNamed) {
  expect_error("{% include 'x' %}", ErrorKind::unsupported, "unsupported tag 'include'");
  expect_error("{% extends 'x' %}", ErrorKind::unsupported, "unsupported tag 'extends'");
  expect_error("{% from 'x' import y %}", ErrorKind::unsupported, "unsupported tag 'from'");
  expect_error("{{ 1|urlize }}", ErrorKind::unsupported, "unsupported filter 'urlize'");
  expect_error("{{ 1 is nice }}", ErrorKind::unsupported, "unsupported test 'nice'");
  expect_error("{{ 'a'.encode() }}", ErrorKind::unsupported, "unsupported method 'encode'");
  expect_error("{{ cycler(1) }}", ErrorKind::unsupported, "unsupported function 'cycler'");
  expect_error("{{ 9223372036854775807 + 1 }}", ErrorKind::unsupported, "beyond 64 bits");
  expect_error("{{ 9223372036854775808 }}", ErrorKind::unsupported, "beyond 64 bits");
}

TEST(ChatTemplate, RaiseExceptionGivesItsMessage) {
  const auto result = render("{{ raise_exception('roles must alternate') }}");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, "chat template: roles must alternate");
}

TEST(ChatTemplate, RunTimeErrorsNamePlaceAndCause) {
  expect_error("\n{{ a.b }}", ErrorKind::invalid, "line 2, column 5: 'a' is undefined");
  expect_error("{{ {}.x.y }}", ErrorKind::invalid, "'dict object' has no attribute 'x'");
}

TEST(ChatTemplate, StepsAreBounded) {
  expect_error("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
               ErrorKind::budget, "steps");
  expect_error(
      "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}"
      "{% endfor %}{{ ns.x == ns.x + [1] }}{{ ns.x|tojson }}",
      ErrorKind::budget, "more than");
}

TEST(ChatTemplate, SizesAreBounded) {
  expect_error("{{ 'x' * 1000000000000 }}", ErrorKind::budget, "text longer");
  expect_error("{{ 'x' * 9223372036854775807 }}", ErrorKind::budget, "text longer");
  expect_error("{{ [1] * 1000000000000 }}", ErrorKind::budget, "steps");
  expect_error("{{ 'a'.center(1000000000000) }}", ErrorKind::budget, "text longer");
  expect_error("{{ '%1000000000000d' % 1 }}", ErrorKind::budget, "text longer");
  expect_error("{{ range(-9223372036854775807, 9223372036854775807) }}", ErrorKind::budget,
               "range");
  TemplateLimits small;
  small.max_output_bytes = 10;
  expect_error("{% for i in range(9) %}abc{% endfor %}", ErrorKind::budget, "10 bytes", small);
}

TEST(ChatTemplate, DepthIsBounded) {
  const auto nested = [](std::string_view open, std::string_view middle, std::string_view close) {
    std::string text = "{{ ";
    for (int i = 0; i < 100000; ++i) text += open;
    text += middle;
    for (int i = 0; i < 100000; ++i) text += close;
    return text + " }}";
  };
  expect_error(nested("(", "1", ")"), ErrorKind::budget, "nested");
  expect_error(nested("[", "", "]"), ErrorKind::budget, "nested");
  expect_error(nested("- ", "1", ""), ErrorKind::budget, "nested");
  expect_error(nested("not ", "1", ""), ErrorKind::budget, "nested");
  expect_error(nested("", "a", ".b"), ErrorKind::budget, "nested");
  expect_error(nested("", "a", "|e"), ErrorKind::budget, "nested");
  expect_error("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", ErrorKind::budget, "levels");
  const auto sum = render(nested("1+", "1", ""));
  ASSERT_TRUE(sum.ok()) << sum.error().message;  // a long sum is not deep
  EXPECT_EQ(*sum, "100001");
}

TEST(ChatTemplate, NamespaceThatHoldsItselfIsFine) {
  EXPECT_EQ(*render("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}"),
            "True");
}

TEST(ChatTemplate, VariablesMustBeAnObject) {
  const auto parsed = ChatTemplate::parse("x");
  ASSERT_TRUE(parsed.ok());
  EXPECT_FALSE(parsed->render(ordered_json::array(), kNow).ok());
}

}  // namespace
}  // namespace checkbit
