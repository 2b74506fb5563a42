#include "quantize/allocate/allocate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace checkbit {
namespace {

struct Outcome {
  std::uint64_t bytes = 0;
  double loss = 0;
};

Outcome outcome_of(const std::vector<AllocationItem>& items,
                   const std::vector<std::size_t>& chosen) {
  Outcome outcome;
  for (std::size_t i = 0; i < items.size(); ++i) {
    outcome.bytes += items[i][chosen[i]].bytes;
    outcome.loss += items[i][chosen[i]].loss;
  }
  return outcome;
}

/// The least loss within the budget over all choices.
double best_loss(const std::vector<AllocationItem>& items, std::uint64_t budget_bytes) {
  std::vector<std::size_t> chosen(items.size(), 0);
  double best = 1e300;
  while (true) {
    const Outcome outcome = outcome_of(items, chosen);
    if (outcome.bytes <= budget_bytes) best = std::min(best, outcome.loss);
    std::size_t i = 0;
    while (i < items.size() && ++chosen[i] == items[i].size()) chosen[i++] = 0;
    if (i == items.size()) return best;
  }
}

/// Loss falls with size most of the time, as with formats.
std::vector<AllocationItem> random_items(std::uint64_t seed) {
  Random random(seed, 0);
  std::vector<AllocationItem> items(4);
  for (AllocationItem& item : items) {
    const double scale = random.uniform() + 0.05;
    for (int option = 0; option < 5; ++option) {
      const double size = 1 + 9 * random.uniform();
      item.push_back({static_cast<std::uint64_t>(100 * size),
                      scale * (0.5 + random.uniform()) / (size * size)});
    }
  }
  return items;
}

TEST(Allocate, IsTheOptimumOfAllChoices) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const std::vector<AllocationItem> items = random_items(seed);
    const std::uint64_t smallest = smallest_bytes(items);
    for (const std::uint64_t extra : {0u, 150u, 500u, 1500u, 5000u}) {
      const auto chosen = allocate(items, smallest + extra);
      ASSERT_TRUE(chosen.ok()) << chosen.error().message;
      const Outcome outcome = outcome_of(items, *chosen);
      EXPECT_LE(outcome.bytes, smallest + extra) << "seed " << seed;
      EXPECT_NEAR(outcome.loss, best_loss(items, smallest + extra), 1e-12)
          << "seed " << seed << ", extra " << extra;
    }
  }
}

constexpr std::size_t kSmallItems = 40;

/// Forty equal small items and a large one: the optimum by counting how many take which option.
double best_by_counting(const std::vector<AllocationItem>& items, std::uint64_t budget_bytes) {
  const AllocationItem& small = items[0];
  double best = 1e300;
  for (const AllocationOption& large : items[kSmallItems]) {
    for (std::size_t second = 0; second <= kSmallItems; ++second) {
      for (std::size_t third = 0; second + third <= kSmallItems; ++third) {
        const std::size_t counts[] = {kSmallItems - second - third, second, third};
        Outcome sum{large.bytes, large.loss};
        for (std::size_t o = 0; o < small.size(); ++o) {
          sum.bytes += counts[o] * small[o].bytes;
          sum.loss += static_cast<double>(counts[o]) * small[o].loss;
        }
        if (sum.bytes <= budget_bytes) best = std::min(best, sum.loss);
      }
    }
  }
  return best;
}

// Sizes of real models, where a unit is many bytes. Half of all bytes are one tensor's, as in a
// small model with a large vocabulary.
TEST(Allocate, ALargeItemAmongSmallOnesIsWithinOneSmallStepOfTheOptimum) {
  std::vector<AllocationItem> items(kSmallItems, {{1000003, 1.0}, {1500007, 0.4}, {2000017, 0.1}});
  items.push_back({{40000009, 5.0}, {60000011, 1.0}, {80000023, 0.2}});
  const std::uint64_t smallest = smallest_bytes(items);
  for (std::uint64_t extra = 0; extra <= 81000000; extra += 1000000) {
    const auto chosen = allocate(items, smallest + extra);
    ASSERT_TRUE(chosen.ok()) << chosen.error().message;
    const Outcome outcome = outcome_of(items, *chosen);
    EXPECT_LE(outcome.bytes, smallest + extra);
    EXPECT_LE(outcome.loss, best_by_counting(items, smallest + extra) + 0.6 + 1e-9) << extra;
  }
}

TEST(Allocate, EverythingFitsAtItsBest) {
  const std::vector<AllocationItem> items = random_items(7);
  const auto chosen = allocate(items, 1u << 30);
  ASSERT_TRUE(chosen.ok());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto best = std::ranges::min_element(items[i], {}, &AllocationOption::loss);
    EXPECT_EQ(items[i][(*chosen)[i]].loss, best->loss);
  }
}

TEST(Allocate, TheSmallestBudgetIsMetAndOneByteLessIsAnError) {
  const std::vector<AllocationItem> items = random_items(3);
  const std::uint64_t smallest = smallest_bytes(items);
  const auto chosen = allocate(items, smallest);
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(outcome_of(items, *chosen).bytes, smallest);
  const auto refused = allocate(items, smallest - 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::budget);
  EXPECT_NE(refused.error().message.find(std::to_string(smallest)), std::string::npos);
}

TEST(Allocate, OptionsThatCostMoreAndLoseMoreAreNeverChosen) {
  const std::vector<AllocationItem> items = {{{10, 1.0}, {20, 2.0}, {30, 0.5}, {30, 0.7}}};
  for (std::uint64_t budget = 10; budget < 40; ++budget) {
    const auto chosen = allocate(items, budget);
    ASSERT_TRUE(chosen.ok());
    EXPECT_EQ((*chosen)[0], budget < 30 ? 0u : 2u) << budget;
  }
}

TEST(Allocate, NothingToChooseIsNoError) {
  const auto chosen = allocate({}, 0);
  ASSERT_TRUE(chosen.ok());
  EXPECT_TRUE(chosen->empty());
}

}  // namespace
}  // namespace checkbit
