#include "base/machine_limits.h"

#include <gtest/gtest.h>

#include "base/made_up_tree.h"

namespace checkbit {
namespace {

/// A tree like /sys/fs/cgroup.
class MachineLimitsTest : public MadeUpTree {
 protected:
  MachineLimits limits() { return machine_limits(root_ + "/groups", root_); }
};

TEST_F(MachineLimitsTest, NothingThereIsNoLimit) {
  EXPECT_FALSE(limits().processors);
  EXPECT_FALSE(limits().memory_bytes);
}

TEST_F(MachineLimitsTest, VersionTwoCountsEveryGroupUpToTheRoot) {
  write("groups", "0::/service/model\n");
  write("service/model/cpu.max", "max 100000\n");
  write("service/model/memory.max", "2000000000\n");
  write("service/cpu.max", "150000 100000\n");
  write("service/memory.max", "3000000000\n");
  EXPECT_EQ(limits().processors, 1.5);
  EXPECT_EQ(limits().memory_bytes, 2000000000u);
  write("memory.max", "1000000000\n");
  EXPECT_EQ(limits().memory_bytes, 1000000000u);
}

TEST_F(MachineLimitsTest, VersionOneHasAFolderForEachController) {
  write("groups", "4:memory:/docker/12\n3:cpu,cpuacct:/docker/12\n2:cpuset:/other\n");
  write("cpu/docker/12/cpu.cfs_quota_us", "-1\n");
  write("cpu/docker/12/cpu.cfs_period_us", "100000\n");
  write("cpu/docker/cpu.cfs_quota_us", "300000\n");
  write("cpu/docker/cpu.cfs_period_us", "100000\n");
  write("memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("memory/docker/12/memory.limit_in_bytes", "536870912\n");
  EXPECT_EQ(limits().processors, 3);
  EXPECT_EQ(limits().memory_bytes, 536870912u);
}

TEST_F(MachineLimitsTest, AContainersRootHoldsItsLimitsWhateverItsPath) {
  write("groups", "0::/../../not/mounted\n");
  write("cpu.max", "50000 100000\n");
  write("memory.max", "max\n");
  EXPECT_EQ(limits().processors, 0.5);
  EXPECT_FALSE(limits().memory_bytes);
}

TEST_F(MachineLimitsTest, NonsenseIsNoLimit) {
  write("groups", "\n:\n::\n0:\n1:cpu\n0::relative\n" + std::string(100'000, 'x') + "\n0::/a\n");
  write("cpu.max", "many 100000\n");
  write("memory.max", std::string(100'000, '9'));
  write("a/cpu.max", "100000 0\n");
  write("a/memory.max", "");
  EXPECT_FALSE(limits().processors);
  EXPECT_FALSE(limits().memory_bytes);
}

TEST(MachineLimits, OfThisMachineAreNotMoreThanItHas) { EXPECT_GT(usable_memory_bytes(), 0u); }

}  // namespace
}  // namespace checkbit
