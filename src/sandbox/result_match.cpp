#include "sandbox/result_match.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numeric>
#include <optional>

namespace checkbit {
namespace {

constexpr double kTolerance = 1e-9;

std::optional<double> number(const SqlValue& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return std::nullopt;
}

bool same_value(const SqlValue& a, const SqlValue& b) {
  if (a == b) return true;  // also integers beyond what a double holds
  const auto x = number(a);
  const auto y = number(b);
  const bool both_exact = std::holds_alternative<std::int64_t>(a) && a.index() == b.index();
  if (!x || !y || both_exact) return false;
  return std::abs(*x - *y) <= kTolerance * std::max(std::abs(*x), std::abs(*y));
}

bool same_row(const SqlRow& a, const SqlRow& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_value);
}

/// Rows that are the same have the same key, but for numbers at the edge of rounding.
std::string key(const SqlRow& row) {
  std::string text;
  for (const SqlValue& value : row) {
    const auto x = number(value);
    text += x ? fmt::format("{:.8e}", *x == 0 ? 0.0 : *x) : to_string(value);
    text += '\x1f';
  }
  return text;
}

std::vector<std::size_t> order_of(const std::vector<SqlRow>& rows) {
  std::vector<std::string> keys;
  for (const SqlRow& row : rows) keys.push_back(key(row));
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
  return order;
}

/// Where the text, quoted name or comment that begins at `i` ends; `i` when none begins.
std::size_t skip_quoted(std::string_view query, std::size_t i) {
  const char c = query[i];
  const auto after = [&](std::string_view end, std::size_t from) {
    const std::size_t place = query.find(end, from);
    return place == std::string_view::npos ? query.size() : place + end.size();
  };
  if (c == '\'' || c == '"' || c == '`') return after(std::string_view(&query[i], 1), i + 1);
  if (c == '[') return after("]", i + 1);
  if (query.substr(i, 2) == "--") return after("\n", i);
  if (query.substr(i, 2) == "/*") return after("*/", i + 2);
  return i;
}

}  // namespace

bool same_rows(const std::vector<SqlRow>& a, const std::vector<SqlRow>& b, bool in_order) {
  if (a.size() != b.size()) return false;
  if (in_order) return std::equal(a.begin(), a.end(), b.begin(), same_row);
  const auto order_a = order_of(a);
  const auto order_b = order_of(b);
  return std::equal(order_a.begin(), order_a.end(), order_b.begin(),
                    [&](std::size_t i, std::size_t j) { return same_row(a[i], b[j]); });
}

bool orders_rows(std::string_view query) {
  int depth = 0;
  bool after_order = false;
  std::string word;
  for (std::size_t i = 0; i <= query.size();) {
    const char c = i < query.size() ? query[i] : ' ';
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '_') {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      ++i;
      continue;
    }
    if (!word.empty()) {
      if (depth == 0 && after_order && word == "by") return true;
      after_order = word == "order";
      word.clear();
    }
    const std::size_t end = i < query.size() ? skip_quoted(query, i) : i;
    if (end > i) {
      i = end;
      continue;
    }
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    ++i;
  }
  return false;
}

bool execution_match(const SqlOutcome& answer, const SqlOutcome& gold,
                     std::string_view gold_query) {
  if (!answer.ok || !gold.ok || answer.columns.size() != gold.columns.size()) return false;
  return same_rows(answer.rows, gold.rows, orders_rows(gold_query));
}

}  // namespace checkbit
