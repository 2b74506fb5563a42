// The engine against an independent float64 forward pass (tests/oracles/forward.py) on tiny models
// of every family, and the one-answer principle over instruction sets, threads, batches and chunks.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "arch/executor.h"

namespace checkbit {
namespace {

const char* const kModels[] = {"llama-llama3", "llama-yarn", "qwen2-bias", "qwen3-norms", "gemma3-window"};

std::string tiny(const std::string& name) {
  return std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + name;
}

template <class T>
std::vector<T> read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), {});
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

struct Setting {
  Isa isa = Isa::scalar;
  int threads = 1;
  std::int64_t chunk = 512;
  PackOptions pack;
};

std::vector<float> logits_of(const std::string& model_path, const std::vector<std::int32_t>& tokens, const Setting& run) {
  auto file = ModelFile::open(model_path);
  EXPECT_TRUE(file.ok()) << file.error().message;
  ThreadPool pool(run.threads);
  auto model = Model::load(*file, run.pack, pool);
  EXPECT_TRUE(model.ok()) << model.error().message;
  auto executor = Executor::create(*model, kernels_for(run.isa), pool, run.chunk, run.chunk);
  EXPECT_TRUE(executor.ok()) << executor.error().message;
  auto cache = KvCache::create(model->hyperparameters(), static_cast<std::int64_t>(tokens.size()),
                               run.pack.activations == ActivationMode::f32 ? CacheType::f32 : CacheType::f16);
  std::vector<float> all;
  for (std::size_t at = 0; at < tokens.size();) {
    const std::size_t n = std::min(tokens.size() - at, static_cast<std::size_t>(run.chunk));
    std::vector<BatchToken> batch;
    for (std::size_t i = 0; i < n; ++i) batch.push_back({&*cache, tokens[at + i], true});
    auto logits = executor->evaluate(batch);
    EXPECT_TRUE(logits.ok()) << logits.error().message;
    for (std::int64_t r = 0; r < logits->rows; ++r) all.insert(all.end(), logits->row(r).begin(), logits->row(r).end());
    at += n;
  }
  return all;
}

class TinyModel : public testing::TestWithParam<const char*> {};

TEST_P(TinyModel, FloatActivationsAgreeWithFloat64) {
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  const auto expected = read_all<float>(tiny(GetParam() + std::string(".logits")));
  ASSERT_FALSE(tokens.empty());
  Setting run;
  run.pack.activations = ActivationMode::f32;
  const auto got = logits_of(tiny(GetParam() + std::string(".gguf")), tokens, run);
  ASSERT_EQ(got.size(), expected.size());
  const auto [low, high] = std::ranges::minmax(expected);
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::abs(double{got[i]} - expected[i]));
  RecordProperty("worst_share_of_range", std::to_string(worst / (high - low)));
  EXPECT_LT(worst, 1e-3 * (high - low));
  EXPECT_GT(high - low, 0.1f);
}

TEST_P(TinyModel, OneAnswer) {
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  const std::string path = tiny(GetParam() + std::string(".gguf"));
  for (const ActivationMode mode : {ActivationMode::int8, ActivationMode::f32}) {
    Setting reference;
    reference.pack.activations = mode;
    const auto expected = logits_of(path, tokens, reference);
    const auto expect_same = [&](const Setting& run, const std::string& what) {
      const auto got = logits_of(path, tokens, run);
      ASSERT_EQ(got.size(), expected.size());
      EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0) << what;
    };
    for (const Isa isa : all_isas()) {
      if (!machine_has(isa)) continue;
      Setting run = reference;
      run.isa = isa;
      for (const auto& [threads, chunk] : std::initializer_list<std::pair<int, std::int64_t>>{
               {1, 512}, {1, 1}, {2, 7}, {3, 32}, {8, 512}}) {
        run.threads = threads;
        run.chunk = chunk;
        expect_same(run, fmt::format("{} {} threads chunk {}", to_string(isa), threads, chunk));
      }
      run.threads = 2;
      run.pack.repack = false;
      expect_same(run, fmt::format("{} from the map", to_string(isa)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, TinyModel, testing::ValuesIn(kModels),
                         [](const auto& entry) {
                           std::string name = entry.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace checkbit
