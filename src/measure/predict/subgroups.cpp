#include "measure/predict/subgroups.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "measure/predict/predictor.h"

namespace checkbit {
namespace {

/// 8 bits for a value of an attribute: never 0.
SubgroupKey member(std::size_t attribute, std::uint8_t code) {
  return static_cast<SubgroupKey>((attribute + 1) << 4 | code);
}

/// f(key) for every subgroup of a row.
template <class F>
void for_keys_of(const AttributeTable& table, std::size_t row, F&& f) {
  const std::size_t n = table.attributes.size();
  for (std::size_t a = 0; a < n; ++a) {
    const SubgroupKey one = member(a, table.code(row, a));
    f(one);
    for (std::size_t b = a + 1; b < n; ++b) {
      const SubgroupKey two = one << 8 | member(b, table.code(row, b));
      f(two);
      for (std::size_t c = b + 1; c < n; ++c) f(two << 8 | member(c, table.code(row, c)));
    }
  }
}

struct Part {
  std::size_t attribute;
  std::uint8_t code;
};

std::vector<Part> parts_of(SubgroupKey key) {
  std::vector<Part> parts;
  for (int shift = 16; shift >= 0; shift -= 8) {
    const SubgroupKey part = key >> shift & 0xff;
    if (part != 0) parts.push_back({(part >> 4) - 1, static_cast<std::uint8_t>(part & 15)});
  }
  return parts;
}

/// The key without each of its parts in turn; of a single value none.
std::vector<SubgroupKey> simpler(SubgroupKey key) {
  const std::vector<Part> parts = parts_of(key);
  std::vector<SubgroupKey> keys;
  for (std::size_t out = 0; parts.size() > 1 && out < parts.size(); ++out) {
    SubgroupKey rest = 0;
    for (std::size_t i = 0; i < parts.size(); ++i)
      if (i != out) rest = rest << 8 | member(parts[i].attribute, parts[i].code);
    keys.push_back(rest);
  }
  return keys;
}

double lower_bound(SubgroupCount count) { return wilson_interval(count.failures, count.items).low; }

/// Worst first by the lower bound of the rate, without those whose simpler subgroups fail about as
/// often.
std::vector<SubgroupKey> candidates(const SubgroupCounts& counts, const SubgroupOptions& options,
                                    std::size_t& counted) {
  constexpr double kExplained = 0.9;
  struct Candidate {
    SubgroupKey key;
    double bound;
  };
  std::vector<Candidate> found;
  const double base = counts.total().rate();
  counts.for_each([&](SubgroupKey key, SubgroupCount count) {
    if (count.items < options.least_items) return;
    counted += 1;
    const double bound = lower_bound(count);
    if (bound <= base) return;
    for (const SubgroupKey parent : simpler(key))
      if (lower_bound(counts.of(parent)) >= kExplained * bound) return;
    found.push_back({key, bound});
  });
  std::ranges::sort(found, [](const Candidate& a, const Candidate& b) {
    return a.bound != b.bound ? a.bound > b.bound : a.key < b.key;
  });
  std::vector<SubgroupKey> keys;
  for (const Candidate& c : found) {
    if (keys.size() == options.tried) break;
    keys.push_back(c.key);
  }
  return keys;
}

/// Tests one subgroup on the held-out rows.
Subgroup test_subgroup(const AttributeTable& table, SubgroupKey key,
                       std::span<const std::uint8_t> failed, std::span<const std::uint32_t> blocks,
                       std::span<const std::size_t> held) {
  Subgroup group{.key = key, .name = describe_subgroup(table, key)};
  SubgroupCount rest;
  struct Sums {
    SubgroupCount in, out;
  };
  std::map<std::uint32_t, Sums> windows;
  for (const std::size_t r : held) {
    const bool inside = in_subgroup(table, r, key);
    Sums& sums = windows[blocks[r]];
    for (SubgroupCount* count : {inside ? &sums.in : &sums.out, inside ? &group.held : &rest}) {
      count->items += 1;
      count->failures += failed[r] != 0 ? 1 : 0;
    }
  }
  group.rest_rate = rest.rate();
  group.difference = {-1, 1};
  std::size_t touched = 0;
  double squares = 0;
  for (const auto& [window, sums] : windows) {
    if (sums.in.items > 0) touched += 1;
    const double in = sums.in.failures - group.held.rate() * sums.in.items;
    const double out = sums.out.failures - rest.rate() * sums.out.items;
    const double influence =
        in / std::max<double>(group.held.items, 1) - out / std::max<double>(rest.items, 1);
    squares += influence * influence;
  }
  if (touched < 3 || rest.items == 0 || squares <= 0) return group;
  const auto n = static_cast<double>(windows.size());
  const double error = std::sqrt(squares * n / (n - 1));
  const double difference = group.held.rate() - group.rest_rate;
  const double reach = -student_quantile(0.025, touched - 1) * error;
  group.difference = {std::max(-1.0, difference - reach), std::min(1.0, difference + reach)};
  group.p_value = student_probability(-difference / error, touched - 1);
  return group;
}

/// Holm's: the smallest p-value times their number, the next times one less, never falling.
void correct(std::vector<Subgroup>& groups) {
  std::ranges::sort(groups, {}, &Subgroup::p_value);
  double largest = 0;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    largest = std::max(largest, groups[i].p_value * static_cast<double>(groups.size() - i));
    groups[i].p_value = std::min(1.0, largest);
  }
}

std::vector<double> score(const TokenTable& table, std::span<const std::size_t> train,
                          Failure failure) {
  constexpr std::uint32_t kLeastItems = 40;
  const AttributeTable attributes = token_attributes(table, train);
  std::vector<std::uint8_t> failed(table.rows.size(), 0);
  for (const std::size_t r : train) failed[r] = has_failed(table.rows[r], failure) ? 1 : 0;
  const SubgroupCounts counts(attributes, failed, train);
  std::unordered_map<SubgroupKey, double> bounds;
  counts.for_each([&](SubgroupKey key, SubgroupCount count) {
    if (count.items >= kLeastItems) bounds[key] = lower_bound(count);
  });
  std::vector<double> scores(table.rows.size(), 0);
  for (std::size_t r = 0; r < scores.size(); ++r) {
    for_keys_of(attributes, r, [&](SubgroupKey key) {
      const auto found = bounds.find(key);
      if (found != bounds.end()) scores[r] = std::max(scores[r], found->second);
    });
  }
  return scores;
}

std::vector<double> quantile_cuts(std::vector<double> values, std::size_t parts) {
  std::ranges::sort(values);
  std::vector<double> cuts;
  for (std::size_t i = 1; i < parts && !values.empty(); ++i)
    cuts.push_back(values[values.size() * i / parts]);
  return cuts;
}

std::uint8_t cell_of(double value, const std::vector<double>& cuts) {
  return static_cast<std::uint8_t>(std::ranges::upper_bound(cuts, value) - cuts.begin());
}

}  // namespace

std::string describe_subgroup(const AttributeTable& table, SubgroupKey key) {
  std::string name;
  for (const Part part : parts_of(key)) {
    const Attribute& attribute = table.attributes[part.attribute];
    name += (name.empty() ? "" : ", ") + attribute.name + ": " + attribute.values[part.code];
  }
  return name.empty() ? "all" : name;
}

bool in_subgroup(const AttributeTable& table, std::size_t row, SubgroupKey key) {
  for (; key != 0; key >>= 8) {
    const std::size_t attribute = (key >> 4 & 15) - 1;
    if (table.code(row, attribute) != (key & 15)) return false;
  }
  return true;
}

SubgroupCounts::SubgroupCounts(const AttributeTable& table, std::span<const std::uint8_t> failed,
                               std::span<const std::size_t> rows) {
  CB_CHECK(table.attributes.size() <= kMaxAttributes && failed.size() == table.rows());
  for (const std::size_t r : rows) {
    const auto add = [&](SubgroupCount& count) {
      count.items += 1;
      count.failures += failed[r] != 0 ? 1 : 0;
    };
    add(total_);
    for_keys_of(table, r, [&](SubgroupKey key) { add(counts_[key]); });
  }
}

SubgroupCount SubgroupCounts::of(SubgroupKey key) const {
  if (key == 0) return total_;
  const auto found = counts_.find(key);
  return found == counts_.end() ? SubgroupCount{} : found->second;
}

AttributeTable token_attributes(const TokenTable& table, std::span<const std::size_t> train) {
  AttributeTable result;
  std::vector<std::string> kinds;
  for (std::size_t c = 0; c < kTokenClasses; ++c)
    kinds.emplace_back(to_string(static_cast<TokenClass>(c)));
  const std::vector<std::string> fifths = {"lowest fifth", "second fifth", "middle fifth",
                                           "fourth fifth", "highest fifth"};
  const bool by_document =
      !table.documents.empty() && table.documents.size() <= kMaxAttributeValues;
  std::vector<std::string> tenths;
  for (int i = 1; i <= 10; ++i) tenths.push_back(fmt::format("{} of 10", i));
  result.attributes = {
      {"read", kinds},
      {"expected", kinds},
      {"position", {"first", "second", "third", "last"}},
      {"entropy", fifths},
      {"residual", fifths},
      {"repeated", {"no", "yes"}},
      {"rarity", {"once", "2 to 9 times", "10 to 99 times", "100 times and more"}},
      by_document ? Attribute{"document", table.documents} : Attribute{"part", tenths}};
  std::vector<double> entropies;
  std::vector<double> residuals;
  std::unordered_map<TokenId, std::uint32_t> times;
  for (const std::size_t r : train) {
    entropies.push_back(static_cast<double>(table.rows[r].entropy));
    residuals.push_back(late_residual(table, r));
    times[table.rows[r].read] += 1;
  }
  const std::vector<double> entropy_cuts = quantile_cuts(entropies, fifths.size());
  const std::vector<double> residual_cuts = quantile_cuts(residuals, fifths.size());
  const std::size_t first = table.context_tokens / 2;
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const TokenRow& row = table.rows[r];
    const auto found = times.find(row.read);
    const std::uint32_t count = found == times.end() ? 1 : found->second;
    const std::uint8_t codes[] = {
        static_cast<std::uint8_t>(row.read_class),
        static_cast<std::uint8_t>(row.choice_class),
        static_cast<std::uint8_t>(std::min<std::size_t>(
            3,
            4 * (row.position - first) / std::max<std::size_t>(1, table.context_tokens - first))),
        cell_of(static_cast<double>(row.entropy), entropy_cuts),
        cell_of(late_residual(table, r), residual_cuts),
        static_cast<std::uint8_t>(row.seen_before ? 1 : 0),
        static_cast<std::uint8_t>(count < 2     ? 0
                                  : count < 10  ? 1
                                  : count < 100 ? 2
                                                : 3),
        static_cast<std::uint8_t>(by_document
                                      ? row.document
                                      : 10 * row.window / std::max<std::size_t>(1, table.windows))};
    result.codes.insert(result.codes.end(), std::begin(codes), std::end(codes));
  }
  return result;
}

SubgroupSearch find_subgroups(const AttributeTable& table, std::span<const std::uint8_t> failed,
                              std::span<const std::uint32_t> blocks,
                              std::span<const std::size_t> train, std::span<const std::size_t> held,
                              const SubgroupOptions& options) {
  CB_CHECK(blocks.size() == table.rows());
  SubgroupSearch search;
  const SubgroupCounts counts(table, failed, train);
  std::vector<Subgroup> tried;
  for (const SubgroupKey key : candidates(counts, options, search.counted)) {
    tried.push_back(test_subgroup(table, key, failed, blocks, held));
    tried.back().train = counts.of(key);
  }
  correct(tried);
  for (Subgroup& group : tried)
    (group.p_value < options.level ? search.proven : search.unproven).push_back(std::move(group));
  for (auto* groups : {&search.proven, &search.unproven})
    std::ranges::stable_sort(*groups, [](const Subgroup& a, const Subgroup& b) {
      return a.held.rate() > b.held.rate();
    });
  return search;
}

extern const Predictor subgroups_predictor;
const Predictor subgroups_predictor = {
    .name = "subgroups",
    .title = "the worst subgroup it belongs to",
    .summary =
        "the highest failure rate, at the lower end of its interval, of any subgroup of up "
        "to three attributes that the token belongs to",
    .score = score};

}  // namespace checkbit
