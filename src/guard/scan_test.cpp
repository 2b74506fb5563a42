#include "guard/scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/bytes.h"
#include "base/random.h"
#include "base/test_models.h"
#include "base/test_stride.h"
#include "file/gguf_writer.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kRows = 512;
constexpr std::uint64_t kColumns = 512;

/// Weights as of a model: normal, with rows and columns that are larger than the others.
std::vector<float> make_weights() {
  Random random(7);
  std::vector<float> weights(kRows * kColumns);
  for (std::uint64_t r = 0; r < kRows; ++r) {
    const float row = r % 37 == 0 ? 4.0f : 1.0f;
    for (std::uint64_t c = 0; c < kColumns; ++c) {
      const float column = c % 101 == 0 ? 5.0f : 1.0f;
      const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
      const double angle = 6.283185307179586 * random.uniform();
      weights[r * kColumns + c] =
          0.02f * row * column * static_cast<float>(radius * std::cos(angle));
    }
  }
  return weights;
}

std::vector<std::uint8_t> encode(const Format& format, const std::vector<float>& weights) {
  const std::size_t blocks = weights.size() / static_cast<std::size_t>(format.block_elements);
  std::vector<std::uint8_t> bytes(blocks * static_cast<std::size_t>(format.block_bytes));
  format.encode(weights.data(), blocks, nullptr, bytes.data());
  return bytes;
}

/// A file of one tensor "w".
class OneTensor {
 public:
  OneTensor(const Format& format, std::span<const std::uint8_t> bytes)
      : path_(
            (std::filesystem::temp_directory_path() / ("checkbit-scan-" + std::to_string(getpid()) +
                                                       "-" + std::to_string(++count_) + ".gguf"))
                .string()) {
    GgufHeader header;
    header.metadata.set("general.architecture", GgufValue::of(std::string("none")));
    GgufTensor tensor;
    tensor.name = "w";
    tensor.dimensions = {kColumns, kRows};
    tensor.format = &format;
    tensor.size_bytes = bytes.size();
    header.tensors.push_back(tensor);
    Result<GgufWriter> writer = GgufWriter::create(path_, header);
    EXPECT_TRUE(writer.ok() && writer->append(0, bytes).ok() && writer->finish().ok());
    Result<ModelFile> file = ModelFile::open(path_);
    EXPECT_TRUE(file.ok()) << file.error().message;
    file_.emplace(*std::move(file));
  }
  ~OneTensor() { std::filesystem::remove(path_); }
  const ModelFile& file() const { return *file_; }

 private:
  static inline int count_ = 0;
  std::string path_;
  std::optional<ModelFile> file_;
};

ScanReport scan(const ModelFile& model, const ModelFile* original = nullptr) {
  ThreadPool pool(1);
  Result<ScanReport> report = scan_model(model, original, pool);
  EXPECT_TRUE(report.ok());
  return report.ok() ? *std::move(report) : ScanReport();
}

std::string seen(const ScanReport& report) {
  std::string text;
  for (const ScanFinding& f : report.findings)
    text += fmt::format("{} at {}: {}\n", scan_check_name(f.check), f.offset, f.detail);
  return text;
}

bool has(const ScanReport& report, ScanCheck check, std::uint64_t offset) {
  return std::ranges::any_of(report.findings, [&](const ScanFinding& f) {
    return f.check == check && f.offset == offset;
  });
}

TEST(Scan, EveryCheckHasANameAndAMeaning) {
  for (int check = 0; check < kScanCheckCount; ++check) {
    EXPECT_FALSE(scan_check_name(static_cast<ScanCheck>(check)).empty());
    EXPECT_FALSE(scan_check_meaning(static_cast<ScanCheck>(check)).empty());
  }
}

// Our encoders' own output, alone and against what it was made of, for every type.
TEST(Scan, HonestQuantizationsOfAllTypesAreClean) {
  const std::vector<float> weights = make_weights();
  const OneTensor original(*find_format("F32"), encode(*find_format("F32"), weights));
  for (const char* name : {"Q4_0", "Q5_1", "Q8_0", "Q2_K", "Q4_K", "CB3"}) {
    const Format& format = *find_format(name);
    const OneTensor model(format, encode(format, weights));
    EXPECT_EQ(seen(scan(model.file())), "") << name;
    EXPECT_EQ(seen(scan(model.file(), &original.file())), "") << name;
  }
  EXPECT_EQ(seen(scan(original.file())), "");
}

TEST(Scan, AHighExponentBitOfAScaleIsFoundWhereItIs) {
  const std::vector<float> weights = make_weights();
  for (const char* name : {"Q4_0", "Q8_0", "Q4_K", "Q6_K"}) {
    const Format& format = *find_format(name);
    std::vector<std::uint8_t> bytes = encode(format, weights);
    const std::uint64_t block = 777;
    const std::uint64_t start = block * static_cast<std::uint64_t>(format.block_bytes);
    const std::uint64_t scale = std::string(name) == "Q6_K" ? start + 208 : start;
    bytes[scale + 1] ^= 0x40;  // times 2^16
    const OneTensor model(format, bytes);
    const ScanReport report = scan(model.file());
    ASSERT_TRUE(has(report, ScanCheck::absurd_scale, start)) << name << seen(report);
    EXPECT_EQ(report.findings.front().row, block * format.block_elements / kColumns);
  }
}

TEST(Scan, InfinityIsFoundWhereItIs) {
  std::vector<std::uint8_t> bytes = encode(*find_format("Q8_0"), make_weights());
  bytes[34 * 100] = 0;
  bytes[34 * 100 + 1] = 0x7c;
  const OneTensor model(*find_format("Q8_0"), bytes);
  EXPECT_TRUE(has(scan(model.file()), ScanCheck::not_finite, 34 * 100));
}

TEST(Scan, AFlippedSignOfAScaleBreaksTheTensorsOwnRule) {
  std::vector<std::uint8_t> bytes = encode(*find_format("Q4_1"), make_weights());
  bytes[20 * 4321 + 1] ^= 0x80;
  const OneTensor model(*find_format("Q4_1"), bytes);
  const ScanReport report = scan(model.file());
  EXPECT_TRUE(has(report, ScanCheck::encoder_rule, 20 * 4321)) << seen(report);
}

TEST(Scan, ABlockThatIsNoRoundingOfTheOriginalIsNamed) {
  const std::vector<float> weights = make_weights();
  std::vector<std::uint8_t> bytes = encode(*find_format("Q4_0"), weights);
  bytes[18 * 5000 + 2] ^= 0xff;  // two levels turned over: no rule broken, nothing absurd
  bytes[18 * 5000 + 3] ^= 0xff;
  bytes[18 * 5000 + 4] ^= 0xff;
  const OneTensor original(*find_format("F32"), encode(*find_format("F32"), weights));
  const OneTensor model(*find_format("Q4_0"), bytes);
  const ScanReport report = scan(model.file(), &original.file());
  EXPECT_TRUE(has(report, ScanCheck::not_rounding, 18 * 5000)) << seen(report);
  EXPECT_EQ(report.counts[static_cast<int>(ScanCheck::not_rounding)], 1u);
}

/// Carries every `one_in`th weight that is near a turning point of Q4_0 just over it.
std::vector<float> craft(std::vector<float> weights, std::size_t one_in) {
  const Format& format = *find_format("Q4_0");
  const std::vector<std::uint8_t> bytes = encode(format, weights);
  std::size_t seen = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    IntegerBlock block;
    format.unpack(bytes.data() + i / 32 * 18, block);
    const float step = block.scale[0];
    const int q = block.q[i % 32];
    const float off = weights[i] / step - static_cast<float>(q - 8);
    if (std::abs(off) < 0.25f || std::abs(off) > 0.5f || q < 2 || q > 13 || ++seen % one_in != 0)
      continue;
    weights[i] = step * (static_cast<float>(q - 8) + std::copysign(0.52f, off));
  }
  return weights;
}

// Too few for any tensor's own histogram: all tensors together show them.
TEST(Scan, ACrowdOfAFewWeightsIsSeenInAllTensorsTogether) {
  PositionHistogram blurred;
  for (std::uint64_t& bin : blurred.bins) bin = 250000;
  blurred.weights = 64 * 250000;
  PositionHistogram crafted = blurred;
  EXPECT_FALSE(judge_pooled(crafted, blurred).crafted);
  crafted.bins[61] += 8000;  // 0.05 % of the weights
  EXPECT_TRUE(judge_pooled(crafted, blurred).crafted);
  EXPECT_NEAR(judge_pooled(crafted, blurred).position, 0.48, 0.005);
  EXPECT_FALSE(judge_positions(crafted, blurred).crafted);
}

TEST(Scan, WeightsCraftedToTurnOverWhenQuantizedAreFound) {
  const Format& plain = *find_format("F32");
  for (const std::size_t one_in : {2, 20}) {
    const OneTensor model(plain, encode(plain, craft(make_weights(), one_in)));
    const ScanReport report = scan(model.file());
    ASSERT_GT(report.counts[static_cast<int>(ScanCheck::crafted)], 0u) << one_in;
    EXPECT_THAT(report.findings.front().detail, ::testing::HasSubstr("Q4_0"));
  }
  // And the pair of what was crafted and what it became.
  const std::vector<float> weights = craft(make_weights(), 4);
  const OneTensor original(plain, encode(plain, weights));
  const OneTensor model(*find_format("Q4_0"), encode(*find_format("Q4_0"), weights));
  EXPECT_GT(scan(model.file(), &original.file()).counts[static_cast<int>(ScanCheck::crafted)], 0u);
}

// Positions of weights that were quantized before are spikes by nature: said, and not judged.
TEST(Scan, WeightsQuantizedBeforeAreNoCrafting) {
  for (const char* name : {"Q8_0", "Q4_1", "Q6_K"}) {
    const Format& format = *find_format(name);
    const std::vector<std::uint8_t> bytes = encode(format, make_weights());
    std::vector<float> weights(kRows * kColumns);
    format.decode(bytes.data(), weights.size() / format.block_elements, weights.data());
    for (const char* stored : {"F32", "F16"}) {
      const OneTensor model(*find_format(stored), encode(*find_format(stored), weights));
      const ScanReport report = scan(model.file());
      EXPECT_EQ(seen(report), "") << name;
      EXPECT_TRUE(report.tensors[0].positions.at(0).on_lattice) << name << " as " << stored;
    }
  }
}

// False alarms: the pulled models as they are.
TEST(Scan, PulledModelsAreClean) {
  if (test_stride() > 1) GTEST_SKIP() << "too slow under a sanitizer";
  const std::string path = pulled_model("smollm2-135m");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there: checkbit pull";
  const Result<ModelFile> model = ModelFile::open(path);
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(seen(scan(*model)), "");
}

}  // namespace
}  // namespace checkbit
