#include "base/cpu_topology.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <tuple>

#include "base/first_line.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;

/// More than any system counts: a larger number is nonsense.
constexpr int kMostProcessors = 1 << 16;

struct FreeSet {
  void operator()(cpu_set_t* set) const { CPU_FREE(set); }
};
using CpuSet = std::unique_ptr<cpu_set_t, FreeSet>;

/// How a thread stood before it was pinned, and how many hold it.
struct Held {
  int pins = 0;
  std::vector<int> before;
};
thread_local Held held;

std::optional<int> take_number(std::string_view& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0 || value >= kMostProcessors) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || text[0] != wanted) return false;
  text.remove_prefix(1);
  return true;
}

struct Range {
  int first;
  int last;
};

/// "0-3,8"; nothing when it is not such a list.
std::vector<Range> parse_ranges(std::string_view text) {
  std::vector<Range> ranges;
  do {
    const auto first = take_number(text);
    if (!first) return {};
    const auto last = take(text, '-') ? take_number(text) : first;
    if (!last || *last < *first) return {};
    ranges.push_back({*first, *last});
  } while (take(text, ','));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return text.empty() ? ranges : std::vector<Range>{};
}

/// Those of `allowed` that a file lists.
std::vector<int> listed(const std::string& path, std::span<const int> allowed) {
  const std::vector<Range> ranges = parse_ranges(first_line(path));
  std::vector<int> ids;
  std::ranges::copy_if(allowed, std::back_inserter(ids), [&](int id) {
    return std::ranges::any_of(ranges, [&](Range r) { return r.first <= id && id <= r.last; });
  });
  return ids;
}

/// Numbers of the nodes in `folder`, ascending.
std::vector<int> node_numbers(const std::string& folder) {
  std::vector<int> numbers;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with("node")) continue;
    std::string_view digits = std::string_view(name).substr(4);
    const auto number = take_number(digits);
    if (number && digits.empty()) numbers.push_back(*number);
  }
  std::ranges::sort(numbers);
  return numbers;
}

void set_nodes(const std::string& root, std::span<const int> allowed,
               std::vector<Processor>& processors) {
  int nodes = 0;
  std::vector<bool> known(processors.size(), false);
  for (const int number : node_numbers(root + "/node")) {
    bool used = false;
    const auto ids = listed(root + "/node/node" + std::to_string(number) + "/cpulist", allowed);
    for (const int id : ids) {
      const auto at =
          static_cast<std::size_t>(std::ranges::lower_bound(allowed, id) - allowed.begin());
      if (known[at]) continue;
      known[at] = used = true;
      processors[at].node = nodes;
    }
    nodes += used ? 1 : 0;
  }
}

void set_siblings(const std::string& root, std::span<const int> allowed,
                  std::vector<Processor>& processors) {
  for (Processor& p : processors) {
    const std::string folder = root + "/cpu/cpu" + std::to_string(p.id) + "/topology/";
    std::vector<int> core = listed(folder + "core_cpus_list", allowed);
    if (core.empty()) core = listed(folder + "thread_siblings_list", allowed);  // before Linux 5.2
    const auto me = std::ranges::find(core, p.id);
    if (me != core.end()) p.sibling = static_cast<int>(me - core.begin());
  }
}

}  // namespace

std::vector<int> allowed_processors() {
  if (held.pins > 0) return held.before;
  std::vector<int> ids;
  for (int size = CPU_SETSIZE; size <= kMostProcessors; size *= 2) {  // too small a set is refused
    const CpuSet set(CPU_ALLOC(static_cast<std::size_t>(size)));
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(size));
    if (set == nullptr) break;
    CPU_ZERO_S(bytes, set.get());
    if (sched_getaffinity(0, bytes, set.get()) != 0) continue;
    for (int id = 0; id < size; ++id) {
      if (CPU_ISSET_S(static_cast<std::size_t>(id), bytes, set.get())) ids.push_back(id);
    }
    break;
  }
  return ids;
}

std::vector<Processor> read_topology(std::span<const int> allowed, const std::string& root) {
  std::vector<Processor> processors;
  for (const int id : allowed) processors.push_back({.id = id});
  set_nodes(root, allowed, processors);
  set_siblings(root, allowed, processors);
  return processors;
}

int count_nodes(std::span<const Processor> topology) {
  int nodes = 0;
  for (const Processor& p : topology) nodes = std::max(nodes, p.node + 1);
  return std::max(nodes, 1);
}

ThreadPlacement place_threads(std::span<const Processor> topology, int threads) {
  if (topology.empty()) return {};
  struct Node {
    std::vector<Processor> processors;  ///< in the order of use
    std::size_t threads = 0;
  };
  std::vector<Node> nodes(static_cast<std::size_t>(count_nodes(topology)));
  for (const Processor& p : topology)
    nodes[static_cast<std::size_t>(p.node)].processors.push_back(p);
  std::erase_if(nodes, [](const Node& node) { return node.processors.empty(); });
  for (Node& node : nodes) {
    std::ranges::stable_sort(node.processors, {}, &Processor::sibling);
  }
  // Each thread goes where its processor is least shared, then to the node with the fewest threads.
  const auto cost = [](const Node& node) {
    const std::size_t size = node.processors.size();
    return std::tuple(node.threads / size, node.processors[node.threads % size].sibling,
                      node.threads);
  };
  for (int i = 0; i < threads; ++i) ++std::ranges::min_element(nodes, {}, cost)->threads;
  ThreadPlacement placement{.processors = {}, .nodes = 0};
  for (const Node& node : nodes) {
    placement.nodes += node.threads > 0 ? 1 : 0;
    for (std::size_t i = 0; i < node.threads; ++i)
      placement.processors.push_back(node.processors[i % node.processors.size()].id);
  }
  return placement;
}

bool set_processors(pthread_t thread, std::span<const int> processors) {
  if (processors.empty()) return false;
  const int most = std::ranges::max(processors);
  if (std::ranges::min(processors) < 0 || most >= kMostProcessors) return false;
  const auto size = static_cast<std::size_t>(std::max(most + 1, CPU_SETSIZE));
  const CpuSet set(CPU_ALLOC(size));
  if (set == nullptr) return false;
  const std::size_t bytes = CPU_ALLOC_SIZE(size);
  CPU_ZERO_S(bytes, set.get());
  for (const int id : processors) CPU_SET_S(static_cast<std::size_t>(id), bytes, set.get());
  return pthread_setaffinity_np(thread, bytes, set.get()) == 0;
}

PinnedCaller::PinnedCaller(int processor) {
  std::vector<int> before = allowed_processors();
  if (before.empty()) return;
  pinned_ = set_processors(pthread_self(), {&processor, 1});
  if (pinned_ && held.pins++ == 0) held.before = std::move(before);
}

PinnedCaller::~PinnedCaller() {
  if (!pinned_ || held.pins == 0 || --held.pins > 0) return;
  set_processors(pthread_self(), held.before);
}

bool PinnedCaller::holds_this_thread() { return held.pins > 0; }

}  // namespace checkbit
