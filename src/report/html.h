// A report as one HTML page: nothing is loaded, nothing runs.
//
// What: `Report` is the content (sections of text, figures, charts, tables, quotes, commands);
//   `render_html` sets it as a page with its style sheet and SVG inside. Charts come from svg.h.
// Reads well at 320 px and on paper, follows the reader's light or dark mode, and needs no colour
// to
//   be understood. A content policy in the page forbids scripts and any request.
// Safety: every text is escaped here; only `Chart::body` is taken as markup, and svg.h escapes what
//   it is given. Model names and outputs may be hostile.
// Threads: pure functions.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "report/record.h"

namespace checkbit {

enum class Tone { neutral, accent, contrast };

struct Paragraph {
  std::string text;
};

/// A big number on a card.
struct Figure {
  std::string label;     ///< "Perplexity, fitted model"
  std::string value;     ///< "18.42"
  std::string unit;      ///< "", "MB", "%"
  std::string interval;  ///< "± 0.31", without brackets or the word
  std::string note;      ///< a short sentence, may be empty
  Tone tone = Tone::neutral;
};

/// The card of a record.
Figure make_figure(const Record& record, std::string label, std::string note = "",
                   Tone tone = Tone::neutral);

struct Figures {
  std::vector<Figure> figures;
};

/// The first column names the row; the others are set as numbers.
struct Table {
  std::string caption;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

/// `body` is markup from svg.h, taken as it is.
struct Chart {
  std::string title;
  std::string body;
  std::string caption;
};

/// Text that a model wrote, or a file; line breaks are kept.
struct Quote {
  std::string title;
  std::string note;
  std::string text;
  Tone tone = Tone::neutral;
};

/// Side by side where there is room.
struct Quotes {
  std::string prompt;  ///< shown above, may be empty
  std::vector<Quote> quotes;
  std::string prompt_title = "Prompt";
};

/// Command lines, one a line.
struct Commands {
  std::string caption;
  std::vector<std::string> lines;
};

using Block = std::variant<Paragraph, Figures, Table, Chart, Quotes, Commands>;

struct Section {
  std::string title;
  std::vector<Block> blocks;
  std::vector<std::string> commands = {};  ///< that made its numbers; empty: those of the report
};

struct Report {
  std::string kicker;  ///< small line above the title: "Checkbit report"
  std::string title;
  std::string lead;
  std::vector<Block> opening;  ///< before the first section
  std::vector<Section> sections;
  Environment environment;
  /// Stand, small, under the title and under the heading of each section that shows numbers.
  std::vector<std::string> commands = {};
};

std::string render_html(const Report& report);

}  // namespace checkbit
