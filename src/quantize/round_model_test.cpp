// Rounding whole tiny models: layer by layer is the same as all at once, files hold what was
// rounded, and what was measured can be kept and used again.

#include "quantize/round_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/progress.h"
#include "quantize/layer_walk.h"
#include "quantize/write_model.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string tiny(const std::string& name) {
  return std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + name + ".gguf";
}

std::vector<std::int32_t> some_text(std::size_t tokens) {
  std::vector<std::int32_t> text;
  for (std::size_t i = 0; i < tokens; ++i)
    text.push_back(static_cast<std::int32_t>(3 + (i * 37 + i * i) % 90));
  return text;
}

const Kernels& best_kernels() { return kernels_for(*select_isa()); }

/// What the matrices of a full pass read.
class AllInputs : public StepObserver {
 public:
  void before(const StepView& view) override {
    if (view.step.kind != StepKind::linear) return;
    std::vector<float>& values = inputs[{view.layer, view.step.weight}];
    for (std::int64_t t = 0; t < view.n_tokens; ++t)
      values.insert(values.end(), view.in + t * view.in_stride,
                    view.in + t * view.in_stride + view.in_size);
  }
  std::map<std::pair<std::int64_t, Role>, std::vector<float>> inputs;
};

TEST(LayerWalk, LayersOneByOneReadWhatTheyReadInOnePass) {
  for (const char* name : {"llama-yarn", "gemma3-window", "qwen2-bias", "qwen3-norms"}) {
    const auto file = ModelFile::open(tiny(name));
    ASSERT_TRUE(file.ok());
    ThreadPool pool(2);
    const auto model = Model::load(*file, {.repack = false}, pool);
    ASSERT_TRUE(model.ok());
    const std::vector<std::int32_t> text = some_text(40);
    auto executor = Executor::create(*model, best_kernels(), pool, 40, 40);
    auto cache = KvCache::create(model->hyperparameters(), 40);
    AllInputs all;
    std::vector<BatchToken> batch;
    for (const std::int32_t token : text) batch.push_back({&*cache, token, true});
    executor->add_observer(&all);
    ASSERT_TRUE(executor->evaluate(batch).ok());
    auto walk = LayerWalk::create(*model, best_kernels(), pool, text, 40);
    ASSERT_TRUE(walk.ok());
    const std::int64_t layers = model->hyperparameters().layers;
    for (std::int64_t layer = -1; layer <= layers; ++layer) {
      CaughtInputs inputs;
      ASSERT_TRUE(walk->step(layer, 0, true, &inputs).ok());
      for (const auto& [role, caught] : inputs)
        EXPECT_EQ(caught.values, (all.inputs[{layer == layers ? -1 : layer, role}]))
            << name << " layer " << layer << " " << role_info(role).name;
      EXPECT_EQ(inputs.size(),
                layer < 0 ? 0 : input_groups(model->architecture(), layer == layers).size());
    }
  }
}

class RoundModel : public ::testing::Test {
 protected:
  RoundModel() { fs::create_directories(folder_); }
  ~RoundModel() override {
    clear_cancel();
    fs::remove_all(folder_);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  static Result<RoundedModel> round(const ModelFile& file, const char* method, ThreadPool& pool,
                                    RoundModelOptions options = {}) {
    CB_TRY(const Plan plan, plan_recipe(file, "CB3", true, false));
    options.method = find_rounding(method);
    options.window_tokens = 64;
    const std::vector<std::int32_t> text = some_text(200);
    return round_model(file, plan, best_kernels(), pool, text, options);
  }

  fs::path folder_ = fs::temp_directory_path() /
                     ("checkbit_round_" +
                      std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
};

TEST_F(RoundModel, EveryMatrixThatIsMultipliedIsRoundedTheSameForAnyThreads) {
  ThreadPool one(1), three(3);
  for (const char* name : {"llama-yarn", "qwen2-bias"}) {
    const auto file = ModelFile::open(tiny(name));
    for (const char* method : {"feedback", "descent", "propagated"}) {
      const auto a = round(*file, method, one);
      const auto b = round(*file, method, three);
      ASSERT_TRUE(a.ok()) << a.error().message;
      ASSERT_TRUE(b.ok());
      EXPECT_EQ(a->tensors, b->tensors) << name << " " << method;
      for (const ModelTensor& tensor : file->tensors()) {
        if (tensor.info.rows() == 1 || !tensor.info.name.starts_with("blk.")) continue;
        EXPECT_TRUE(a->tensors.contains(tensor.info.name)) << tensor.info.name;
      }
      const bool tuned = a->tensors.contains("blk.0.attn_q.bias");
      EXPECT_EQ(tuned, std::string_view(name) == "qwen2-bias" && a->tensors.size() > 0 &&
                           std::string_view(method) == "propagated");
    }
  }
}

TEST_F(RoundModel, TheFileHoldsWhatWasRounded) {
  ThreadPool pool(2);
  const auto file = ModelFile::open(tiny("llama-yarn"));
  const auto plan = plan_recipe(*file, "CB3", true, false);
  const auto rounded = round(*file, "descent", pool);
  ASSERT_TRUE(rounded.ok());
  ASSERT_TRUE(write_model(*file, *plan, {.rounding = "descent"}, nullptr, path("out.gguf"), pool,
                          nullptr, &rounded->tensors)
                  .ok());
  const auto written = ModelFile::open(path("out.gguf"));
  ASSERT_TRUE(written.ok()) << written.error().message;
  for (const auto& [name, bytes] : rounded->tensors)
    EXPECT_TRUE(std::ranges::equal(written->find(name)->bytes, bytes)) << name;
  EXPECT_EQ(written->metadata().get_string("checkbit.receipt.rounding"), "descent");
}

TEST_F(RoundModel, MomentsThatWereKeptGiveTheSameBytes) {
  ThreadPool pool(2);
  const auto file = ModelFile::open(tiny("qwen2-bias"));
  const auto config = read_config(file->metadata());
  const std::vector<MomentsEntry> entries = moments_entries(*config);
  const MomentsInfo info = {.source_sha256 = "abc", .text_name = "some.txt", .tokens = 200};
  auto writer = MomentsWriter::create(path("moments.gguf"), entries, info, 3, 1 << 30);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  const auto direct = round(*file, "descent", pool, {.save = &*writer});
  ASSERT_TRUE(direct.ok());
  ASSERT_TRUE(writer->finish().ok());
  const auto kept = MomentsFile::open(path("moments.gguf"));
  ASSERT_TRUE(kept.ok()) << kept.error().message;
  EXPECT_TRUE(kept->check(entries, "abc").ok());
  EXPECT_EQ(kept->info().text_name, "some.txt");
  const auto again = round(*file, "descent", pool, {.saved = &*kept});
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(direct->tensors, again->tensors);
  // Its diagonal is what rounding column by column weighs with.
  const auto energies = energies_of(*kept, *config);
  ASSERT_TRUE(energies.ok());
  EXPECT_TRUE(energies->uses.contains("blk.0.attn_k.weight"));
  const auto other = kept->check(entries, "def");
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.error().message, HasSubstr("another model"));
  // Any cut is refused.
  std::ifstream in(path("moments.gguf"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  for (std::size_t size = 0; size < bytes.size(); size += 977) {
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    EXPECT_FALSE(MomentsFile::parse({data, size}, "cut.gguf").ok()) << size;
  }
}

TEST_F(RoundModel, TextThatIsTooShortIsRefusedBeforeAnyWork) {
  EXPECT_TRUE(check_rounding_text(kFewestTokens).ok());
  const Status status = check_rounding_text(5);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::invalid);
  EXPECT_THAT(status.error().message, HasSubstr("has 5 tokens"));
}

TEST_F(RoundModel, Cancelling) {
  ThreadPool pool(2);
  const auto file = ModelFile::open(tiny("llama-yarn"));
  request_cancel();
  const auto rounded = round(*file, "feedback", pool);
  ASSERT_FALSE(rounded.ok());
  EXPECT_EQ(rounded.error().message, cancelled_error().message);
}

TEST_F(RoundModel, LittleMemoryMeansBlocksOnTheDiagonal) {
  EXPECT_EQ(moment_block(4864, 3, std::uint64_t{1} << 30), 4864);
  EXPECT_EQ(moment_block(4864, 3, 80u << 20), 2560);
  EXPECT_EQ(moment_block(4864, 3, 0), 256);
  EXPECT_EQ(moment_block(100, 3, 0), 100);
}

}  // namespace
}  // namespace checkbit
