#include <algorithm>
#include <vector>

#include "report/number.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

constexpr const char* kBold = "\033[1m";
constexpr const char* kDim = "\033[2m";
constexpr const char* kReset = "\033[0m";
constexpr std::size_t kMaxAlignedValue = 14;  // longer texts (hashes) do not push the columns apart

struct Row {
  std::string name;
  PrintedRecord printed;
};

std::string pad(std::size_t width, std::string_view text) {
  const std::size_t used = display_width(text);
  return std::string(width > used ? width - used : 0, ' ');
}

std::string styled(const std::string& text, const char* style, bool colour) {
  return colour && !text.empty() ? style + text + kReset : text;
}

struct Columns {
  std::size_t name = 0;
  std::size_t value = 0;
  std::size_t unit = 0;
};

std::string render_row(const Row& row, const Columns& columns, const TableOptions& options) {
  const PrintedRecord& printed = row.printed;
  std::string line = row.name + pad(columns.name, row.name) + "  ";
  const bool aligned = display_width(printed.value) <= kMaxAlignedValue;
  if (aligned) line += pad(columns.value, printed.value);
  std::size_t used = display_width(line) + display_width(printed.value);
  line += styled(printed.value, kBold, options.colour);
  if (!printed.unit.empty()) {
    line += " " + styled(printed.unit, kDim, options.colour);
    used += 1 + display_width(printed.unit);
  }
  if (printed.interval.empty()) return line + "\n";
  // One column more than the widest unit, which follows one space.
  const std::size_t start =
      columns.name + 2 + columns.value + (columns.unit > 0 ? 1 : 0) + columns.unit + 2;
  if (std::max(start, used + 2) + display_width(printed.interval) > options.width) {
    const std::size_t indent = columns.name + 2;
    return line + "\n" + std::string(indent, ' ') + styled(printed.interval, kDim, options.colour) +
           "\n";
  }
  line += std::string(start > used + 2 ? start - used : 2, ' ');
  return line + styled(printed.interval, kDim, options.colour) + "\n";
}

}  // namespace

std::string render_table(std::span<const Record> records, const TableOptions& options) {
  std::vector<Row> rows;
  Columns columns;
  for (const Record& record : records) {
    rows.push_back({clean_line(record.name), print_record(record)});
    const Row& row = rows.back();
    columns.name = std::max(columns.name, display_width(row.name));
    const std::size_t value = display_width(row.printed.value);
    if (value > kMaxAlignedValue) continue;
    columns.value = std::max(columns.value, value);
    if (!row.printed.interval.empty()) {
      columns.unit = std::max(columns.unit, display_width(row.printed.unit));
    }
  }
  std::string output;
  for (const Row& row : rows) output += render_row(row, columns, options);
  return output;
}

}  // namespace checkbit
