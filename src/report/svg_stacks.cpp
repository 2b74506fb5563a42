#include <algorithm>
#include <string>

#include "report/number.h"
#include "report/svg.h"
#include "report/svg_marks.h"
#include "report/text.h"

namespace checkbit {
namespace {

constexpr std::size_t kShades = 6;
constexpr double kBarHeight = 22;
const char* const kRest = "other";

double amount_of(const Stack& stack, const std::string& key) {
  double sum = 0;
  for (const StackPart& part : stack.parts) {
    if (part.key == key) sum += std::max(0.0, svg::finite_or_zero(part.amount));
  }
  return sum;
}

double total_of(const Stack& stack) {
  double sum = 0;
  for (const StackPart& part : stack.parts) {
    sum += std::max(0.0, svg::finite_or_zero(part.amount));
  }
  return sum;
}

/// Keys of all stacks, largest first; so a key has one colour everywhere.
std::vector<std::string> keys_of(const std::vector<Stack>& stacks) {
  std::vector<std::string> keys;
  for (const Stack& stack : stacks) {
    for (const StackPart& part : stack.parts) {
      if (std::find(keys.begin(), keys.end(), part.key) == keys.end()) keys.push_back(part.key);
    }
  }
  const auto weight = [&](const std::string& key) {
    double sum = 0;
    for (const Stack& stack : stacks) sum += amount_of(stack, key);
    return sum;
  };
  std::stable_sort(keys.begin(), keys.end(), [&](const std::string& a, const std::string& b) {
    return weight(a) > weight(b);
  });
  return keys;
}

/// At most as many parts as there are shades: the smallest keys become one.
std::vector<Stack> fold_small(const std::vector<Stack>& stacks) {
  const std::vector<std::string> keys = keys_of(stacks);
  if (keys.size() <= kShades) return stacks;
  std::vector<Stack> folded;
  for (const Stack& stack : stacks) {
    Stack shorter{stack.label, {}};
    double rest = total_of(stack);
    for (std::size_t i = 0; i + 1 < kShades; ++i) {
      shorter.parts.push_back({keys[i], amount_of(stack, keys[i])});
      rest -= shorter.parts.back().amount;
    }
    shorter.parts.push_back({kRest, std::max(0.0, rest)});
    folded.push_back(shorter);
  }
  return folded;
}

std::string legend(const std::vector<Stack>& stacks, const std::vector<std::string>& keys,
                   const std::string& unit) {
  std::string list = "<ul class=\"legend\">\n";
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::string amounts;
    for (const Stack& stack : stacks) {
      const double amount = amount_of(stack, keys[i]);
      amounts += (amounts.empty() ? "" : " → ") +
                 (amount > 0 ? print_quantity(amount, unit) : std::string("none"));
    }
    list += svg::legend_item(i % kShades, keys[i], amounts);
  }
  return list + "</ul>\n";
}

}  // namespace

std::string svg_stacks(const std::vector<Stack>& all_stacks, const std::string& unit) {
  const std::vector<Stack> stacks = fold_small(all_stacks);
  const std::vector<std::string> keys = keys_of(stacks);
  double most = 0;
  for (const Stack& stack : stacks) most = std::max(most, total_of(stack));
  const double scale = most > 0 ? 100 / most : 0;
  std::string body;
  for (const Stack& stack : stacks) {
    body += svg::bar_head(stack.label, print_quantity(total_of(stack), unit));
    body += svg::open_silent(kBarHeight);
    double x = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const double width = amount_of(stack, keys[i]) * scale;
      if (width <= 0) continue;
      body += svg::rectangle(x, 0, width, kBarHeight, "s" + std::to_string(i % kShades));
      x += width;
    }
    body += svg::close();
  }
  return body + legend(stacks, keys, unit);
}

}  // namespace checkbit
