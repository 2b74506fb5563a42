// The engine against an independent float64 forward pass (tests/oracles/forward.py) on tiny models
// of every family, and the one-answer principle over instruction sets, threads, batches and chunks.

#include <gtest/gtest.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "arch/executor.h"
#include "base/foreign_floats.h"
#include "base/test_stride.h"
#include "kernels/emulated_amx.h"

namespace checkbit {
namespace {

const char* const kModels[] = {"llama-llama3", "llama-yarn", "qwen2-bias", "qwen3-norms",
                               "gemma3-window"};

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
  CacheType cache_type = CacheType::f16;
  const Kernels* kernels = nullptr;  ///< none: those of `isa`
};

std::vector<float> logits_of(const std::string& model_path, const std::vector<std::int32_t>& tokens,
                             const Setting& run) {
  auto file = ModelFile::open(model_path);
  EXPECT_TRUE(file.ok()) << file.error().message;
  ThreadPool pool(run.threads);
  auto model = Model::load(*file, run.pack, pool);
  EXPECT_TRUE(model.ok()) << model.error().message;
  const Kernels& kernels = run.kernels != nullptr ? *run.kernels : kernels_for(run.isa);
  auto executor = Executor::create(*model, kernels, pool, run.chunk, run.chunk);
  EXPECT_TRUE(executor.ok()) << executor.error().message;
  auto cache = KvCache::create(model->hyperparameters(), static_cast<std::int64_t>(tokens.size()),
                               run.cache_type);
  std::vector<float> all;
  for (std::size_t at = 0; at < tokens.size();) {
    const std::size_t n = std::min(tokens.size() - at, static_cast<std::size_t>(run.chunk));
    std::vector<BatchToken> batch;
    for (std::size_t i = 0; i < n; ++i) batch.push_back({&*cache, tokens[at + i], true});
    auto logits = executor->evaluate(batch);
    EXPECT_TRUE(logits.ok()) << logits.error().message;
    for (std::int64_t r = 0; r < logits->rows; ++r)
      all.insert(all.end(), logits->row(r).begin(), logits->row(r).end());
    at += n;
  }
  return all;
}

std::string hash_of(const std::vector<float>& logits) {
  return fmt::format("{:016x}", XXH3_64bits(logits.data(), logits.size() * sizeof(float)));
}

nlohmann::json golden() {
  std::ifstream in(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/golden_logits.json");
  return nlohmann::json::parse(in);
}

std::string golden_hash(const std::string& model, const std::string& kind) {
  return golden().at("hashes").at(model).at(kind).get<std::string>();
}

/// What has bits of its own, by the names of golden_logits.json.
std::vector<std::pair<std::string, Setting>> kinds_of_run() {
  Setting int8, f32, q8_cache;
  f32.pack.activations = ActivationMode::f32;
  f32.cache_type = CacheType::f32;
  q8_cache.cache_type = CacheType::q8_0;
  return {{"int8", int8}, {"f32", f32}, {"int8, q8_0 cache", q8_cache}};
}

struct Way {
  int threads;
  std::int64_t chunk;
  bool repack;
};

/// A choice that meets every value of every setting; all of their combinations with
/// CHECKBIT_TEST_ALL.
std::vector<Way> ways_to_run() {
  if (std::getenv("CHECKBIT_TEST_ALL") == nullptr)
    return {{1, 1, true}, {2, 7, false}, {3, 32, true}};
  std::vector<Way> all;
  for (const int threads : {1, 2, 3, 8}) {
    for (const std::int64_t chunk : {1, 7, 32, 512}) {
      for (const bool repack : {true, false}) all.push_back({threads, chunk, repack});
    }
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
  run.cache_type = CacheType::f32;
  const auto got = logits_of(tiny(GetParam() + std::string(".gguf")), tokens, run);
  ASSERT_EQ(got.size(), expected.size());
  const auto [low, high] = std::ranges::minmax(expected);
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    worst = std::max(worst, std::abs(double{got[i]} - expected[i]));
  RecordProperty("worst_share_of_range", std::to_string(worst / (high - low)));
  EXPECT_LT(worst, 1e-3 * (high - low));
  EXPECT_GT(high - low, 0.1f);
}

TEST_P(TinyModel, OneAnswer) {
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  const std::string path = tiny(GetParam() + std::string(".gguf"));
  for (const auto& [name, reference] : kinds_of_run()) {
    const auto expected = logits_of(path, tokens, reference);
    const auto expect_same = [&](const Setting& run, const std::string& what) {
      const auto got = logits_of(path, tokens, run);
      ASSERT_EQ(got.size(), expected.size());
      EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0) << what;
    };
    for (const Isa isa : all_isas()) {
      if (!machine_has(isa)) continue;
      for (const auto& [threads, chunk, repack] : ways_to_run()) {
        Setting run = reference;
        run.isa = isa;
        run.threads = threads;
        run.chunk = chunk;
        run.pack.repack = repack;
        expect_same(run,
                    fmt::format("{}: {}, {} threads, {} tokens at a time{}", name, to_string(isa),
                                threads, chunk, repack ? "" : ", from the map"));
      }
    }
  }
}

/// A program that has set other rules for floats gets the same answer, and keeps its rules.
TEST_P(TinyModel, TheCallersRulesForFloatsDoNotMatter) {
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  const std::string path = tiny(GetParam() + std::string(".gguf"));
  Setting run;
  run.threads = 3;
  for (const Isa isa : {Isa::scalar, *select_isa()}) {
    run.isa = isa;
    const auto expected = logits_of(path, tokens, run);
    std::vector<float> got;
    float rounded_up = 0;
    {
      const ForeignFloats foreign;
      got = logits_of(path, tokens, run);
      volatile float one = 1.0f;
      volatile float little = 0x1p-30f;
      rounded_up = one + little;
    }
    EXPECT_GT(rounded_up, 1.0f);
    EXPECT_EQ(got, expected) << to_string(isa);
  }
}

/// Beyond 1024 positions one token's attention is split over threads: still the same bits.
TEST_P(TinyModel, LongContextsAreTheSameOnAnyThreads) {
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  const auto last_logits = [&](int threads, CacheType cache_type) {
    auto file = ModelFile::open(tiny(GetParam() + std::string(".gguf")));
    ThreadPool pool(threads);
    auto model = Model::load(*file, {}, pool);
    auto executor = Executor::create(*model, kernels_for(*select_isa()), pool, 512, 1);
    auto cache = KvCache::create(model->hyperparameters(), 1300, cache_type);
    std::vector<float> all;
    for (std::int64_t at = 0; at < 1280;) {
      std::vector<BatchToken> batch;
      // Prompts, a few tokens together, then one at a time.
      const std::int64_t n = at < 1024 ? 512 : at < 1270 ? 82 : at == 1270 ? 6 : 1;
      for (std::int64_t i = 0; i < n; ++i)
        batch.push_back(
            {&*cache, tokens[static_cast<std::size_t>(at + i) % tokens.size()], i + 1 == n});
      const auto logits = executor->evaluate(batch);
      EXPECT_TRUE(logits.ok()) << logits.error().message;
      all.insert(all.end(), logits->row(0).begin(), logits->row(0).end());
      at += n;
    }
    return all;
  };
  for (const CacheType type : {CacheType::f16, CacheType::q8_0}) {
    const auto expected = last_logits(1, type);
    for (const int threads : {2, 3, 8}) {
      const auto got = last_logits(threads, type);
      ASSERT_EQ(got.size(), expected.size());
      EXPECT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0)
          << threads << " threads, " << to_string(type) << " cache";
    }
  }
}

/// The bits themselves, so that a change of numerics does not go unnoticed. A change here must
/// raise the version of docs/numerics.md.
TEST_P(TinyModel, LogitsHaveTheGoldenHash) {
  std::ifstream page(std::string(CHECKBIT_SOURCE_DIR) + "/docs/numerics.md");
  const std::string text((std::istreambuf_iterator<char>(page)), {});
  EXPECT_NE(text.find(fmt::format("Version {}.", golden().at("numerics_version").get<int>())),
            std::string::npos);
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  for (auto [name, run] : kinds_of_run()) {
    run.isa = *select_isa();
    EXPECT_EQ(hash_of(logits_of(tiny(GetParam() + std::string(".gguf")), tokens, run)),
              golden_hash(GetParam(), name))
        << GetParam() << " " << name;
  }
}

template <class T>
void append_reversed(std::vector<T>& to, const T* from, std::int64_t records, std::int64_t size) {
  for (std::int64_t r = records; r-- > 0;)
    to.insert(to.end(), from + r * size, from + (r + 1) * size);
}

/// A product that adds its groups in reverse: that of the library over records in reverse.
template <ProductKind kKind>
void product_in_reverse(const ProductArguments& a) {
  constexpr PanelLayout kLayout = panel_layout(product_line(kKind).form);
  constexpr ActivationForm kForm = activation_form(product_line(kKind).form);
  const std::int64_t records = a.columns / kLayout.record_columns;
  std::vector<std::uint8_t> panels;
  for (std::int64_t panel = 0; panel < a.n_panels; ++panel) {
    append_reversed(panels, a.panels + panel * static_cast<std::int64_t>(a.panel_bytes), records,
                    static_cast<std::int64_t>(kLayout.record_bytes));
  }
  std::vector<std::int8_t> q;
  std::vector<float> scales;
  std::vector<std::int32_t> starts, mins;
  for (std::int64_t token = 0; token < a.n_tokens;) {
    const TokenBlock block = token_block(token, a.n_tokens);
    const auto append = [&](auto& to, const auto* from, std::int64_t per_token) {
      append_reversed(to, from + block.first * per_token, records,
                      per_token / records * block.width);
    };
    append(q, a.x.q, a.columns);
    append(scales, a.x.scales, scales_per_token(kForm, a.columns));
    append(starts, a.x.starts, starts_per_token(kForm, a.columns));
    if (kForm.min_step > 0) append(mins, a.x.mins, mins_per_token(kForm, a.columns));
    token += block.width;
  }
  ProductArguments reversed = a;
  reversed.panels = panels.data();
  reversed.panel_bytes = static_cast<std::size_t>(records) * kLayout.record_bytes;
  reversed.x = {q.data(), scales.data(), starts.data(), mins.data()};
  kernels_for(*select_isa()).products[static_cast<int>(kKind)](reversed);
}

/// The golden hash sees the order of groups: nothing else differs here, and logits hardly do.
TEST_P(TinyModel, AMutantThatAddsGroupsInReverseFails) {
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  Kernels mutant = kernels_for(*select_isa());
#define CHECKBIT_PRODUCT(name, ...) \
  mutant.products[static_cast<int>(ProductKind::name)] = product_in_reverse<ProductKind::name>;
#include "kernels/products.def"
#undef CHECKBIT_PRODUCT
  Setting run;
  run.isa = *select_isa();
  const auto right = logits_of(tiny(GetParam() + std::string(".gguf")), tokens, run);
  run.kernels = &mutant;
  const auto wrong = logits_of(tiny(GetParam() + std::string(".gguf")), tokens, run);
  EXPECT_EQ(hash_of(right), golden_hash(GetParam(), "int8"));
  EXPECT_NE(hash_of(wrong), golden_hash(GetParam(), "int8"));
  const auto [low, high] = std::ranges::minmax(right);
  ASSERT_EQ(wrong.size(), right.size());
  for (std::size_t i = 0; i < right.size(); ++i)
    ASSERT_NEAR(wrong[i], right[i], 0.05f * (high - low)) << i;
}

/// Products by tiles in a whole model, whose threads each have tiles of their own.
TEST_P(TinyModel, EmulatedTilesGiveTheGoldenHash) {
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  static const Kernels kernels = emulated_amx::make_kernels();
  for (auto [name, run] : kinds_of_run()) {
    run.kernels = &kernels;
    const std::int64_t before = emulated_amx::emulated_products;
    for (const auto& [threads, chunk, repack] : {Way{3, 512, true}, Way{2, 17, false}}) {
      run.threads = threads;
      run.chunk = chunk;
      run.pack.repack = repack;
      EXPECT_EQ(hash_of(logits_of(tiny(GetParam() + std::string(".gguf")), tokens, run)),
                golden_hash(GetParam(), name))
          << name << ", " << threads << " threads";
    }
    EXPECT_EQ(emulated_amx::emulated_products > before, run.pack.activations != ActivationMode::f32)
        << name << ": tiles are for 8-bit activations";
  }
}

/// A model and what runs it.
struct Engine {
  ThreadPool pool{2};
  ModelFile file;
  Model model;
  Executor executor;

  Engine(const std::string& path, std::int64_t max_batch, std::int64_t max_logits)
      : file(*ModelFile::open(path)),
        model(*Model::load(file, {}, pool)),
        executor(
            *Executor::create(model, kernels_for(*select_isa()), pool, max_batch, max_logits)) {}
  KvCache cache(std::int64_t capacity, CacheType type = CacheType::f16) const {
    return *KvCache::create(model.hyperparameters(), capacity, type);
  }
  /// Logits of all tokens, one after the other.
  std::vector<float> logits(std::span<const BatchToken> batch) {
    const auto view = executor.evaluate(batch);
    EXPECT_TRUE(view.ok()) << view.error().message;
    std::vector<float> all;
    for (std::int64_t r = 0; view && r < view->rows; ++r)
      all.insert(all.end(), view->row(r).begin(), view->row(r).end());
    return all;
  }
  /// Of `tokens` at the end of `sequence`, in one pass.
  std::vector<float> append(KvCache& sequence, std::span<const std::int32_t> tokens) {
    std::vector<BatchToken> batch;
    for (const std::int32_t token : tokens) batch.push_back({&sequence, token, true});
    return logits(batch);
  }
};

/// Three sequences of different lengths, dealt into batches token by token, against each alone.
TEST_P(TinyModel, SequencesInOneBatchAreAsAlone) {
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  Engine engine(tiny(GetParam() + std::string(".gguf")), 16, 16);
  constexpr std::array<std::size_t, 3> kLengths = {5, 33, 20};
  std::vector<std::vector<float>> alone(kLengths.size());
  std::vector<std::vector<float>> together(kLengths.size());
  const auto token_of = [&](std::size_t s, std::size_t at) {
    return tokens[(at + 7 * s) % tokens.size()];
  };
  const auto run = [&](std::span<const BatchToken> batch, std::span<const std::size_t> owners,
                       auto& into) {
    const auto logits = engine.executor.evaluate(batch);
    ASSERT_TRUE(logits.ok()) << logits.error().message;
    for (std::int64_t r = 0; r < logits->rows; ++r) {
      auto& all = into[owners[static_cast<std::size_t>(r)]];
      all.insert(all.end(), logits->row(r).begin(), logits->row(r).end());
    }
  };
  for (std::size_t s = 0; s < kLengths.size(); ++s) {
    KvCache cache = engine.cache(48);
    for (std::size_t at = 0; at < kLengths[s]; ++at) {
      const BatchToken one{&cache, token_of(s, at), true};
      run({&one, 1}, std::span(&s, 1), alone);
    }
  }
  std::vector<KvCache> caches;
  for (std::size_t s = 0; s < kLengths.size(); ++s) caches.push_back(engine.cache(48));
  std::vector<BatchToken> batch;
  std::vector<std::size_t> owners;
  const auto flush = [&] {
    if (!batch.empty()) run(batch, owners, together);
    batch.clear();
    owners.clear();
  };
  for (std::size_t at = 0; at < 33; ++at) {
    for (std::size_t s = 0; s < kLengths.size(); ++s) {
      if (at >= kLengths[s]) continue;
      batch.push_back({&caches[s], token_of(s, at), true});
      owners.push_back(s);
      if (batch.size() == 16) flush();
    }
  }
  flush();
  for (std::size_t s = 0; s < kLengths.size(); ++s) {
    EXPECT_EQ(caches[s].length(), static_cast<std::int64_t>(kLengths[s]));
    EXPECT_EQ(together[s], alone[s]) << "sequence " << s;
  }
}

/// Sixteen sequences of different texts at different positions, a token of each in every pass.
TEST_P(TinyModel, OneOfSixteenIsAsAlone) {
  constexpr std::size_t kSequences = 16;
  constexpr std::size_t kPasses = 4;
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  Engine engine(tiny(GetParam() + std::string(".gguf")), 4 * kSequences, 4 * kSequences);
  std::vector<std::vector<std::int32_t>> texts(kSequences);
  for (std::size_t s = 0; s < kSequences; ++s) {
    for (std::size_t i = 0; i < 3 * s + kPasses; ++i)
      texts[s].push_back(tokens[(5 * i + s) % tokens.size()]);
  }
  for (const CacheType type : {CacheType::f16, CacheType::q8_0}) {
    std::vector<KvCache> caches;
    for (std::size_t s = 0; s < kSequences; ++s) {
      caches.push_back(engine.cache(64, type));
      if (s > 0) engine.append(caches[s], std::span(texts[s]).first(3 * s));
    }
    std::vector<std::vector<float>> alone(kSequences);
    for (std::size_t s = 0; s < kSequences; ++s) {
      KvCache fresh = engine.cache(64, type);
      alone[s] = engine.append(fresh, texts[s]);
    }
    for (std::size_t pass = 0; pass < kPasses; ++pass) {
      std::vector<BatchToken> batch;
      for (std::size_t s = 0; s < kSequences; ++s)
        batch.push_back({&caches[s], texts[s][3 * s + pass], true});
      const auto together = engine.logits(batch);
      const std::size_t row = together.size() / kSequences;
      ASSERT_EQ(row, static_cast<std::size_t>(engine.model.hyperparameters().vocabulary));
      for (std::size_t s = 0; s < kSequences; ++s) {
        ASSERT_EQ(std::memcmp(together.data() + s * row, alone[s].data() + (3 * s + pass) * row,
                              row * sizeof(float)),
                  0)
            << "sequence " << s << ", pass " << pass << ", " << to_string(type) << " cache";
      }
    }
  }
}

/// Both branches of a fork go on as if each had been evaluated from its start, together and apart,
/// also when what they were forked from is gone.
TEST_P(TinyModel, BranchesOfAForkAreAsFreshSequences) {
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  Engine engine(tiny(GetParam() + std::string(".gguf")), 64, 64);
  const auto begin = std::span(tokens).first(36);
  const std::vector<std::int32_t> ends[] = {{7, 11, 13, 17, 19}, {23, 29, 31, 37, 41}};
  for (const CacheType type : kCacheTypes) {
    for (const std::size_t prefix : {0u, 1u, 15u, 16u, 17u, 33u, 36u}) {
      SCOPED_TRACE(fmt::format("{} positions of an {} cache", prefix, to_string(type)));
      const auto fresh = [&](const std::vector<std::int32_t>& end) {
        std::vector<std::int32_t> text(begin.begin(), begin.begin() + std::ptrdiff_t(prefix));
        text.insert(text.end(), end.begin(), end.end());
        KvCache cache = engine.cache(64, type);
        const auto all = engine.append(cache, text);
        const std::size_t row = all.size() / text.size();
        return std::vector<float>(all.begin() + std::ptrdiff_t(prefix * row), all.end());
      };
      std::optional<KvCache> root = engine.cache(64, type);
      engine.append(*root, begin);
      const auto length = static_cast<std::int64_t>(prefix);
      KvCache first = *root->fork(length);
      EXPECT_EQ(first.length(), length);
      EXPECT_EQ(first.capacity(), 64);
      EXPECT_EQ(first.type(), type);
      EXPECT_EQ(root->length(), 36);
      KvCache second = *first.fork(length);
      EXPECT_EQ(engine.append(first, ends[0]), fresh(ends[0]));
      root.reset();
      EXPECT_EQ(engine.append(second, ends[1]), fresh(ends[1]));
      // And in one batch, each from the other's branch.
      KvCache third = *second.fork(length), fourth = *first.fork(length);
      std::vector<BatchToken> batch;
      for (const std::int32_t token : ends[0]) batch.push_back({&third, token, true});
      for (const std::int32_t token : ends[1]) batch.push_back({&fourth, token, true});
      auto expected = fresh(ends[0]);
      const auto other = fresh(ends[1]);
      expected.insert(expected.end(), other.begin(), other.end());
      EXPECT_EQ(engine.logits(batch), expected);
    }
  }
}

/// The same with a prefix so long that forks are views of one image, after other text in the
/// sequence that they come from, and of a fork of theirs.
TEST_P(TinyModel, BranchesOfALongForkAreAsFreshSequences) {
  const auto some = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  const auto prefix = static_cast<std::size_t>(40 * sysconf(_SC_PAGESIZE) / 256 + 5);
  const auto capacity = static_cast<std::int64_t>(prefix + 64);
  Engine engine(tiny(GetParam() + std::string(".gguf")), capacity, capacity);
  std::vector<std::int32_t> text;
  for (std::size_t i = 0; i < prefix; ++i) text.push_back(some[i * i % some.size()]);
  const std::vector<std::int32_t> ends[] = {{7, 11, 13, 17, 19}, {23, 29, 31, 37, 41}, {43, 47}};
  for (const CacheType type : kCacheTypes) {
    SCOPED_TRACE(to_string(type));
    const auto fresh = [&](std::vector<std::int32_t> end) {
      KvCache cache = engine.cache(capacity, type);
      engine.append(cache, text);
      return engine.append(cache, end);
    };
    KvCache root = engine.cache(capacity, type);
    engine.append(root, text);
    KvCache first = *root.fork(root.length());
    EXPECT_EQ(first.shared_length(), root.length());
    root.truncate(root.length() / 2);
    engine.append(root, some);
    EXPECT_EQ(engine.append(first, ends[0]), fresh(ends[0]));
    KvCache second = *first.fork(static_cast<std::int64_t>(prefix));
    KvCache third = *first.fork(first.length());
    EXPECT_EQ(engine.append(second, ends[1]), fresh(ends[1]));
    std::vector<std::int32_t> both = ends[0];
    both.insert(both.end(), ends[2].begin(), ends[2].end());
    const auto expected = fresh(both);
    const auto end = engine.append(third, ends[2]);
    EXPECT_TRUE(std::equal(end.rbegin(), end.rend(), expected.rbegin()));
  }
}

/// More than the sequence holds is a mistake of the caller; a branch grows on its own.
TEST(KvCache, AForkTakesNoMoreThanThereIs) {
  Engine engine(tiny("llama-llama3.gguf"), 1, 1);
  KvCache cache = engine.cache(17);
  cache.extend(9);
  EXPECT_DEATH((void)cache.fork(10), "length_");
  EXPECT_DEATH((void)cache.fork(-1), "length");
  KvCache branch = *cache.fork(9);
  branch.extend(8);
  EXPECT_EQ(cache.length(), 9);
}

/// Nothing is left behind by a run: a cache that is used again gives the hundredth answer as the
/// first.
TEST_P(TinyModel, TheHundredthRunIsAsTheFirst) {
  const auto tokens = read_all<std::int32_t>(tiny(GetParam() + std::string(".tokens")));
  Engine engine(tiny(GetParam() + std::string(".gguf")), 32, 32);
  for (const CacheType type : {CacheType::f16, CacheType::q8_0}) {
    KvCache cache = engine.cache(64, type);
    const auto run = [&] {
      cache.truncate(0);
      auto all = engine.append(cache, std::span(tokens).first(29));
      for (std::size_t i = 29; i < 32; ++i) {
        const auto one = engine.append(cache, std::span(tokens).subspan(i, 1));
        all.insert(all.end(), one.begin(), one.end());
      }
      return all;
    };
    const auto first = run();
    for (int i = 2; i <= 100; i += test_stride())
      ASSERT_EQ(run(), first) << "run " << i << ", " << to_string(type) << " cache";
  }
}

void expect_refused(Engine& engine, std::vector<BatchToken> batch, const std::string& message) {
  const auto result = engine.executor.evaluate(batch);
  ASSERT_FALSE(result.ok()) << message;
  EXPECT_EQ(result.error().kind, ErrorKind::invalid);
  EXPECT_EQ(result.error().message, message);
}

TEST(Executor, ARefusedBatchChangesNothing) {
  Engine engine(tiny("llama-llama3.gguf"), 20, 2);
  KvCache cache = engine.cache(16);
  const BatchToken good{&cache, 5, true};
  const std::vector<BatchToken> start = {{&cache, 1, false}, {&cache, 2, false}};
  ASSERT_TRUE(engine.executor.evaluate(start).ok());
  expect_refused(engine, {}, "a batch of 0 tokens is not in 1..20");
  expect_refused(engine, std::vector<BatchToken>(21, good), "a batch of 21 tokens is not in 1..20");
  expect_refused(engine, {good, {&cache, 300, false}},
                 "token id 300 is not in the vocabulary of 300");
  expect_refused(engine, {good, {&cache, -1, false}},
                 "token id -1 is not in the vocabulary of 300");
  expect_refused(engine, std::vector<BatchToken>(15, {&cache, 5, false}),
                 "the context of 16 tokens is full");
  expect_refused(engine, {good, good, good}, "3 tokens ask for logits, at most 2 can");
  EXPECT_EQ(cache.length(), 2);
  const auto logits = engine.executor.evaluate(std::span(&good, 1));
  ASSERT_TRUE(logits.ok());
  const std::vector<float> after(logits->row(0).begin(), logits->row(0).end());
  Engine fresh(tiny("llama-llama3.gguf"), 20, 2);
  KvCache other = fresh.cache(16);
  const std::vector<BatchToken> whole = {{&other, 1, false}, {&other, 2, false}, {&other, 5, true}};
  const auto expected = fresh.executor.evaluate(whole);
  ASSERT_TRUE(expected.ok());
  EXPECT_EQ(after, std::vector<float>(expected->row(0).begin(), expected->row(0).end()));
}

/// A batch that wants no logits leaves the last product out: nothing of its plan may stay behind.
TEST(Executor, ThePoolOutlivesIt) {
  auto file = ModelFile::open(tiny("llama-yarn.gguf"));
  ASSERT_TRUE(file.ok());
  ThreadPool pool(2);
  auto model = Model::load(*file, {}, pool);
  ASSERT_TRUE(model.ok());
  auto cache = KvCache::create(model->hyperparameters(), 4);
  ASSERT_TRUE(cache.ok());
  {
    auto executor = Executor::create(*model, kernels_for(*select_isa()), pool, 4, 1);
    ASSERT_TRUE(executor.ok());
    ASSERT_TRUE(executor->evaluate(std::vector<BatchToken>{{&*cache, 1, false}}).ok());
  }
  std::atomic<int> ran{0};
  pool.run([&](int, int) { ++ran; });  // reads what is expected next: freed memory, were it kept
  EXPECT_EQ(ran, 2);
}

TEST(KvCache, BytesReadAreThoseOfTheWindow) {
  Hyperparameters h;
  h.layers = 6;
  h.key_value_heads = 2;
  h.head_size = 64;
  h.value_size = 32;
  EXPECT_EQ(KvCache::bytes_read(h, 99, CacheType::f16), 100 * 6 * 2 * (64 + 32) * 2);
  EXPECT_EQ(KvCache::bytes_read(h, 99, CacheType::q8_0), 100 * 6 * 2 * 3 * 34);
  h.sliding_window = 40;
  h.global_every = 3;
  EXPECT_EQ(KvCache::bytes_read(h, 99, CacheType::q8_0), (2 * 100 + 4 * 40) * 2 * 3 * 34);
  EXPECT_EQ(KvCache::bytes_read(h, 39, CacheType::q8_0), 6 * 40 * 2 * 3 * 34);
}

TEST(KvCache, BoundsAndLayout) {
  Engine engine(tiny("llama-llama3.gguf"), 1, 1);
  const Hyperparameters& h = engine.model.hyperparameters();
  for (const std::int64_t bad : {std::int64_t{0}, std::int64_t{-1}, (std::int64_t{1} << 30) + 1}) {
    const auto cache = KvCache::create(h, bad);
    ASSERT_FALSE(cache.ok()) << bad;
    EXPECT_EQ(cache.error().kind, ErrorKind::invalid);
    EXPECT_EQ(cache.error().message,
              fmt::format("a context of {} tokens is not in 1..1073741824", bad));
  }
  for (const CacheType type : kCacheTypes) {
    auto cache = KvCache::create(h, 17, type);
    ASSERT_TRUE(cache.ok());
    EXPECT_EQ(cache->capacity(), 17);
    EXPECT_EQ(cache->type(), type);
    // Of 16 elements; in 8 bits they take a whole group of 32 with its scale.
    const std::uint64_t row = type == CacheType::f16 ? 32 : type == CacheType::f32 ? 64 : 34;
    EXPECT_EQ(KvCache::bytes_for(h, 17, type), 32u * 2 * 2 * 2 * row);
    const auto* base = static_cast<const std::uint8_t*>(cache->keys(0, 0));
    EXPECT_EQ(static_cast<const std::uint8_t*>(cache->values(1, 1)) - base,
              static_cast<std::ptrdiff_t>(32 * (3 * 2 + 1) * row));
    cache->extend(17);
    cache->truncate(3);
    EXPECT_EQ(cache->length(), 3);
    EXPECT_DEATH(cache->truncate(4), "length_");
    EXPECT_DEATH(cache->extend(30), "capacity_");
  }
}

INSTANTIATE_TEST_SUITE_P(All, TinyModel, testing::ValuesIn(kModels), [](const auto& entry) {
  std::string name = entry.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace checkbit
