// Damaged and strange models: tiny models with one thing changed must be refused with the right
// kind of error and a message that names the key or the tensor.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>

#include "arch/executor.h"
#include "file/gguf_writer.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

/// A model in memory, to be changed and written.
struct ModelBytes {
  GgufHeader header;
  std::vector<std::vector<std::uint8_t>> data;  ///< [tensors]

  Metadata& keys() { return header.metadata; }
  std::size_t index(const std::string& name) const {
    for (std::size_t i = 0; i < header.tensors.size(); ++i) {
      if (header.tensors[i].name == name) return i;
    }
    ADD_FAILURE() << "no tensor " << name;
    return 0;
  }
  void remove(const std::string& name) {
    const auto at = static_cast<std::ptrdiff_t>(index(name));
    header.tensors.erase(header.tensors.begin() + at);
    data.erase(data.begin() + at);
  }
  /// A copy of tensor `source` under another name.
  void add(const std::string& source, const std::string& name) {
    const std::size_t at = index(source);
    GgufTensor tensor = header.tensors[at];
    tensor.name = name;
    header.tensors.push_back(tensor);
    data.push_back(std::vector<std::uint8_t>(data[at]));
  }
  /// Another shape over the same bytes, or as many of them as it needs.
  void reshape(const std::string& name, std::vector<std::uint64_t> dimensions) {
    const std::size_t at = index(name);
    GgufTensor& tensor = header.tensors[at];
    tensor.dimensions = std::move(dimensions);
    tensor.size_bytes = tensor.rows() * tensor.row_bytes();
    data[at].resize(tensor.size_bytes);
  }
  void set_float(const std::string& name, std::size_t element, float value) {
    std::vector<std::uint8_t>& bytes = data[index(name)];
    ASSERT_LE((element + 1) * sizeof(value), bytes.size());
    std::memcpy(bytes.data() + element * sizeof(value), &value, sizeof(value));
  }
};

using Change = std::function<void(ModelBytes&)>;

class ModelConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "model_config_test_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  static ModelBytes read(const std::string& name) {
    const std::string path =
        std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + name + ".gguf";
    auto file = ModelFile::open(path);
    EXPECT_TRUE(file.ok()) << file.error().message;
    ModelBytes model;
    model.header = *parse_gguf(file->parts()[0].bytes(), path);
    for (const GgufTensor& tensor : model.header.tensors) {
      const auto bytes = file->find(tensor.name)->bytes;
      model.data.emplace_back(bytes.begin(), bytes.end());
    }
    return model;
  }

  void write(const ModelBytes& model) const {
    auto writer = GgufWriter::create(path(), model.header);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    for (std::size_t i = 0; i < model.data.size(); ++i) {
      ASSERT_TRUE(writer->append(i, model.data[i]).ok());
    }
    const auto finished = writer->finish();
    ASSERT_TRUE(finished.ok()) << finished.error().message;
  }

  std::string path() const { return folder_ / "changed.gguf"; }

  /// Everything that opening a model for a run does.
  Status open_changed(const std::string& name, const Change& change) const {
    ModelBytes changed = read(name);
    change(changed);
    write(changed);
    CB_TRY(const ModelFile file, ModelFile::open(path()));
    ThreadPool pool(1);
    CB_TRY(const Model model, Model::load(file, {}, pool));
    auto executor = Executor::create(model, kernels_for(Isa::scalar), pool, 4, 4);
    return executor ? Status() : Status(executor.error());
  }

  void expect_refused(const std::string& name, const Change& change, ErrorKind kind,
                      const std::string& what) const {
    const Status status = open_changed(name, change);
    ASSERT_FALSE(status.ok()) << name << " was not refused: " << what;
    EXPECT_EQ(to_string(status.error().kind), std::string(to_string(kind)))
        << status.error().message;
    EXPECT_THAT(status.error().message, HasSubstr(what));
  }
  void expect_corrupt(const std::string& name, const Change& change,
                      const std::string& what) const {
    expect_refused(name, change, ErrorKind::corrupt, what);
  }
  void expect_unsupported(const std::string& name, const Change& change,
                          const std::string& what) const {
    expect_refused(name, change, ErrorKind::unsupported, what);
  }
  void expect_opens(const std::string& name, const Change& change) const {
    const Status status = open_changed(name, change);
    EXPECT_TRUE(status.ok()) << name << ": " << status.error().message;
  }

 private:
  fs::path folder_;
};

template <class T>
Change set(const std::string& key, T value) {
  return [=](ModelBytes& model) { model.keys().set(key, GgufValue::of(value)); };
}
Change erase(const std::string& key) {
  return [=](ModelBytes& model) { model.keys().erase(key); };
}
Change set_float(const std::string& tensor, std::size_t element, float value) {
  return [=](ModelBytes& model) { model.set_float(tensor, element, value); };
}

const char* const kNeeded[] = {"block_count", "embedding_length", "feed_forward_length",
                               "context_length", "attention.head_count"};

/// Without this the refusals below could all come from the way the files are made.
TEST_F(ModelConfigTest, UnchangedCopiesOpen) {
  for (const char* name :
       {"llama-llama3", "llama-yarn", "qwen2-bias", "qwen3-norms", "gemma3-window"}) {
    expect_opens(name, [](ModelBytes&) {});
  }
}

TEST_F(ModelConfigTest, MissingKeys) {
  for (const std::string name : kNeeded) {
    expect_corrupt("llama-llama3", erase("llama." + name),
                   "metadata key llama." + name + " is missing");
    expect_corrupt("gemma3-window", erase("gemma3." + name),
                   "metadata key gemma3." + name + " is missing");
  }
  expect_corrupt("llama-llama3", erase("general.architecture"), "key general.architecture");
  // As many key-value heads as heads, then: the tensors say otherwise.
  expect_corrupt("llama-llama3", erase("llama.attention.head_count_kv"), "blk.0.attn_k.weight");
  expect_corrupt("qwen3-norms", erase("qwen3.attention.key_length"), "blk.0.attn_q.weight");
}

TEST_F(ModelConfigTest, ZeroAndHugeSizes) {
  for (const std::string name : kNeeded) {
    const std::string key = "llama." + name;
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{(1u << 24) + 1}, kMost}) {
      expect_corrupt("llama-llama3", set(key, value),
                     fmt::format("metadata key {} = {} is not in 1..16777216", key, value));
    }
    expect_unsupported("llama-llama3", set(key, std::vector<std::uint32_t>{2, 2}), key);
    expect_unsupported("llama-llama3", set(key, std::string("many")), key);
    expect_unsupported("llama-llama3", set(key, 2.5f), key);
  }
  for (const char* key : {"attention.head_count_kv", "attention.key_length",
                          "attention.value_length", "rope.dimension_count"}) {
    expect_corrupt("llama-llama3", set(std::string("llama.") + key, 0u), key);
    expect_corrupt("llama-llama3", set(std::string("llama.") + key, kMost), key);
  }
}

/// In range for a key, impossible for the file.
TEST_F(ModelConfigTest, LargestSizesDisagreeWithTheTensors) {
  constexpr std::uint32_t kLargest = 1u << 24;
  const auto expect_at = [&](const std::string& key, const std::string& what) {
    expect_corrupt("llama-llama3", set("llama." + key, kLargest), what);
  };
  expect_at("block_count", "metadata key llama.block_count = 16777216");
  expect_at("embedding_length", "tensor token_embd.weight has shape [300, 64]");
  expect_at("feed_forward_length", "tensor blk.0.ffn_gate.weight has shape [128, 64]");
  expect_at("attention.key_length", "tensor blk.0.attn_q.weight has shape [64, 64]");
  expect_at("attention.value_length", "tensor blk.0.attn_v.weight has shape [32, 64]");
  expect_at("rope.dimension_count", "llama.rope.dimension_count = 16777216 must be even");
  expect_unsupported("llama-llama3", set("llama.attention.head_count", kLargest),
                     "metadata key llama.attention.head_count makes heads with values of size 1");
  expect_unsupported("llama-llama3", set("llama.attention.head_count_kv", 3u),
                     "llama.attention.head_count_kv = 3");
  expect_corrupt("llama-llama3", set("llama.block_count", 3u), "tensor blk.2.");
  expect_unsupported("llama-llama3", set("llama.block_count", 1u), "tensor blk.1.");
  for (const std::uint32_t dimensions : {15u, 18u}) {
    expect_corrupt("llama-llama3", set("llama.rope.dimension_count", dimensions),
                   "metadata key llama.rope.dimension_count");
  }
}

TEST_F(ModelConfigTest, NumbersThatAreNone) {
  for (const float value : {kNan, kInfinity, -kInfinity, -1.0f, 1e13f}) {
    for (const std::string key :
         {"llama.attention.layer_norm_rms_epsilon", "llama.attention.scale", "llama.rope.freq_base",
          "llama.rope.scaling.factor", "llama.rope.scaling.attn_factor",
          "llama.rope.scaling.original_context_length", "llama.rope.scaling.yarn_beta_fast"}) {
      expect_corrupt("llama-yarn", set(key, value),
                     "metadata key " + key + " is not a number in 0..1e12");
    }
  }
  expect_corrupt("llama-yarn", set("llama.rope.freq_base", std::string("ten")),
                 "metadata key llama.rope.freq_base");
  for (const float value : {0.0f, 1.0f}) {
    expect_corrupt("llama-llama3", set("llama.rope.freq_base", value),
                   "metadata key llama.rope.freq_base");
  }
  expect_corrupt("llama-yarn", set("llama.rope.scaling.factor", 0.0f),
                 "metadata key llama.rope.scaling.factor");
}

TEST_F(ModelConfigTest, UnknownKeysOfTheFamily) {
  const auto expect_key = [&](const std::string& model, const std::string& key) {
    expect_unsupported(model, set(key, 1.5f), "metadata key " + key + " is not understood");
  };
  expect_key("llama-llama3", "llama.logit_scale");
  expect_key("llama-llama3", "llama.attention.sliding_window");
  expect_key("llama-llama3", "llama.");
  expect_key("qwen2-bias", "qwen2.rope.freq_base_swa");
  expect_key("qwen3-norms", "qwen3.final_logit_softcapping");
  expect_key("gemma3-window", "gemma3.attn_logit_softcapping");
  expect_unsupported("llama-llama3", set("llama.rope.scaling.type", std::string("longrope")),
                     "llama.rope.scaling.type = \"longrope\"");
  expect_corrupt("llama-yarn", set("llama.rope.scaling.type", 1u),
                 "metadata key llama.rope.scaling.type is not a string");
  expect_unsupported("llama-llama3", set("general.architecture", std::string("llama9")),
                     "architecture \"llama9\"");
  // Another family's keys do nothing.
  expect_opens("llama-llama3", set("qwen2.logit_scale", 1.5f));
}

TEST_F(ModelConfigTest, ExpertsAreRefused) {
  for (const std::string key :
       {"llama.expert_count", "llama.expert_used_count", "llama.expert_feed_forward_length"}) {
    expect_unsupported("llama-llama3", set(key, 8u), "metadata key " + key);
  }
  expect_unsupported("llama-llama3", set("llama.expert_count", std::string("two")),
                     "metadata key llama.expert_count");
  expect_opens("llama-llama3", set("llama.expert_count", 0u));
}

TEST_F(ModelConfigTest, WrongShapes) {
  const auto expect_shape = [&](const std::string& tensor, std::vector<std::uint64_t> dimensions,
                                const std::string& shape) {
    expect_corrupt(
        "llama-llama3", [=](ModelBytes& model) { model.reshape(tensor, dimensions); },
        "tensor " + tensor + " has shape " + shape);
  };
  expect_shape("blk.0.attn_q.weight", {128, 32}, "[32, 128]");
  expect_shape("blk.1.ffn_down.weight", {64, 128}, "[128, 64]");
  expect_shape("blk.1.ffn_down.weight", {128}, "[1, 128]");
  expect_shape("blk.0.attn_k.weight", {64, 31}, "[31, 64]");
  expect_shape("token_embd.weight", {32, 600}, "[600, 32]");
  expect_shape("blk.0.attn_norm.weight", {32, 2}, "[2, 32]");
  expect_shape("output_norm.weight", {63}, "[1, 63]");
  expect_shape("rope_freqs.weight", {7}, "[1, 7]");
}

TEST_F(ModelConfigTest, MissingTensors) {
  for (const char* name : {"qwen2-bias", "gemma3-window"}) {
    for (const GgufTensor& tensor : read(name).header.tensors) {
      if (tensor.name.starts_with("blk.") && !tensor.name.starts_with("blk.1.")) continue;
      expect_corrupt(
          name, [&](ModelBytes& model) { model.remove(tensor.name); },
          "tensor " + tensor.name + " is missing");
    }
  }
  for (const char* optional : {"rope_freqs.weight", "output.weight"}) {
    const bool factors = std::string_view(optional).starts_with("rope");
    expect_opens(factors ? "llama-llama3" : "llama-yarn",
                 [&](ModelBytes& model) { model.remove(optional); });
  }
}

TEST_F(ModelConfigTest, UnknownTensors) {
  for (const std::string name : {"blk.2.attn_norm.weight", "blk.0.attn_sinks.weight",
                                 "blk.0.attn_q_norm.weight", "blk.00.attn_norm.weight", "x"}) {
    expect_unsupported(
        "llama-llama3", [&](ModelBytes& model) { model.add("blk.0.attn_norm.weight", name); },
        "tensor " + name + " is not understood");
  }
}

TEST_F(ModelConfigTest, VectorsThatAreNotFinite) {
  for (const float value : {kNan, kInfinity, -kInfinity}) {
    for (const std::string name : {"blk.0.attn_norm.weight", "output_norm.weight"}) {
      expect_corrupt("llama-llama3", set_float(name, 7, value),
                     "tensor " + name + ": value 7 is not finite");
    }
    expect_corrupt("qwen2-bias", set_float("blk.1.attn_k.bias", 15, value),
                   "tensor blk.1.attn_k.bias: value 15 is not finite");
  }
}

TEST_F(ModelConfigTest, RotaryFactors) {
  for (const float value : {0.0f, 1e-30f, -1e-30f}) {
    expect_corrupt("llama-llama3", set_float("rope_freqs.weight", 3, value), "rope_freqs.weight");
  }
  expect_corrupt("llama-llama3", set_float("rope_freqs.weight", 0, kNan), "rope_freqs.weight");
}

TEST_F(ModelConfigTest, BasesAndWindowsOfGemma3) {
  for (const float value : {-10000.0f, 0.0f, 1.0f, 1e13f, kInfinity, kNan}) {
    expect_corrupt("gemma3-window", set("gemma3.rope.freq_base_swa", value),
                   "gemma3.rope.freq_base_swa");
  }
  for (const std::string key : {"sliding_window", "sliding_window_pattern"}) {
    expect_corrupt("gemma3-window", set("gemma3.attention." + key, kMost),
                   "gemma3.attention.sliding_window");
  }
  expect_unsupported("gemma3-window",
                     set("gemma3.attention.sliding_window_pattern", std::string("LLG")),
                     "gemma3.attention.sliding_window_pattern");
  expect_unsupported("gemma3-window", set("gemma3.attention.sliding_window", 16.0f),
                     "gemma3.attention.sliding_window");
}

/// A value of the wrong kind is not the same as none: the model would run with another result.
TEST_F(ModelConfigTest, NumbersOfGemma3ThatAreNone) {
  for (const std::string key : {"gemma3.final_logit_softcapping", "gemma3.rope.freq_base_swa"}) {
    for (const float value : {kNan, kInfinity, -1.0f})
      expect_corrupt("gemma3-window", set(key, value), "metadata key " + key);
    expect_corrupt("gemma3-window", set(key, std::string("30")), "metadata key " + key);
    expect_corrupt("gemma3-window", set(key, true), "metadata key " + key);
    expect_opens("gemma3-window", set(key, 30u));
  }
}

}  // namespace
}  // namespace checkbit
