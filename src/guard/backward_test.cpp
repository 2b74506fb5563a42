#include "guard/backward.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "guard/critical_bits.h"

namespace checkbit {
namespace {

const char* const kTinyModels[] = {"llama-llama3", "gemma3-window", "qwen2-bias", "qwen3-norms"};
const std::vector<TokenId> kTokens = {1, 17, 5, 40, 23, 9, 31, 12, 3, 28, 44, 7};
const std::vector<TokenId> kTargets = {17, 5, 40, 23, 9, 31, 12, 3, 28, 44, 7, -1};

/// A copy of a tiny model, open with float activations, whose bytes can be changed.
class Copy {
 public:
  explicit Copy(const std::string& name)
      : path_((std::filesystem::temp_directory_path() /
               ("checkbit-backward-" + name + "-" + std::to_string(getpid()) + ".gguf"))
                  .string()) {
    const std::string source =
        std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + name + ".gguf";
    std::filesystem::copy_file(source, path_, std::filesystem::copy_options::overwrite_existing);
  }
  ~Copy() { std::filesystem::remove(path_); }
  Session open(int threads = 1) const {
    SessionOptions options;
    options.threads = threads;
    options.context_tokens = 64;
    options.max_logits = 64;
    options.repack = false;
    options.activations = ActivationMode::f32;
    Result<Session> session = Session::open(path_, options);
    EXPECT_TRUE(session.ok()) << (session.ok() ? "" : session.error().message);
    return *std::move(session);
  }
  /// XORs every `stride`th byte of a tensor, from `first` on, as many as `count` says.
  void change(const ModelFile& file, const ModelTensor& tensor, std::size_t first, int mask,
              std::size_t stride = 1, std::size_t count = 1) const {
    std::string bytes(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    for (std::size_t at = first; count > 0 && at < bytes.size(); at += stride, --count)
      bytes[at] = static_cast<char>(bytes[at] ^ mask);
    std::fstream stream(path_, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(tensor.bytes.data() - file.parts()[0].bytes().data());
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

 private:
  std::string path_;
};

std::vector<float> decoded(const ModelTensor& tensor) {
  std::vector<float> weights(tensor.info.elements());
  tensor.info.format->decode(
      tensor.bytes.data(),
      weights.size() / static_cast<std::size_t>(tensor.info.format->block_elements),
      weights.data());
  return weights;
}

const ModelTensor& tensor_of(const ModelFile& file, const MatrixGradient& gradient) {
  const ModelTensor* tensor =
      file.find(role_info(gradient.role).tensor_name(static_cast<int>(gradient.layer)));
  return tensor != nullptr ? *tensor : *file.find("token_embd.weight");
}

double loss_of(Session& session) {
  const auto loss = loss_and_gradient(session, kTokens, kTargets, nullptr);
  EXPECT_TRUE(loss.ok());
  return loss.ok() ? *loss : NAN;
}

// The gradient of every matrix against the loss computed again with the matrix's scales (or, of
// half floats, weights) changed by their low bits. No matrix may be left out.
TEST(Backward, GradientsAgreeWithTheLossComputedAgain) {
  for (const char* name : kTinyModels) {
    const Copy copy(name);
    Session session = copy.open();
    const ModelFile& file = session.file();
    struct Case {
      const ModelTensor* tensor;
      std::vector<float> gradient;
    };
    std::vector<Case> cases;
    const auto before =
        loss_and_gradient(session, kTokens, kTargets, [&](const MatrixGradient& gradient) {
          Case c{&tensor_of(file, gradient), {}};
          c.gradient.resize(static_cast<std::size_t>(gradient.rows * gradient.columns));
          for (std::int64_t r = 0; r < gradient.rows; ++r)
            gradient.row(r, c.gradient.data() + r * gradient.columns);
          cases.push_back(std::move(c));
        });
    ASSERT_TRUE(before.ok());
    const std::int64_t layers = session.model().hyperparameters().layers;
    EXPECT_EQ(static_cast<std::int64_t>(cases.size()), 7 * layers + 1) << name;
    for (const Case& c : cases) {
      if (c.tensor->info.name == "token_embd.weight") continue;  // tied: the input changes as well
      const std::vector<float> weights = decoded(*c.tensor);
      const Format& format = *c.tensor->info.format;
      const auto change_all = [&] {  // 2^-8 of a half's mantissa
        copy.change(file, *c.tensor, 0, 0x04, static_cast<std::size_t>(format.block_bytes),
                    c.tensor->bytes.size());
      };
      change_all();
      const std::vector<float> changed = decoded(*c.tensor);
      double predicted = 0;
      for (std::size_t i = 0; i < weights.size(); ++i)
        predicted += static_cast<double>(c.gradient[i]) * (changed[i] - weights[i]);
      const double measured = loss_of(session) - *before;
      change_all();
      EXPECT_NEAR(predicted, measured, 0.15 * std::abs(measured) + 3e-5)
          << name << " " << c.tensor->info.name;
      EXPECT_NE(predicted, 0) << name << " " << c.tensor->info.name;
    }
    EXPECT_EQ(loss_of(session), *before) << "the copy is as it was";
  }
}

// The list of bits must not depend on the machine: gradients are the same bits for any threads.
TEST(Backward, GradientsDoNotDependOnThreads) {
  const Copy copy("gemma3-window");
  std::vector<std::vector<float>> sums;
  for (const int threads : {1, 3}) {
    Session session = copy.open(threads);
    std::vector<float>& all = sums.emplace_back();
    const auto loss =
        loss_and_gradient(session, kTokens, kTargets, [&](const MatrixGradient& gradient) {
          std::vector<float> row(static_cast<std::size_t>(gradient.columns));
          for (std::int64_t r = 0; r < gradient.rows; r += 7) {
            gradient.row(r, row.data());
            all.insert(all.end(), row.begin(), row.end());
          }
        });
    EXPECT_TRUE(loss.ok());
  }
  EXPECT_EQ(sums[0], sums[1]);
}

// A search on a tiny model does more than the same number of random flips, and the loss it states
// is what the model has then.
TEST(CriticalBits, SearchBeatsRandomFlipsAndStatesWhatItDid) {
  const Copy copy("llama-yarn");
  Session session = copy.open();
  const ModelFile& file = session.file();
  const AttackTarget target = {
      .file = &file,
      .flip =
          [&](const BitSite& site) {
            copy.change(file, file.tensors()[site.tensor], site.offset, 1 << site.bit);
            return Status();
          },
      .loss = [&]() -> Result<double> { return loss_of(session); },
      .gradient =
          [&](const EachMatrix& each) {
            const auto loss = loss_and_gradient(session, kTokens, kTargets, each);
            return loss ? Status() : Status(loss.error());
          }};
  const double clean = loss_of(session);
  const auto bits = find_critical_bits(target, {.fields = BitFields::levels, .most_flips = 3});
  ASSERT_TRUE(bits.ok()) << bits.error().message;
  ASSERT_EQ(bits->size(), 3u);
  EXPECT_DOUBLE_EQ(loss_of(session), bits->back().loss);
  EXPECT_GT(bits->back().loss, clean);
  for (const CriticalBit& bit : *bits) {
    EXPECT_EQ(bit.field, BitField::levels);
    EXPECT_TRUE(target.flip(bit.site).ok());
  }
  EXPECT_EQ(loss_of(session), clean);
  for (std::uint64_t trial = 0; trial < 10; ++trial) {
    const std::vector<BitSite> drawn = draw_bits(file, BitFields::levels, 3, 1, trial);
    ASSERT_EQ(drawn.size(), 3u);
    EXPECT_EQ(drawn, draw_bits(file, BitFields::levels, 3, 1, trial));
    for (const BitSite& site : drawn) EXPECT_TRUE(target.flip(site).ok());
    EXPECT_LT(loss_of(session), bits->back().loss);
    for (const BitSite& site : drawn) EXPECT_TRUE(target.flip(site).ok());
  }
}

}  // namespace
}  // namespace checkbit
