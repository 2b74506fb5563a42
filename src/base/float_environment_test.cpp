// Rounding and subnormals are those of docs/numerics.md inside, and the caller's own again after.

#include "base/float_environment.h"

#include <gtest/gtest.h>

#include <bit>

#include "base/foreign_floats.h"
#include "base/thread_pool.h"

namespace checkbit {
namespace {

// Volatile, so that the sums are made when the program runs.
bool rounds_to_nearest() {
  volatile float one = 1.0f;
  volatile float little = 0x1p-26f;
  return one + little == 1.0f;
}
bool keeps_subnormals() {
  volatile float smallest = 0x1p-126f;
  volatile float half = 0.5f;
  return std::bit_cast<std::uint32_t>(smallest * half) == 0x00400000u;
}

TEST(FloatEnvironment, SetsAndRestores) {
  const ForeignFloats foreign;
  ASSERT_FALSE(rounds_to_nearest());
  ASSERT_FALSE(keeps_subnormals());
  {
    const FloatEnvironment environment;
    EXPECT_TRUE(rounds_to_nearest());
    EXPECT_TRUE(keeps_subnormals());
  }
  EXPECT_FALSE(rounds_to_nearest());
  EXPECT_FALSE(keeps_subnormals());
}

/// A new thread begins with the setting of the one that starts it.
TEST(FloatEnvironment, ThreadsOfAPoolDoNotInheritTheCallers) {
  const ForeignFloats foreign;
  ThreadPool pool(3);
  const FloatEnvironment environment;
  bool nearest[3] = {};
  bool subnormals[3] = {};
  pool.run([&](int thread, int) {
    nearest[thread] = rounds_to_nearest();
    subnormals[thread] = keeps_subnormals();
  });
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(nearest[i]) << i;
    EXPECT_TRUE(subnormals[i]) << i;
  }
}

}  // namespace
}  // namespace checkbit
