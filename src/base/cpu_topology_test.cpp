// Made-up machines, some of them hostile: what is read of them and where threads go.

#include "base/cpu_topology.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>

#include "base/made_up_tree.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;

std::vector<int> count_from(int first, int count) {
  std::vector<int> ids(static_cast<std::size_t>(count));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

/// A tree like /sys/devices/system.
class CpuTopologyTest : public MadeUpTree {
 protected:
  void write_node(const std::string& name, const std::string& list) {
    write("node/" + name + "/cpulist", list + "\n");
  }
  void write_core(const std::vector<int>& ids, const std::string& file = "core_cpus_list") {
    std::string list;
    for (const int id : ids) list += (list.empty() ? "" : ",") + std::to_string(id);
    for (const int id : ids)
      write("cpu/cpu" + std::to_string(id) + "/topology/" + file, list + "\n");
  }
  std::vector<Processor> read(const std::vector<int>& allowed) {
    return read_topology(allowed, root_);
  }
  /// Two nodes of 32 cores, each core with a second processor 64 further on: 128 in all.
  void make_large() {
    write_node("node0", "0-31,64-95");
    write_node("node1", "32-63,96-127");
    for (int core = 0; core < 64; ++core) write_core({core, core + 64});
  }
};

TEST_F(CpuTopologyTest, NothingThereIsOneNodeOfSingleProcessors) {
  const std::vector<Processor> expected = {{.id = 0}, {.id = 1}, {.id = 5}};
  EXPECT_EQ(read({0, 1, 5}), expected);
  EXPECT_EQ(count_nodes(expected), 1);
  EXPECT_EQ(place_threads(expected, 3).processors, (std::vector<int>{0, 1, 5}));
  EXPECT_EQ(place_threads(expected, 3).nodes, 1);
}

TEST_F(CpuTopologyTest, OneNodeWithSiblingsSideBySide) {
  write_node("node0", "0-3");
  write_core({0, 1});
  write_core({2, 3}, "thread_siblings_list");  // of an older system
  const std::vector<Processor> expected = {
      {.id = 0}, {.id = 1, .sibling = 1}, {.id = 2}, {.id = 3, .sibling = 1}};
  EXPECT_EQ(read({0, 1, 2, 3}), expected);
  EXPECT_EQ(place_threads(expected, 4).processors, (std::vector<int>{0, 2, 1, 3}));
  // More threads than processors: two on each before three on one.
  EXPECT_EQ(place_threads(expected, 6).processors, (std::vector<int>{0, 2, 1, 3, 0, 2}));
}

TEST_F(CpuTopologyTest, TwoNodesShareThreadsEvenlyAndCoresComeFirst) {
  make_large();
  const std::vector<Processor> topology = read(count_from(0, 128));
  EXPECT_EQ(count_nodes(topology), 2);
  for (const int threads : {1, 2, 3, 4, 31, 63, 64, 65, 100, 128, 200, 256}) {
    const ThreadPlacement placement = place_threads(topology, threads);
    ASSERT_EQ(std::ssize(placement.processors), threads);
    EXPECT_EQ(placement.nodes, std::min(threads, 2));
    std::map<int, int> of_processor, of_node;
    int last_node = 0;
    for (const int id : placement.processors) {
      const Processor& p = topology[static_cast<std::size_t>(id)];
      ++of_processor[id];
      ++of_node[p.node];
      EXPECT_GE(p.node, last_node) << "threads of a node stand together";
      last_node = p.node;
      EXPECT_LE(p.sibling, threads <= 64 ? 0 : 1) << threads;
    }
    EXPECT_LE(of_node[0] - of_node[1], 1) << threads;
    EXPECT_GE(of_node[0] - of_node[1], 0) << threads;
    for (const auto& [id, count] : of_processor)
      EXPECT_LE(count, (threads + 127) / 128) << id << " of " << threads;
  }
}

TEST_F(CpuTopologyTest, OnlyWhatMayBeUsedCounts) {
  make_large();
  // Node 0 is out of reach: node 1 is the only one, and processor 96 alone on its core.
  const std::vector<Processor> expected = {
      {.id = 33}, {.id = 96}, {.id = 97, .sibling = 1}, {.id = 98}};
  EXPECT_EQ(read({33, 96, 97, 98}), expected);
  const std::vector<Processor> uneven = read({0, 32, 33, 34});
  EXPECT_EQ(place_threads(uneven, 4).processors, (std::vector<int>{0, 32, 33, 34}));
  EXPECT_EQ(place_threads(uneven, 2).processors, (std::vector<int>{0, 32}));
}

TEST_F(CpuTopologyTest, NodesWithoutProcessorsAndGapsInTheirNumbersAreNoMatter) {
  write_node("node0", "");
  write_node("node2", "0-1");
  write_node("node10", "2-3");
  const std::vector<Processor> expected = {
      {.id = 0}, {.id = 1}, {.id = 2, .node = 1}, {.id = 3, .node = 1}};
  EXPECT_EQ(read({0, 1, 2, 3}), expected);
}

TEST_F(CpuTopologyTest, NonsenseIsOneNodeOfSingleProcessors) {
  const std::vector<Processor> plain = {{.id = 0}, {.id = 1}};
  for (const std::string& text :
       {std::string("0-99999999999"), std::string("0-"), std::string("-1"), std::string("1-0"),
        std::string("0,,1"), std::string("0-1,x"), std::string("18446744073709551616"),
        std::string("\0\xff", 2), std::string(100'000, '9'), std::string(100'000, ',')}) {
    write_node("node0", "0-1");
    write_node("node1", text);
    write("cpu/cpu0/topology/core_cpus_list", text);
    write("cpu/cpu1/topology/core_cpus_list", text);
    EXPECT_EQ(read({0, 1}), plain) << text.substr(0, 20);
  }
  // Two nodes claim the same processors, a core names others than itself, nodes have odd names.
  write_node("node1", "0-1");
  write_node("node", "1");
  write_node("node-1", "1");
  write_node("node2x", "1");
  write_node("node99999999999999999999", "1");
  write("cpu/cpu0/topology/core_cpus_list", "1");
  write("cpu/cpu1/topology/core_cpus_list", "7-9");
  EXPECT_EQ(read({0, 1}), plain);
  fs::remove_all(root_ + "/node");
  write("node", "a file");
  EXPECT_EQ(read({0, 1}), plain);
}

TEST_F(CpuTopologyTest, WithoutProcessorsNobodyIsPlaced) {
  EXPECT_TRUE(read({}).empty());
  EXPECT_TRUE(place_threads({}, 4).processors.empty());
  EXPECT_EQ(place_threads({}, 4).nodes, 1);
}

TEST(CpuTopology, OfThisMachineHasEveryAllowedProcessor) {
  const std::vector<int> allowed = allowed_processors();
  ASSERT_FALSE(allowed.empty());
  EXPECT_TRUE(std::ranges::is_sorted(allowed));
  const std::vector<Processor> topology = read_topology(allowed);
  ASSERT_EQ(topology.size(), allowed.size());
  const auto placed = place_threads(topology, static_cast<int>(allowed.size())).processors;
  EXPECT_TRUE(std::ranges::is_permutation(placed, allowed));
}

}  // namespace
}  // namespace checkbit
