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

double largest_step(const std::vector<AllocationItem>& items) {
  double largest = 0;
  for (const AllocationItem& item : items) {
    for (const AllocationOption& a : item) {
      for (const AllocationOption& b : item) largest = std::max(largest, a.loss - b.loss);
    }
  }
  return largest;
}

TEST(Allocate, IsWithinOneStepOfTheOptimum) {
  int exact = 0;
  int tried = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const std::vector<AllocationItem> items = random_items(seed);
    const std::uint64_t smallest = smallest_bytes(items);
    for (const std::uint64_t extra : {0u, 150u, 500u, 1500u, 5000u}) {
      const auto chosen = allocate(items, smallest + extra);
      ASSERT_TRUE(chosen.ok()) << chosen.error().message;
      const Outcome outcome = outcome_of(items, *chosen);
      EXPECT_LE(outcome.bytes, smallest + extra) << "seed " << seed;
      const double best = best_loss(items, smallest + extra);
      EXPECT_LE(outcome.loss, best + largest_step(items) + 1e-12)
          << "seed " << seed << ", extra " << extra;
      exact += outcome.loss <= best + 1e-12;
      ++tried;
    }
  }
  EXPECT_GT(exact, tried / 2);  // mostly it is the optimum itself
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
