// Subgroups of tokens that fail systematically: found on one half, proven on the other.
//
// What: tokens have attributes (kind of token, rarity, position, entropy, ...), each with a few
//   values. Every value, every pair and every triple of values of different attributes is a
//   subgroup; `SubgroupCounts` counts them all in one pass. `find_subgroups` takes the worst of the
//   training rows, drops those that a simpler subgroup explains, and tests the rest on held-out
//   rows: whether they fail more often than all other tokens, with a variance that sums windows
//   first, and Holm's correction for the number of subgroups tried.
// Units: shares. Memory: a few bytes for every subgroup that occurs.
// Reference: "Identification of Systematic Errors of Image Classifiers on Rare Subgroups", whose
//   combinatorial search over described subgroups this is, on text; S. Holm, "A Simple Sequentially
//   Rejective Multiple Test Procedure", 1979.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "measure/predict/predictor.h"
#include "score/statistics.h"

namespace checkbit {

inline constexpr std::size_t kMaxAttributes = 15;
inline constexpr std::size_t kMaxAttributeValues = 16;

struct Attribute {
  std::string name;
  std::vector<std::string> values;  ///< at most kMaxAttributeValues
};

/// Values of every row: codes [rows][attributes].
struct AttributeTable {
  std::vector<Attribute> attributes;  ///< at most kMaxAttributes
  std::vector<std::uint8_t> codes;
  std::size_t rows() const { return attributes.empty() ? 0 : codes.size() / attributes.size(); }
  std::uint8_t code(std::size_t row, std::size_t attribute) const {
    return codes[row * attributes.size() + attribute];
  }
};

/// The attributes of a text's tokens. Quantiles are those of the training rows.
AttributeTable token_attributes(const TokenTable& table, std::span<const std::size_t> train);

/// Up to three (attribute, value) pairs, packed; attributes rise. 0: everything.
using SubgroupKey = std::uint32_t;
std::string describe_subgroup(const AttributeTable& table, SubgroupKey key);
bool in_subgroup(const AttributeTable& table, std::size_t row, SubgroupKey key);

struct SubgroupCount {
  std::uint32_t items = 0;
  std::uint32_t failures = 0;
  double rate() const { return items > 0 ? static_cast<double>(failures) / items : 0; }
};

class SubgroupCounts {
 public:
  /// `failed` has one entry per row of the table; those of `rows` are read.
  SubgroupCounts(const AttributeTable& table, std::span<const std::uint8_t> failed,
                 std::span<const std::size_t> rows);
  SubgroupCount total() const { return total_; }
  SubgroupCount of(SubgroupKey key) const;
  /// f(key, count) for every subgroup that occurs, in no order.
  template <class F>
  void for_each(F&& f) const {
    for (const auto& [key, count] : counts_) f(key, count);
  }

 private:
  SubgroupCount total_;
  std::unordered_map<SubgroupKey, SubgroupCount> counts_;
};

struct Subgroup {
  SubgroupKey key = 0;
  std::string name;  ///< "read: digit, repeated: no"
  SubgroupCount train;
  SubgroupCount held;
  double rest_rate = 0;  ///< of held-out tokens outside it
  Interval difference;   ///< held rate minus rest rate, 95 %
  double p_value = 1;    ///< one-sided, corrected for all subgroups tried
};

struct SubgroupOptions {
  std::size_t tried = 20;          ///< subgroups taken to the held-out rows
  std::uint32_t least_items = 40;  ///< in the training rows
  double level = 0.05;
};

struct SubgroupSearch {
  std::size_t counted = 0;         ///< subgroups with enough training rows
  std::vector<Subgroup> proven;    ///< p_value below the level, highest held rate first
  std::vector<Subgroup> unproven;  ///< tried, and not above the rest for certain
};

/// `blocks`: which rows belong together (windows), one entry per row.
SubgroupSearch find_subgroups(const AttributeTable& table, std::span<const std::uint8_t> failed,
                              std::span<const std::uint32_t> blocks,
                              std::span<const std::size_t> train, std::span<const std::size_t> held,
                              const SubgroupOptions& options = {});

}  // namespace checkbit
