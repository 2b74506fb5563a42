// Forks hold what a copy would, and take the memory of a view.

#include "arch/kv_cache.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "base/random.h"
#include "base/test_sanitizers.h"
#include "base/test_stride.h"

namespace checkbit {
namespace {

/// Lengths grow with the page, so that forks share wherever the tests run.
std::int64_t positions(std::int64_t at_pages_of_4k) {
  return at_pages_of_4k * std::max<std::int64_t>(sysconf(_SC_PAGESIZE) / 4096, 1);
}

Hyperparameters shape(std::int64_t layers, std::int64_t heads, std::int64_t head_size,
                      std::int64_t value_size) {
  Hyperparameters h;
  h.layers = layers;
  h.key_value_heads = heads;
  h.head_size = head_size;
  h.value_size = value_size;
  return h;
}

/// Where the bytes of one position lie from the start of its head's keys or values on, as
/// kernels/cache_layout.h has it: visit(offset, index).
template <class Visit>
void for_bytes(CacheType type, bool of_keys, std::int64_t n, std::int64_t position, Visit&& visit) {
  const std::int64_t lane = position % 16;
  const std::int64_t block = position / 16 * 16 * cache_row_bytes(type, n);
  const std::int64_t padded = (n + 31) / 32 * 32;
  const std::int64_t size = type == CacheType::q8_0 ? 1 : type == CacheType::f16 ? 2 : 4;
  std::int64_t index = 0;
  for (std::int64_t e = 0; e < (size == 1 ? padded : n); ++e) {
    std::int64_t at = of_keys ? e * 16 + lane : lane * n + e;
    if (size == 1) at = of_keys ? (e / 2 * 16 + lane) * 2 + e % 2 : lane * padded + e;
    for (std::int64_t i = 0; i < size; ++i) visit(block + at * size + i, index++);
  }
  for (std::int64_t group = 0; size == 1 && group < padded / 32; ++group) {
    for (std::int64_t i = 0; i < 2; ++i)
      visit(block + 16 * padded + (group * 16 + lane) * 2 + i, index++);
  }
}

/// A sequence whose keys and values are made of its tokens.
struct Sequence {
  KvCache cache;
  const Hyperparameters* h;
  std::vector<std::uint32_t> tokens;

  Sequence(const Hyperparameters& of, std::int64_t capacity, CacheType type = CacheType::f16)
      : cache(*KvCache::create(of, capacity, type)), h(&of) {}
  Sequence(KvCache branch, const Sequence& root)
      : cache(std::move(branch)),
        h(root.h),
        tokens(root.tokens.begin(), root.tokens.begin() + cache.length()) {}

  Sequence fork(std::int64_t length) { return {*cache.fork(length), *this}; }
  Sequence fork(std::int64_t length, std::int64_t capacity) {
    return {*cache.fork(length, capacity), *this};
  }

  void truncate(std::int64_t length) {
    cache.truncate(length);
    tokens.resize(static_cast<std::size_t>(length));
  }
  void append(Random& random, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      tokens.push_back(static_cast<std::uint32_t>(random()));
      cache.extend(1);
      at(cache.length() - 1, [](std::uint8_t& byte, std::uint8_t value) { byte = value; });
    }
  }
  /// Bytes that are not what its tokens make, of every `step`-th position.
  std::int64_t wrong(std::int64_t step = 1) const {
    std::int64_t bytes = 0;
    for (std::int64_t p = cache.length() - 1; p >= 0; p -= step)
      at(p, [&](std::uint8_t& byte, std::uint8_t value) { bytes += byte != value; });
    return bytes;
  }

 private:
  /// visit(a byte of this position, what the token makes of it).
  template <class Visit>
  void at(std::int64_t position, Visit&& visit) const {
    for (std::int64_t layer = 0; layer < h->layers; ++layer) {
      for (std::int64_t head = 0; head < h->key_value_heads; ++head) {
        for (const bool keys : {true, false}) {
          auto* region = static_cast<std::uint8_t*>(keys ? cache.keys(layer, head)
                                                         : cache.values(layer, head));
          const auto token = tokens[static_cast<std::size_t>(position)];
          const auto seed = token ^ static_cast<std::uint32_t>(8 * layer + 2 * head + keys) << 24;
          for_bytes(cache.type(), keys, keys ? h->head_size : h->value_size, position,
                    [&](std::int64_t offset, std::int64_t index) {
                      visit(region[offset],
                            static_cast<std::uint8_t>(
                                (seed + static_cast<std::uint32_t>(index)) * 0x9E3779B1u >> 24));
                    });
        }
      }
    }
  }
};

/// A limit of the process, back as it was afterwards.
class Limited {
 public:
  Limited(int what, rlim_t value) : what_(static_cast<__rlimit_resource>(what)) {
    getrlimit(what_, &before_);
    const rlimit now{value, before_.rlim_max};
    setrlimit(what_, &now);
  }
  ~Limited() { setrlimit(what_, &before_); }

 private:
  __rlimit_resource what_;
  rlimit before_{};
};

std::uint64_t proportional_bytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  std::uint64_t kib = 0;
  for (std::string word; file >> word;) {
    if (word == "Pss:" && file >> kib) return kib * 1024;
  }
  return 0;
}

/// Any order of growing, forking, truncating and dropping, against a list of tokens.
TEST(KvCacheForks, AreAsCopiesWhateverIsDone) {
  const Hyperparameters h = shape(2, 2, 40, 32);  // 8-bit keys: one group and a quarter
  for (const CacheType type : kCacheTypes) {
    Random random(7);
    const auto below = [&](std::int64_t n) {
      return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
    };
    int views = 0;
    std::vector<Sequence> all;
    all.emplace_back(h, positions(1100), type);
    all.back().append(random, positions(700));
    for (int i = 0; i < 300; i += test_stride()) {
      Sequence& one = all[static_cast<std::size_t>(below(std::ssize(all)))];
      const std::int64_t length = one.cache.length();
      switch (below(8)) {
        case 0:
          one.truncate(below(length + 1));
          break;
        case 1:
          if (all.size() > 1) all.erase(all.begin() + below(std::ssize(all)));
          break;
        case 2:
        case 3:
          one.append(random, std::min(below(positions(300)), one.cache.capacity() - length));
          break;
        default:
          const std::int64_t prefix = length - below(length / 4 + 1);
          const bool same_room = below(2) == 0 && one.cache.capacity() > prefix + 20;
          all.push_back(same_room ? one.fork(prefix)
                                  : one.fork(prefix, prefix + 20 + below(positions(600))));
          views += all.back().cache.shared_length() > 0;
          all.back().append(random, below(20));
          if (all.size() > 8) all.erase(all.begin() + below(8));
      }
      for (const Sequence& each : all) {
        ASSERT_EQ(each.wrong(37), 0) << "after step " << i << ", " << to_string(type) << " cache";
      }
    }
    EXPECT_GT(views, 20 / test_stride()) << to_string(type);
    for (const Sequence& each : all) EXPECT_EQ(each.wrong(), 0) << to_string(type);
  }
}

/// One image for all forks while the sequence still begins as it does.
TEST(KvCacheForks, ShareAnImageUntilItIsOld) {
  const Hyperparameters h = shape(2, 2, 64, 64);
  Random random(1);
  Sequence root(h, positions(1000));
  root.append(random, positions(400));
  EXPECT_EQ(root.cache.shared_length(), 0);
  EXPECT_EQ(root.fork(16).cache.shared_length(), 0) << "so short a prefix is copied";
  EXPECT_EQ(root.cache.shared_length(), 0);

  EXPECT_EQ(root.fork(positions(390)).cache.shared_length(), positions(390));
  EXPECT_EQ(root.fork(positions(300)).cache.shared_length(), positions(300));
  EXPECT_EQ(root.fork(positions(400)).cache.shared_length(), positions(390));
  root.truncate(positions(350));
  root.append(random, positions(50));
  Sequence branch = root.fork(positions(400));
  EXPECT_EQ(branch.cache.shared_length(), positions(350)) << "the rest is copied";
  EXPECT_EQ(branch.wrong(), 0);

  // A branch shares on; its own part is copied until copies come to a whole prefix.
  branch.append(random, positions(200));
  Sequence leaf = branch.fork(positions(600));
  EXPECT_EQ(leaf.cache.shared_length(), positions(350));
  EXPECT_EQ(branch.fork(positions(600)).cache.shared_length(), positions(350));
  EXPECT_EQ(branch.fork(positions(600)).cache.shared_length(), positions(600)) << "a new image";
  EXPECT_EQ(branch.cache.shared_length(), positions(600));
  EXPECT_EQ(leaf.cache.shared_length(), positions(350)) << "stays with the old one";

  root.truncate(0);
  EXPECT_EQ(root.cache.shared_length(), 0);
  root.append(random, positions(400));
  EXPECT_EQ(root.fork(positions(400)).cache.shared_length(), positions(400));
  EXPECT_EQ(root.wrong() + branch.wrong() + leaf.wrong(), 0);

  // Room of its own: less is a view of the same image, more may need a wider one.
  const Sequence narrow = root.fork(positions(400), positions(400));
  EXPECT_EQ(narrow.cache.shared_length(), positions(400));
  EXPECT_EQ(narrow.cache.capacity(), positions(400));
  Sequence wide = root.fork(positions(390), positions(5000));
  EXPECT_EQ(wide.cache.shared_length(), positions(390));
  EXPECT_EQ(root.fork(positions(390)).cache.shared_length(), positions(390));
  wide.append(random, positions(1000));
  EXPECT_EQ(wide.fork(positions(1390)).cache.capacity(), positions(5000));
  EXPECT_EQ(root.wrong() + narrow.wrong() + wide.wrong(), 0);
}

/// What the system refuses to share is copied.
TEST(KvCacheForks, AreCopiesWhereThereAreNoImages) {
  const Hyperparameters h = shape(2, 2, 64, 64);
  Random random(2);
  Sequence root(h, positions(500));
  root.append(random, positions(300));
  // UndefinedBehaviorSanitizer needs a descriptor when it first sees an object of some type; later
  // there are none, and messages are made.
  static_cast<void>(fail(ErrorKind::memory, "a message with the number {}", root.cache.length()));
  const std::pair<int, rlim_t> limits[] = {{RLIMIT_NOFILE, 0}, {RLIMIT_FSIZE, 4096}};
  for (const auto& [what, value] : limits) {
    std::optional<Sequence> branch;
    {
      const Limited limited(what, value);
      branch = root.fork(positions(300));
    }
    EXPECT_EQ(root.cache.shared_length(), 0) << "limit " << what;
    EXPECT_EQ(branch->cache.shared_length(), 0) << "limit " << what;
    branch->append(random, 20);
    EXPECT_EQ(branch->wrong(), 0) << "limit " << what;
  }
  Sequence shared = root.fork(positions(300));
  root.append(random, positions(100));
  const Limited limited(RLIMIT_NOFILE, 0);
  // The image at hand serves without another file, and stays when no new one can be had.
  for (int i = 0; i < 6; ++i) {
    Sequence branch = root.fork(positions(400));
    EXPECT_EQ(branch.cache.shared_length(), positions(300));
    EXPECT_EQ(branch.wrong(), 0);
  }
  EXPECT_EQ(shared.wrong(), 0);
}

/// Branches of one root grow, fork and go in threads of their own.
TEST(KvCacheForks, GoTheirWayInThreads) {
  const Hyperparameters h = shape(2, 1, 64, 64);
  Random random(3);
  std::optional<Sequence> root(std::in_place, h, positions(600), CacheType::q8_0);
  root->append(random, positions(400));
  std::vector<Sequence> branches;
  for (int i = 0; i < 4; ++i) branches.push_back(root->fork(positions(400)));
  std::vector<std::int64_t> wrong(branches.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < branches.size(); ++i) {
    threads.emplace_back([&, i] {
      Random own(10 + i);
      for (int turn = 0; turn < 5; ++turn) {
        branches[i].append(own, 20);
        Sequence leaf = branches[i].fork(branches[i].cache.length() - 7);
        leaf.append(own, 9);
        wrong[i] += leaf.wrong(5) + branches[i].wrong(5);
      }
    });
  }
  root.reset();
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < branches.size(); ++i) {
    EXPECT_GT(branches[i].cache.shared_length(), 0);
    EXPECT_EQ(wrong[i] + branches[i].wrong(), 0) << "branch " << i;
  }
}

/// What `count` forks of 2,000 positions, each with 16 positions of its own and all of them read,
/// add to the memory of the process.
double megabytes_of_forks(const Hyperparameters& h, int count) {
  const std::uint64_t before = proportional_bytes();
  Random random(4);
  Sequence root(h, 4096);
  root.append(random, 2000);
  std::vector<Sequence> branches;
  for (int i = 0; i < count; ++i) branches.push_back(root.fork(2000));
  std::int64_t wrong = 0;
  for (Sequence& branch : branches) {
    branch.append(random, 16);
    wrong += branch.wrong(32);  // something of every page
  }
  EXPECT_EQ(wrong, 0);
  return static_cast<double>(proportional_bytes() - before) / 1e6;
}

/// Forks of the shape of the 135M model: copies would take 2.9 GB.
TEST(KvCacheForks, SixtyFourTakeTheMemoryOfTwoPrefixesAndTheirOwnPages) {
  if (kUnderSanitizer) GTEST_SKIP() << "a sanitizer keeps memory beside memory";
  if (sysconf(_SC_PAGESIZE) != 4096) GTEST_SKIP() << "the figures are those of pages of 4 KiB";
  if (proportional_bytes() == 0) GTEST_SKIP() << "no /proc/self/smaps_rollup";
  const Hyperparameters h = shape(30, 3, 64, 64);
  // Code that runs for the first time takes memory of its own: much under an emulator, which keeps
  // its translations.
  megabytes_of_forks(h, 2);
  const double mb = megabytes_of_forks(h, 64);
  RecordProperty("megabytes", std::to_string(mb));
  // 16 positions of one head lie on two pages at most.
  const double prefix = 30 * 3 * 2 * 2000 * 64 * 2 / 1e6;
  const double own_pages = 64 * 30 * 3 * 2 * 2 * 4096 / 1e6;
  EXPECT_LT(mb, 2 * prefix + own_pages) << "the sequence, the image, and what each branch writes";
  EXPECT_GT(mb, 2 * prefix) << "the sequence, the image";
}

}  // namespace
}  // namespace checkbit
