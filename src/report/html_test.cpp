#include "report/html.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "report/html_style.h"
#include "report/svg.h"

namespace checkbit {
namespace {

const std::string kHostile = "<script>alert('x')</script><img src=x onerror=\"y\"> \xFF\x1B&";

std::string every_chart(const std::string& label) {
  const double nan = std::nan("");
  const double infinity = std::numeric_limits<double>::infinity();
  return svg_bars({{label, 3, 2.0, 4.0, label, Tone::accent},
                   {label, nan, infinity, nan, label, Tone::contrast}}) +
         svg_stacks({{label, {{label, 5}, {"b", 2}, {"c", -1}, {"d", nan}}},
                     {label, {{"e", 1}, {"f", 1}, {"g", 1}, {"h", 1}, {"i", 1}}}},
                    label) +
         svg_quantiles({0, 1e-9, 0.1, 1, infinity}, label) +
         svg_quantile_curves({{label, {0, 1e-9, 0.1, 1, infinity}}, {label, {nan, 1}}}, label) +
         svg_points({{label, 1e6, 0.1, 0.05, 0.2, label, label, true},
                     {label, nan, infinity, nan, -1.0, label, label, true},
                     {label, 3, 0, std::nullopt, std::nullopt, "", "", false}},
                    label, label) +
         svg_curves({{label, label, {{1e-8, 0.1, 0.05, 0.2}, {1e-3, nan, 0.0, infinity}}},
                     {label, "", {{1, 0, std::nullopt, std::nullopt}}}},
                    label, label) +
         svg_strips({{label, {1.0, std::nullopt, nan}}, {"empty", {}}}, label, label, label) +
         svg_lines({{label, {1, 2, nan, 3}, Tone::neutral}, {"none", {}, Tone::accent}}, label,
                   label);
}

/// One of everything, each text hostile.
Report full_report(const std::string& text) {
  Report report;
  report.kicker = report.title = report.lead = text;
  report.environment = {{text, text}};
  report.opening.emplace_back(
      Figures{{{text, text, text, text, text, Tone::accent}, {"a", "1", "", "", "", {}}}});
  Section section{text, {}};
  section.blocks.emplace_back(Paragraph{text});
  section.blocks.emplace_back(Table{text, {text, "b"}, {{text, text}, {"x", "y"}}});
  section.blocks.emplace_back(Chart{text, every_chart(text), text});
  section.blocks.emplace_back(
      Quotes{text, {{text, text, text, Tone::contrast}, {"t", "", "u", {}}}});
  section.blocks.emplace_back(Commands{text, {text, "checkbit run"}});
  report.sections.push_back(section);
  return report;
}

/// Every element is closed in order; returns the names seen.
std::multiset<std::string> check_balance(const std::string& page) {
  const std::set<std::string> empty_elements = {"meta", "wbr", "!doctype"};
  std::vector<std::string> open;
  std::multiset<std::string> seen;
  const std::size_t style = page.find("<style>");
  const std::size_t style_end = page.find("</style>");
  for (std::size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    if (style != std::string::npos && at > style && at < style_end) continue;
    const std::size_t end = page.find('>', at);
    if (end == std::string::npos) {
      ADD_FAILURE() << "unclosed tag";
      break;
    }
    const std::string tag = page.substr(at + 1, end - at - 1);
    const bool closes = tag.starts_with('/');
    const std::string name =
        tag.substr(closes ? 1 : 0, tag.find_first_of(" /", 1) - (closes ? 1 : 0));
    seen.insert(name);
    if (empty_elements.count(name) > 0 || tag.ends_with('/')) continue;
    if (!closes) {
      open.push_back(name);
    } else if (open.empty() || open.back() != name) {
      ADD_FAILURE() << "</" << name << "> closes " << (open.empty() ? "nothing" : open.back());
      break;
    } else {
      open.pop_back();
    }
  }
  EXPECT_TRUE(open.empty()) << open.back() << " is never closed";
  return seen;
}

TEST(Html, IsBalancedAndHoldsNothingActive) {
  const std::string page = render_html(full_report(kHostile));
  const auto seen = check_balance(page);
  for (const char* forbidden :
       {"script", "img", "link", "iframe", "object", "base", "form", "image", "use", "a"}) {
    EXPECT_EQ(seen.count(forbidden), 0U) << forbidden;
  }
  EXPECT_EQ(page.find("<script"), std::string::npos);
  for (const char* request : {"http://", "https://", "url(", "@import", "src=x o\"", "//cdn"}) {
    EXPECT_EQ(page.find(request), std::string::npos) << request;
  }
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
}

TEST(Html, EveryTextAppearsOnlyEscaped) {
  const std::string page = render_html(full_report(kHostile));
  EXPECT_EQ(page.find("alert('x')"), std::string::npos);
  EXPECT_EQ(page.find("onerror=\"y\""), std::string::npos);
  EXPECT_EQ(page.find('\x1B'), std::string::npos);
  EXPECT_EQ(page.find('\xFF'), std::string::npos);
  std::size_t count = 0;
  const std::string escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;";
  for (std::size_t at = page.find(escaped); at != std::string::npos;
       at = page.find(escaped, at + 1)) {
    ++count;
  }
  EXPECT_GT(count, 30U) << "a text is missing";
}

TEST(Html, NumbersShowTheCommandThatMadeThem) {
  Report report = full_report(kHostile);
  report.commands = {"checkbit measure '<b>'"};
  report.sections.push_back({"Words alone", {Paragraph{"none"}}});
  report.sections.push_back({"Of another", {Table{"t", {"a"}, {{"1"}}}}, {"checkbit probe all"}});
  const std::string page = render_html(report);
  const auto count = [&](const std::string& text) {
    std::size_t times = 0;
    for (std::size_t at = page.find(text); at != std::string::npos; at = page.find(text, at + 1))
      ++times;
    return times;
  };
  EXPECT_EQ(count("<code>checkbit measure &#39;&lt;b&gt;&#39;</code>"), 2U) << "title, section";
  EXPECT_EQ(count("<code>checkbit probe all</code>"), 1U);
  check_balance(page);
}

TEST(Html, HasTheSemanticsReadersNeed) {
  const auto seen = check_balance(render_html(full_report("plain")));
  for (const char* wanted : {"main", "header", "h1", "h2", "h3", "section", "figure", "figcaption",
                             "table", "caption", "thead", "dl", "footer", "title"}) {
    EXPECT_GE(seen.count(wanted), 1U) << wanted;
  }
  const std::string page = render_html(full_report("plain"));
  EXPECT_NE(page.find("<html lang=\"en\">"), std::string::npos);
  EXPECT_NE(page.find("width=device-width"), std::string::npos);
  EXPECT_NE(page.find("scope=\"row\""), std::string::npos);
  // Every drawing is an image with a name, or silent beside words, or part of one that is.
  for (std::size_t at = page.find("<svg"); at != std::string::npos;
       at = page.find("<svg", at + 1)) {
    const std::string tag = page.substr(at, page.find('>', at) - at);
    EXPECT_TRUE(tag.find("aria-label=\"") != std::string::npos ||
                tag.find("aria-hidden") != std::string::npos)
        << tag;
  }
}

TEST(Html, EmptyReportsAndChartsAreStillPages) {
  check_balance(render_html(Report()));
  check_balance(svg_bars({}) + svg_stacks({}, "bytes") + svg_strips({}, "bits", "", "") +
                svg_lines({}, "", ""));
  check_balance(svg_quantiles({0, 0}, "nats"));
}

TEST(Svg, CoordinatesStayInsideTheDrawing) {
  const std::string charts = every_chart("x");
  for (const char* bad : {"nan", "inf", "e+", "%%"}) {
    EXPECT_EQ(charts.find(bad), std::string::npos) << bad;
  }
  EXPECT_EQ(svg_bars({{"a", 10, 8.0, 12.5, "10", Tone::accent}}).find("width=\"-"),
            std::string::npos);
  // The longest thing, here the upper whisker, ends at the right edge; the bar is in proportion.
  const std::string bars = svg_bars({{"a", 10, 8.0, 12.5, "10", Tone::accent}});
  EXPECT_NE(bars.find("width=\"80.00%\""), std::string::npos) << bars;
  EXPECT_NE(bars.find("x1=\"64.00%\""), std::string::npos);
  EXPECT_NE(bars.find("x2=\"100.00%\""), std::string::npos);
}

TEST(Svg, StacksShareOneScaleAndFoldTheSmallest) {
  const std::string stacks =
      svg_stacks({{"one", {{"A", 60}, {"B", 40}}}, {"two", {{"A", 30}, {"B", 20}}}}, "bytes");
  EXPECT_NE(stacks.find("width=\"60.00%\""), std::string::npos);
  EXPECT_NE(stacks.find("width=\"20.00%\""), std::string::npos);
  std::vector<StackPart> parts;
  for (int i = 0; i < 9; ++i) parts.push_back({"T" + std::to_string(i), 10.0 + i});
  const std::string folded = svg_stacks({{"many", parts}}, "bytes");
  EXPECT_NE(folded.find("<b>T8</b>"), std::string::npos);
  EXPECT_EQ(folded.find("<b>T0</b>"), std::string::npos);
  EXPECT_NE(folded.find("<b>other</b> <span class=\"amount\">46 bytes"), std::string::npos)
      << folded;
}

TEST(Svg, QuantilesNameMedianAndTail) {
  std::vector<double> quantiles;
  for (int i = 0; i <= 100; ++i) quantiles.push_back(0.001 * i);
  const std::string chart = svg_quantiles(quantiles, "nats");
  EXPECT_NE(chart.find("median 0.05 nats"), std::string::npos) << chart;
  EXPECT_NE(chart.find("99 % below 0.099 nats"), std::string::npos) << chart;
}

double channel(int value) {
  const double c = value / 255.0;
  return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
}

/// WCAG 2 relative luminance of the colour of `--name` after position `from` in the style sheet.
double luminance(const std::string& style, const std::string& name, std::size_t from) {
  const std::size_t at = style.find("--" + name + ": #", from);
  EXPECT_NE(at, std::string::npos) << name;
  const int rgb = std::stoi(style.substr(at + name.size() + 5, 6), nullptr, 16);
  return 0.2126 * channel(rgb >> 16) + 0.7152 * channel(rgb >> 8 & 255) +
         0.0722 * channel(rgb & 255);
}

TEST(HtmlStyle, ColoursKeepTheirContrastInBothModes) {
  const std::string style = kReportStyle;
  const std::size_t dark = style.find("prefers-color-scheme: dark");
  ASSERT_NE(dark, std::string::npos);
  for (const std::size_t mode : {std::size_t{0}, dark}) {
    for (const char* background : {"paper", "card"}) {
      for (const char* name : {"ink", "soft", "accent", "contrast"}) {
        const double a = luminance(style, background, mode);
        const double b = luminance(style, name, mode);
        const double ratio = (std::max(a, b) + 0.05) / (std::min(a, b) + 0.05);
        EXPECT_GE(ratio, 4.5) << name << " on " << background << (mode > 0 ? ", dark" : "");
      }
    }
  }
}

}  // namespace
}  // namespace checkbit
