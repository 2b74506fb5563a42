// On machines with several memory nodes a page is written first by the thread that reads it: the
// mapping, on made-up placements, and that placed pools give the golden answers.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "arch/executor.h"
#include "base/test_sanitizers.h"

namespace checkbit {
namespace {

const char* const kModels[] = {"llama-llama3", "gemma3-window", "qwen2-bias"};

std::string tiny(const std::string& name) {
  return std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + name;
}

class Placement : public testing::TestWithParam<const char*> {};

/// The bytes that a thread gets from for_shares before it takes what is left are its own.
TEST_P(Placement, EachThreadOwnsWhatItReadsFirst) {
  auto file = ModelFile::open(tiny(GetParam() + std::string(".gguf")));
  ASSERT_TRUE(file.ok()) << file.error().message;
  for (const int threads : {1, 2, 3, 64}) {
    ThreadPool pool(threads);
    auto model = Model::load(*file, {}, pool);
    ASSERT_TRUE(model.ok()) << model.error().message;
    std::map<const std::uint8_t*, ReadStretch> stretches;  // by their first byte
    std::uint64_t owned = 0;
    for (const ReadStretch& stretch : read_stretches(*model, threads)) {
      EXPECT_TRUE(stretches.emplace(stretch.bytes.data(), stretch).second);
      owned += stretch.bytes.size();
    }
    std::uint64_t read = 0;
    const auto expect_owner = [&](std::span<const std::uint8_t> panel, int thread) {
      const ReadStretch& found = std::prev(stretches.upper_bound(panel.data()))->second;
      EXPECT_GE(panel.data(), found.bytes.data());
      EXPECT_LE(panel.data() + panel.size(), found.bytes.data() + found.bytes.size());
      EXPECT_TRUE(thread < 0 || found.thread == thread) << threads << " threads";
      read += panel.size();
    };
    for_linear_groups(
        model->architecture(), model->hyperparameters().layers,
        [&](std::span<const Step> steps, std::int64_t layer) {
          std::vector<std::span<const std::uint8_t>> panels;
          for (const Step& step : steps) {
            const PackedMatrix* m = model->matrix(step.weight, layer);
            for (std::int64_t p = 0; p < m->panels(); ++p) {
              const auto from = m->packed_from(p);
              panels.push_back(from.first(from.size() - m->packed_from(p + 1).size()));
            }
          }
          const std::int64_t n = std::ssize(panels);
          const std::int64_t dealt = threads == 1 ? n : ThreadPool::dealing(n, threads).dealt;
          std::vector<int> reader(panels.size(), -1);
          pool.for_shares(n, [&](std::int64_t begin, std::int64_t end, int thread) {
            for (std::int64_t p = begin; p < end && p < dealt; ++p)
              reader[static_cast<std::size_t>(p)] = thread;
          });
          for (std::size_t p = 0; p < panels.size(); ++p) expect_owner(panels[p], reader[p]);
        });
    EXPECT_EQ(read, owned);
  }
}

/// Two nodes that are one: weights are touched by their readers, and nothing else changes. More
/// threads than processors, and than the panels of any matrix.
TEST_P(Placement, PlacedPoolsGiveTheGoldenAnswer) {
  auto file = ModelFile::open(tiny(GetParam() + std::string(".gguf")));
  ASSERT_TRUE(file.ok()) << file.error().message;
  std::ifstream golden(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/golden_logits.json");
  const auto expected =
      nlohmann::json::parse(golden).at("hashes").at(GetParam()).at("int8").get<std::string>();
  std::ifstream in(tiny(GetParam() + std::string(".tokens")), std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), {});
  std::vector<std::int32_t> tokens(bytes.size() / sizeof(std::int32_t));
  std::memcpy(tokens.data(), bytes.data(), tokens.size() * sizeof(std::int32_t));

  const std::vector<int> allowed = allowed_processors();
  for (const int threads : {2, 64}) {
    for (const int nodes : {1, 2}) {
      ThreadPool pool(threads, {.processors = allowed, .nodes = nodes});
      auto model = Model::load(*file, {}, pool);
      ASSERT_TRUE(model.ok()) << model.error().message;
      auto executor = Executor::create(*model, kernels_for(*select_isa()), pool, 512, 512);
      ASSERT_TRUE(executor.ok()) << executor.error().message;
      auto cache =
          KvCache::create(model->hyperparameters(), static_cast<std::int64_t>(tokens.size()));
      std::vector<float> all;
      // A prompt, then tokens one at a time.
      for (std::size_t at = 0; at < tokens.size();) {
        const std::size_t n = at == 0 ? tokens.size() / 2 : 1;
        std::vector<BatchToken> batch;
        for (std::size_t i = 0; i < n; ++i) batch.push_back({&*cache, tokens[at + i], true});
        const auto logits = executor->evaluate(batch);
        ASSERT_TRUE(logits.ok()) << logits.error().message;
        for (std::int64_t r = 0; r < logits->rows; ++r)
          all.insert(all.end(), logits->row(r).begin(), logits->row(r).end());
        at += n;
      }
      EXPECT_EQ(fmt::format("{:016x}", XXH3_64bits(all.data(), all.size() * sizeof(float))),
                expected)
          << threads << " threads on " << nodes << " nodes";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Placement, testing::ValuesIn(kModels), [](const auto& entry) {
  std::string name = entry.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

/// In a process of its own: limits and rights do not come back. Exits with 0 on a refusal.
[[noreturn]] void lock_without_rights(const Model& model) {
  rlimit none{};
  setrlimit(RLIMIT_MEMLOCK, &none);
  if (geteuid() == 0 && setuid(65534) != 0) std::exit(3);
  const Status locked = model.lock_weights();
  std::fprintf(stderr, "%s\n", locked.ok() ? "locked" : locked.error().message.c_str());
  std::exit(locked.ok() ? 1 : 0);
}

/// Where the system refuses, that is an error with its reason.
TEST(LockWeights, ARefusalIsAnError) {
  // Those put a function that does nothing, and succeeds, in its place.
  if (kUnderSanitizer) GTEST_SKIP() << "this build has no mlock";
  auto file = ModelFile::open(tiny("llama-llama3.gguf"));
  ThreadPool pool(1);
  auto model = Model::load(*file, {}, pool);
  ASSERT_TRUE(model.ok());
  EXPECT_EXIT(lock_without_rights(*model), testing::ExitedWithCode(0),
              "bytes of weights could not be locked in memory, 0 are allowed: .+");
}

}  // namespace
}  // namespace checkbit
