// Checked products in whole models (docs/guard.md, "Exact checks"): the same logits, every check
// made, and no fault in weights, computation, activations or the checks' own sums unseen.

#include <gtest/gtest.h>
#include <xxhash.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "arch/executor.h"
#include "base/random.h"
#include "base/test_models.h"
#include "base/test_stride.h"

namespace checkbit {
namespace {

std::string data(const std::string& name) {
  return std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/" + name;
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string golden_hash(const std::string& model, const std::string& kind) {
  return nlohmann::json::parse(bytes_of(data("golden_logits.json")))
      .at("hashes")
      .at(model)
      .at(kind)
      .get<std::string>();
}

struct Setting {
  GuardLevel guard = GuardLevel::check;
  int threads = 2;
  std::int64_t chunk = 512;
  bool repack = true;
  ActivationMode activations = ActivationMode::int8;
  const Kernels* kernels = &kernels_for(*select_isa());
};

/// A tiny model under guard.
class Guarded {
 public:
  explicit Guarded(const std::string& name, const Setting& setting = {})
      : setting_(setting),
        pool_(setting.threads),
        file_(*ModelFile::open(data("tiny/" + name + ".gguf"))) {
    const std::string tokens = bytes_of(data("tiny/" + name + ".tokens"));
    tokens_.resize(tokens.size() / 4);
    std::memcpy(tokens_.data(), tokens.data(), tokens.size());
    model_ = std::make_unique<Model>(
        *Model::load(file_, {setting.repack, setting.activations, true, 12345}, pool_));
    restart();
  }
  /// A new executor and an empty sequence.
  void restart() {
    executor_ = std::make_unique<Executor>(*Executor::create(
        *model_, *setting_.kernels, pool_, setting_.chunk, setting_.chunk, setting_.guard));
    const CacheType type =
        setting_.activations == ActivationMode::f32 ? CacheType::f32 : CacheType::f16;
    cache_ = std::make_unique<KvCache>(*KvCache::create(
        model_->hyperparameters(), static_cast<std::int64_t>(tokens_.size()), type));
  }
  /// Of all tokens.
  Result<std::string> logits_hash() {
    std::vector<float> all;
    for (std::size_t at = 0; at < tokens_.size();) {
      const std::size_t n = std::min(tokens_.size() - at, static_cast<std::size_t>(setting_.chunk));
      std::vector<BatchToken> batch;
      for (std::size_t i = 0; i < n; ++i) batch.push_back({&*cache_, tokens_[at + i], true});
      CB_TRY(const LogitsView logits, executor_->evaluate(batch));
      for (std::int64_t r = 0; r < logits.rows; ++r)
        all.insert(all.end(), logits.row(r).begin(), logits.row(r).end());
      at += n;
    }
    return fmt::format("{:016x}", XXH3_64bits(all.data(), all.size() * sizeof(float)));
  }
  void flip(Role role, std::int64_t layer, std::size_t bit) {
    const auto bytes = model_->matrix(role, layer)->packed_from(0);
    auto* byte = const_cast<std::uint8_t*>(bytes.data()) + bit / 8;
    *byte = static_cast<std::uint8_t>(*byte ^ 1u << bit % 8);
  }
  Model& model() { return *model_; }
  Executor& executor() { return *executor_; }
  const GuardCounters& counters() const { return executor_->guard_counters(); }
  KvCache& cache() { return *cache_; }
  std::size_t tokens() const { return tokens_.size(); }

 private:
  Setting setting_;
  ThreadPool pool_;
  ModelFile file_;
  std::vector<std::int32_t> tokens_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<KvCache> cache_;
};

constexpr const char* kModel = "llama-llama3";

/// Products with one input are one check: four a layer and one for the logits, more where their
/// types ask for activations of several forms. A token at a time is among the tests below.
TEST(CheckedProducts, KeepTheGoldenHashAndMakeEveryCheck) {
  for (const char* name : {"llama-llama3", "qwen2-bias", "gemma3-window"}) {
    for (const GuardLevel level : {GuardLevel::check, GuardLevel::full}) {
      for (const auto& [threads, chunk, repack] : {std::tuple(1, 7, false), {2, 512, true}}) {
        SCOPED_TRACE(fmt::format("{} {} {} {} {}", name, to_string(level), threads, chunk, repack));
        Guarded guarded(name, {level, threads, chunk, repack});
        const auto hash = guarded.logits_hash();
        ASSERT_TRUE(hash.ok()) << hash.error().message;
        EXPECT_EQ(*hash, golden_hash(name, "int8"));
        const GuardCounters& c = guarded.counters();
        EXPECT_EQ(c.tokens, guarded.tokens());
        const auto layers = static_cast<std::uint64_t>(guarded.model().hyperparameters().layers);
        EXPECT_GE(c.checks + c.unchecked, guarded.tokens() * (4 * layers + 1));
        EXPECT_EQ(c.checks % guarded.tokens(), 0u);
        EXPECT_GT(c.checks, 0u);
        EXPECT_EQ(c.alarms + c.recomputed + c.repaired, 0u);
      }
    }
  }
}

TEST(CheckedProducts, OfFloatsAreCountedAsUncheckedAndWithFullMadeTwice) {
  Guarded guarded(kModel, {.guard = GuardLevel::full, .activations = ActivationMode::f32});
  EXPECT_EQ(*guarded.logits_hash(), golden_hash(kModel, "f32"));
  EXPECT_EQ(guarded.counters().checks, 0u);
  EXPECT_GT(guarded.counters().unchecked, 0u);
}

TEST(CheckedProducts, AFlippedWeightStopsTheRunAndLeavesTheSequence) {
  Guarded guarded(kModel);
  guarded.flip(Role::ffn_up, 1, 8 * 40 + 3);
  const auto failed = guarded.logits_hash();
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().kind, ErrorKind::corrupt);
  EXPECT_NE(failed.error().message.find("blk.1.ffn_up.weight stay wrong after 4 computations"),
            std::string::npos)
      << failed.error().message;
  EXPECT_EQ(guarded.cache().length(), 0);
  EXPECT_EQ(guarded.counters().recomputed, 3u);
  guarded.flip(Role::ffn_up, 1, 8 * 40 + 3);
  EXPECT_EQ(*guarded.logits_hash(), golden_hash(kModel, "int8"));
}

/// The bit is mended by whoever can; the logits are those of the unharmed run.
TEST(CheckedProducts, ARepairedWeightGivesTheRightLogits) {
  for (const std::int64_t chunk : {1, 512}) {
    Guarded guarded(kModel, {.chunk = chunk});
    const Role role = Role::ffn_down;
    guarded.flip(role, 0, 8 * 100 + 1);
    std::vector<std::string> asked;
    guarded.executor().set_weight_repair([&](std::span<const PackedMatrix* const> matrices) {
      for (const PackedMatrix* m : matrices) asked.push_back(m->name());
      guarded.flip(role, 0, 8 * 100 + 1);
      return true;
    });
    EXPECT_EQ(*guarded.logits_hash(), golden_hash(kModel, "int8"));
    EXPECT_EQ(asked, std::vector<std::string>{"blk.0.ffn_down.weight"});
    EXPECT_GT(guarded.counters().alarms, 0u);
    EXPECT_EQ(guarded.counters().recomputed, 2u);
    EXPECT_EQ(guarded.counters().repaired, 1u);
  }
}

// ---- faults of the computation, by kernels that fail once ----

enum class Fault { none, weight_bit, float_bit, skipped, always_skipped, activation };
std::atomic<Fault> fault;
std::atomic<int> calls_until_fault;

/// Whether this call is the one that fails.
bool fails(Fault kind) {
  if (fault != kind) return false;
  return kind == Fault::always_skipped || calls_until_fault.fetch_sub(1) == 0;
}

template <ProductKind kKind>
void failing_product(const ProductArguments& a) {
  const ProductKernel real = kernels_for(*select_isa()).products[static_cast<int>(kKind)];
  if (fails(Fault::weight_bit)) {
    // As if a register had held another weight.
    std::vector<std::uint8_t> panels(
        a.panels, a.panels + a.panel_bytes * static_cast<std::size_t>(a.n_panels));
    panels[panels.size() / 2] ^= 4;
    ProductArguments wrong = a;
    wrong.panels = panels.data();
    return real(wrong);
  }
  if (fails(Fault::skipped) || fails(Fault::always_skipped)) {
    ProductArguments unchecked = a;
    unchecked.check.sums = nullptr;
    return real(unchecked);
  }
  real(a);
  if (!fails(Fault::float_bit)) return;
  for (std::int64_t t = 0; t < a.n_tokens; ++t) a.y[t * a.y_stride] = -a.y[t * a.y_stride];
}

void failing_quantize(const QuantizeArguments& a) {
  kernels_for(*select_isa()).quantize_activations(a);
  if (fails(Fault::activation)) a.q[a.form.group * a.lane + 5] ^= 16;
}

const Kernels& failing_kernels() {
  static const Kernels kernels = [] {
    Kernels k = kernels_for(*select_isa());
#define CHECKBIT_PRODUCT(name, ...) \
  k.products[static_cast<int>(ProductKind::name)] = failing_product<ProductKind::name>;
#include "kernels/products.def"
#undef CHECKBIT_PRODUCT
    k.quantize_activations = failing_quantize;
    return k;
  }();
  return kernels;
}

/// The hash of a run whose n-th call fails as `kind` says.
GuardCounters run_with(Fault kind, int n, const Setting& setting, const std::string& expected) {
  SCOPED_TRACE(fmt::format("fault {} at call {}", static_cast<int>(kind), n));
  Setting failing = setting;
  failing.kernels = &failing_kernels();
  Guarded guarded(kModel, failing);
  fault = kind;
  calls_until_fault = n;
  const auto hash = guarded.logits_hash();
  fault = Fault::none;
  EXPECT_LT(calls_until_fault, 0) << "the fault did not happen";
  EXPECT_TRUE(hash.ok()) << hash.error().message;
  EXPECT_EQ(hash.ok() ? *hash : "", expected);
  return guarded.counters();
}

TEST(CheckedProducts, AFaultOfTheComputationIsMendedByAnother) {
  const std::string golden = golden_hash(kModel, "int8");
  for (const auto& [chunk, n] : {std::pair(1, 3), {512, 0}, {512, 17}}) {
    for (const Fault kind : {Fault::weight_bit, Fault::skipped, Fault::activation}) {
      const GuardCounters c = run_with(kind, n, {.chunk = chunk}, golden);
      EXPECT_GT(c.alarms, 0u);
      EXPECT_EQ(c.recomputed, 1u);
      EXPECT_EQ(c.repaired, 0u);
    }
  }
}

/// What comes after the integer sums is seen by `full` alone.
TEST(CheckedProducts, AFaultOfTheFloatsIsMendedByFull) {
  const std::string golden = golden_hash(kModel, "int8");
  for (const int n : {0, 5}) {
    const GuardCounters c = run_with(Fault::float_bit, n, {.guard = GuardLevel::full}, golden);
    EXPECT_GT(c.alarms, 0u);
    EXPECT_EQ(c.recomputed, 1u);
  }
  Guarded unseen(kModel, {.kernels = &failing_kernels()});
  fault = Fault::float_bit;
  calls_until_fault = 0;
  EXPECT_NE(*unseen.logits_hash(), golden);
  fault = Fault::none;
  EXPECT_EQ(unseen.counters().alarms, 0u);
}

TEST(CheckedProducts, KernelsThatNeverCheckFail) {
  Guarded guarded(kModel, {.kernels = &failing_kernels()});
  fault = Fault::always_skipped;
  const auto hash = guarded.logits_hash();
  fault = Fault::none;
  EXPECT_FALSE(hash.ok());
}

/// The sums themselves are in memory too: what is wrong there is made again from the file.
TEST(CheckedProducts, WrongColumnSumsAreMadeAgain) {
  Guarded guarded(kModel);
  auto& sums = const_cast<ColumnSums&>(guarded.model().matrix(Role::ffn_up, 0)->check_sums());
  sums.columns[7] ^= 1 << 20;
  guarded.restart();
  EXPECT_EQ(*guarded.logits_hash(), golden_hash(kModel, "int8"));
  EXPECT_GT(guarded.counters().alarms, 0u);
  EXPECT_EQ(guarded.counters().recomputed, 3u);
}

TEST(CheckedProducts, AskForTheSumsOfTheModel) {
  ThreadPool pool(1);
  const auto file = ModelFile::open(data("tiny/llama-llama3.gguf"));
  const auto model = Model::load(*file, {}, pool);
  const auto executor =
      Executor::create(*model, kernels_for(*select_isa()), pool, 4, 1, GuardLevel::check);
  ASSERT_FALSE(executor.ok());
  EXPECT_EQ(executor.error().kind, ErrorKind::invalid);
}

// ---- a real model ----

/// The sum of a panel's check for one token, and its rows.
struct PanelRun {
  std::uint32_t sum = 0;
  std::array<float, kPanelRows> y{};
};

/// 10,000 single flips drawn over the packed bytes: each that changes a row changes the check.
TEST(CheckedProducts, NoFlipInTheWeightsOfARealModelIsSilent) {
  const std::string path = pulled_model("smollm2-135m");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  ThreadPool pool(2);
  const auto file = ModelFile::open(path);
  const auto model = Model::load(*file, {.checks = true, .check_seed = 99}, pool);
  ASSERT_TRUE(model.ok()) << model.error().message;
  const Kernels& kernels = kernels_for(*select_isa());
  Random random(2026);
  std::vector<float> x(8192);
  for (float& v : x) v = random.uniform_float() - 0.5f;
  int changed = 0, silent = 0;
  for (int i = 0; i < 10000 / test_stride(); ++i) {
    const auto packed = model->packed_weights();
    auto* byte = const_cast<std::uint8_t*>(packed.data()) + random.below(packed.size());
    const PackedMatrix* matrix = nullptr;
    for (const PackedMatrix* m : model->matrices()) {
      const auto bytes = m->packed_from(0);
      if (byte >= bytes.data() && byte < bytes.data() + bytes.size()) matrix = m;
    }
    if (matrix == nullptr || !matrix->quantizes()) continue;
    const std::size_t panel_bytes =
        matrix->packed_bytes() / static_cast<std::size_t>(matrix->panels());
    const auto panel =
        (byte - matrix->packed_from(0).data()) / static_cast<std::ptrdiff_t>(panel_bytes);
    ActivationSets sets;
    sets.add(matrix->activation_form());
    std::vector<std::uint8_t> quantized(sets.bytes(matrix->columns(), 1));
    const QuantizedActivations to = sets.view(0, quantized.data(), matrix->columns(), 1);
    kernels.quantize_activations(
        {x.data(), matrix->columns(), sets.form(0), 1, 0, to.q, to.scales, to.starts, to.mins});
    std::vector<std::uint8_t> scratch(matrix->scratch_bytes());
    std::vector<float> y(static_cast<std::size_t>(matrix->panels() * kPanelRows));
    const auto run = [&] {
      PanelRun result;
      std::array<std::int32_t, 16> sums{};
      matrix->multiply_checked(kernels, {x.data(), 0, 1, to}, panel, panel + 1, y.data(), 0,
                               scratch.data(), sums.data());
      for (const std::int32_t s : sums) result.sum += static_cast<std::uint32_t>(s);
      std::memcpy(result.y.data(), y.data() + panel * kPanelRows, sizeof result.y);
      return result;
    };
    const PanelRun before = run();
    const auto bit = static_cast<std::uint8_t>(1u << random.below(8));
    *byte ^= bit;
    const PanelRun after = run();
    *byte ^= bit;
    const bool differs = std::memcmp(&before.y, &after.y, sizeof before.y) != 0;
    changed += differs;
    silent += differs && before.sum == after.sum;
  }
  EXPECT_EQ(silent, 0);
  EXPECT_GT(changed, 9000 / test_stride());
}

}  // namespace
}  // namespace checkbit
