// Very many faults on products of a tiny model's weights, on blocks of its file and on its sealed
// file: none is silent under `full`, and without a guard many are.

#include <gtest/gtest.h>

#include "base/test_stride.h"
#include "guard/many_faults.h"
#include "guard/product_faults.h"

namespace checkbit {
namespace {

const std::string kTiny = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/qwen3-norms.gguf";

class ProductFaultsTest : public ::testing::Test {
 protected:
  static Result<Session> open() {
    return Session::open(kTiny, {.context_tokens = 16, .threads = 1});
  }
  static constexpr TokenId kText[] = {7, 31, 12, 40, 9};
};

/// The short form of `make bench-guard`.
TEST_F(ProductFaultsTest, NoFaultIsSilentUnderFull) {
  const std::uint64_t trials = 100000 / static_cast<std::uint64_t>(test_stride());
  auto session = open();
  ASSERT_TRUE(session.ok());
  const auto found = faults_on_products(*session, kText, GuardLevel::full,
                                        {.trials = trials, .samples = 6, .threads = 2});
  ASSERT_TRUE(found.ok()) << found.error().message;
  OutcomeCounts all = found->single;
  all.add(found->pair);
  EXPECT_EQ(all.total(), trials);
  EXPECT_EQ(all[Outcome::silent], 0u);
  EXPECT_EQ(all[Outcome::detected], 0u);           // parity mends one and two bits
  EXPECT_GT(all[Outcome::corrected], trials / 6);  // parity is most of what there is, at this size
  EXPECT_GE(found->checks, trials * 2);            // half of the products are of several tokens
  EXPECT_EQ(found->samples.size(), 12u);
}

/// What only `full` sees is a float that changed behind the sums.
TEST_F(ProductFaultsTest, EachLevelSeesWhatItPromises) {
  auto session = open();
  ASSERT_TRUE(session.ok());
  const auto inputs = inputs_of_products(*session, kText);
  ASSERT_TRUE(inputs.ok());
  const std::string name = "blk.0.ffn_down.weight";
  const ModelTensor& tensor = *session->file().find(name);
  const auto silent = [&](GuardLevel level, std::string_view hit) {
    auto product = ProductFaults::create(tensor, inputs->at(name), level, 3);
    EXPECT_TRUE(product.ok());
    auto spec = parse_fault_spec(hit);
    EXPECT_TRUE(spec.ok());
    EXPECT_TRUE((*product)->select(*spec).ok());
    OutcomeCounts counts;
    for (std::uint64_t i = 0; i < 300; ++i) counts.add((*product)->trial(*spec, i));
    return counts[Outcome::silent];
  };
  EXPECT_GT(silent(GuardLevel::off, "seed=1 tensor=weights"), 200u);
  EXPECT_EQ(silent(GuardLevel::off, "seed=1 tensor=columns"), 0u);  // nobody reads them then
  EXPECT_EQ(silent(GuardLevel::check, "seed=1 tensor=weights"), 0u);
  EXPECT_EQ(silent(GuardLevel::check, "seed=1 tensor=activations"), 0u);
  EXPECT_GT(silent(GuardLevel::check, "seed=1 tensor=results"), 200u);
  EXPECT_EQ(silent(GuardLevel::full, "seed=1 tensor=results"), 0u);
  // The right result although parity or its checks are hit as well as what they mend.
  EXPECT_EQ(silent(GuardLevel::full, "seed=1 count=40 tensor=*"), 0u);
}

TEST_F(ProductFaultsTest, TheNumberOfThreadsChangesNothing) {
  auto session = open();
  ASSERT_TRUE(session.ok());
  const auto counts = [&](std::size_t threads) {
    const auto found = faults_on_products(*session, kText, GuardLevel::full,
                                          {.trials = 500, .samples = 2, .threads = threads});
    EXPECT_TRUE(found.ok());
    return std::pair(found->single.of, found->pair.of);
  };
  EXPECT_EQ(counts(1), counts(3));
}

TEST_F(ProductFaultsTest, BlocksOfTheFileAreMended) {
  auto session = open();
  ASSERT_TRUE(session.ok());
  const auto seals =
      faults_on_seals(session->file(), CodeShape{}, {.trials = 100, .samples = 2, .threads = 2});
  ASSERT_TRUE(seals.ok()) << seals.error().message;
  EXPECT_EQ(seals->single[Outcome::corrected], 50u);
  EXPECT_EQ(seals->pair[Outcome::corrected] + seals->pair[Outcome::detected], 50u);
  const auto found =
      faults_on_blocks(session->file(), CodeShape{}, {.trials = 400, .samples = 1, .threads = 2});
  ASSERT_TRUE(found.ok());
  OutcomeCounts all = found->single;
  all.add(found->pair);
  EXPECT_EQ(all[Outcome::corrected] + all[Outcome::detected], 400u);
  EXPECT_GT(all[Outcome::corrected], 395u);
}

}  // namespace
}  // namespace checkbit
