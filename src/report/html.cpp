#include "report/html.h"

#include <algorithm>
#include <utility>

#include "report/html_style.h"
#include "report/number.h"
#include "report/text.h"

namespace checkbit {
namespace {

std::string tone_class(Tone tone) {
  switch (tone) {
    case Tone::accent:
      return " accent";
    case Tone::contrast:
      return " contrast";
    case Tone::neutral:
      break;
  }
  return "";
}

/// Escaped, with leave to break a long snake_case name after its underscores.
std::string breakable_name(const std::string& name) {
  constexpr std::size_t kLong = 10;
  if (name.size() <= kLong) return escape_html(name);
  std::string output;
  for (const char c : escape_html(name)) {
    output += c;
    if (c == '_') output += "<wbr>";
  }
  return output;
}

/// <name class="...">escaped text</name>, or nothing for an empty text.
std::string element(const std::string& name, const std::string& classes, const std::string& text) {
  if (text.empty()) return "";
  const std::string attribute = classes.empty() ? "" : " class=\"" + classes + "\"";
  return "<" + name + attribute + ">" + escape_html(text) + "</" + name + ">\n";
}

class BlockWriter {
 public:
  explicit BlockWriter(std::string& page) : page_(page) {}

  void operator()(const Paragraph& block) { page_ += element("p", "", block.text); }

  void operator()(const Figures& block) {
    page_ += "<div class=\"figures\">\n";
    for (const Figure& figure : block.figures) write_figure(figure);
    page_ += "</div>\n";
  }

  void operator()(const Table& block) {
    page_ += "<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"" +
             escape_html(block.caption) + "\">\n<table>\n";
    page_ += element("caption", "", block.caption);
    page_ += "<thead><tr>";
    for (const std::string& column : block.columns) {
      page_ += "<th scope=\"col\">" + escape_html(column) + "</th>";
    }
    page_ += "</tr></thead>\n<tbody>\n";
    for (const auto& row : block.rows) write_row(row);
    page_ += "</tbody>\n</table>\n</div>\n";
  }

  void operator()(const Chart& block) {
    page_ += "<figure class=\"chart\">\n";
    page_ += element("h3", "", block.title);
    page_ += block.body;
    page_ += element("figcaption", "", block.caption);
    page_ += "</figure>\n";
  }

  void operator()(const Quotes& block) {
    page_ += "<div class=\"exchange\">\n";
    if (!block.prompt.empty()) {
      page_ += "<p class=\"prompt\"><span class=\"who\">" + escape_html(block.prompt_title) +
               "</span><span dir=\"auto\">" + escape_html(block.prompt) + "</span></p>\n";
    }
    page_ += "<div class=\"quotes\">\n";
    for (const Quote& quote : block.quotes) {
      page_ += "<article class=\"quote" + tone_class(quote.tone) + "\">\n";
      page_ += element("h3", "", quote.title);
      page_ += "<div class=\"words\" dir=\"auto\">" + escape_html(quote.text) + "</div>\n";
      page_ += element("p", "note", quote.note);
      page_ += "</article>\n";
    }
    page_ += "</div>\n</div>\n";
  }

  void operator()(const Commands& block) {
    page_ += element("p", "note", block.caption);
    page_ += "<pre class=\"commands\"><code>";
    for (const std::string& line : block.lines) {
      page_ += "<span class=\"line\">" + escape_html(line) + "</span>\n";
    }
    page_ += "</code></pre>\n";
  }

 private:
  void write_figure(const Figure& figure) {
    page_ += "<div class=\"figure" + tone_class(figure.tone) + "\">\n";
    page_ += element("div", "label", figure.label);
    page_ += "<div class=\"value\">" + escape_html(figure.value);
    if (!figure.unit.empty()) {
      page_ += "<span class=\"unit\">&#8239;" + escape_html(figure.unit) + "</span>";
    }
    page_ += "</div>\n";
    page_ += element("div", "interval", figure.interval);
    page_ += element("div", "note", figure.note);
    page_ += "</div>\n";
  }

  void write_row(const std::vector<std::string>& row) {
    page_ += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool names = i == 0;
      page_ += names ? "<th scope=\"row\">" + breakable_name(row[i]) + "</th>"
                     : "<td>" + escape_html(row[i]) + "</td>";
    }
    page_ += "</tr>\n";
  }

  std::string& page_;
};

void write_blocks(const std::vector<Block>& blocks, std::string& page) {
  for (const Block& block : blocks) std::visit(BlockWriter(page), block);
}

bool shows_numbers(const std::vector<Block>& blocks) {
  return std::ranges::any_of(blocks, [](const Block& block) {
    return !std::holds_alternative<Paragraph>(block) && !std::holds_alternative<Commands>(block);
  });
}

/// Where the numbers that follow come from.
void write_source(const std::vector<std::string>& commands, std::string& page) {
  if (commands.empty()) return;
  page += "<p class=\"made\">";
  for (const std::string& line : commands) page += "<code>" + escape_html(line) + "</code>";
  page += "</p>\n";
}

void write_environment(const Environment& environment, std::string& page) {
  page += "<footer>\n<h2>Measured on</h2>\n<dl>\n";
  for (const auto& [name, value] : environment) {
    std::string words = name;
    for (char& c : words) c = c == '_' ? ' ' : c;
    page += "<div><dt>" + escape_html(words) + "</dt><dd>" + escape_html(value) + "</dd></div>\n";
  }
  page += "</dl>\n<p class=\"note\">Ranges after &#177; or in brackets are 95&#8239;% intervals. ";
  page += "This page loads nothing and runs nothing.</p>\n</footer>\n";
}

}  // namespace

Figure make_figure(const Record& record, std::string label, std::string note, Tone tone) {
  PrintedRecord printed = print_record(record);
  return {.label = std::move(label),
          .value = std::move(printed.value),
          .unit = std::move(printed.unit),
          .interval = std::move(printed.interval),
          .note = std::move(note),
          .tone = tone};
}

std::string render_html(const Report& report) {
  std::string page =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n";
  page += element("title", "", report.title);
  page += "<style>\n" + std::string(kReportStyle) + "</style>\n</head>\n<body>\n<main>\n<header>\n";
  page += element("p", "kicker", report.kicker);
  page += element("h1", "", report.title);
  page += element("p", "lead", report.lead);
  write_source(report.commands, page);
  page += "</header>\n";
  write_blocks(report.opening, page);
  for (const Section& section : report.sections) {
    page += "<section>\n";
    page += element("h2", "", section.title);
    if (shows_numbers(section.blocks))
      write_source(section.commands.empty() ? report.commands : section.commands, page);
    write_blocks(section.blocks, page);
    page += "</section>\n";
  }
  write_environment(report.environment, page);
  page += "</main>\n</body>\n</html>\n";
  return page;
}

}  // namespace checkbit
