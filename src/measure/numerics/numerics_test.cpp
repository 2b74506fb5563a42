#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/float16.h"
#include "base/random.h"
#include "measure/numerics/conversion.h"
#include "measure/numerics/damaged_copy.h"
#include "measure/numerics/float_engine.h"
#include "measure/probes/session_model.h"

namespace checkbit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string tiny_model_path() {
  return std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-yarn.gguf";
}

// Written by tests/oracles/make_float_formats.py with numpy and ml_dtypes.
TEST(FloatFormat, RoundsAsNumpyDoesBitForBit) {
  const FloatFormat formats[] = {kBinary16, kBfloat16, kE5M2, kE4M3Fn, {4, 3}, {3, 4}};
  std::ifstream file(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/float_formats.txt");
  std::string line;
  int lines = 0;
  while (std::getline(file, line)) {
    ++lines;
    std::istringstream words(line);
    std::string word;
    words >> word;
    const float input =
        word == "nan"
            ? std::nanf("")
            : std::bit_cast<float>(static_cast<std::uint32_t>(std::stoul(word, nullptr, 16)));
    for (const FloatFormat& format : formats) {
      words >> word;
      const float rounded = round_to(format, input);
      if (word == "nan") {
        EXPECT_TRUE(std::isnan(rounded)) << to_string(format) << " of " << input;
      } else {
        EXPECT_EQ(std::bit_cast<std::uint32_t>(rounded), std::stoul(word, nullptr, 16))
            << to_string(format) << " of " << input;
      }
    }
  }
  EXPECT_GT(lines, 2000);
}

TEST(FloatFormat, Binary32IsTheIdentityAndHalvesAgreeWithTheEngine) {
  Random random(1);
  for (int i = 0; i < 200000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random.next());
    const float value = std::bit_cast<float>(bits);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(round_to({8, 23}, value)), bits);
    if (std::isnan(value)) continue;
    EXPECT_EQ(round_to(kBinary16, value), half_to_float(float_to_half(value))) << value;
    EXPECT_EQ(round_to(kBfloat16, value), bfloat16_to_float(float_to_bfloat16(value))) << value;
  }
}

TEST(FloatFormat, EveryWidthIsIdempotentMonotoneAndNearest) {
  for (int e = 2; e <= 8; ++e) {
    for (int m = 0; m <= 23; ++m) {
      const FloatFormat format{e, m};
      Random random(2, static_cast<std::uint64_t>(e * 32 + m));
      float before = -std::numeric_limits<float>::infinity();
      std::vector<float> values;
      for (int i = 0; i < 100; ++i)
        values.push_back(
            std::ldexp(random.uniform_float() - 0.5F, static_cast<int>(random.below(24)) - 12));
      std::sort(values.begin(), values.end());
      for (const float value : values) {
        const float rounded = round_to(format, value);
        EXPECT_EQ(round_to(format, rounded), rounded) << to_string(format);
        EXPECT_GE(rounded, before) << to_string(format);
        before = rounded;
        if (std::isinf(rounded)) continue;
        const float size = std::max(std::abs(value), format.smallest_normal());
        EXPECT_LE(std::abs(rounded - value), std::ldexp(size, -m - 1)) << to_string(format);
        EXPECT_EQ(std::signbit(rounded), std::signbit(value));
      }
      EXPECT_EQ(round_to(format, format.largest()), format.largest());
      const FloatFormat full{e, m, false, true};
      EXPECT_EQ(round_to(full, std::numeric_limits<float>::max()), full.largest());
    }
  }
}

TEST(FloatFormat, NamesGoBothWays) {
  for (const FloatFormat& format : {kBinary16, kE4M3Fn, FloatFormat{6, 9, false, true}})
    EXPECT_EQ(parse_float_format(to_string(format)), format);
  EXPECT_EQ(parse_float_format("bf16"), kBfloat16);
  for (const char* bad : {"", "e5", "e9m2", "e1m2", "e5m24", "m5e2", "e5m2x", "e4m-1", "e8m3fn"})
    EXPECT_FALSE(parse_float_format(bad)) << bad;
}

Result<FloatEngine> tiny_engine() {
  CB_TRY(const Session session, Session::open(tiny_model_path(), {.threads = 1}));
  return FloatEngine::open(session, 24);
}

TEST(FloatEngine, EmulationOfBinary32ChangesNothingAndNarrowOnesMore) {
  auto engine = tiny_engine();
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  auto text = engine->sample(2, 20, 1, nullptr);
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(*text, *engine->sample(2, 20, 1, nullptr)) << "sampling is seeded";
  EXPECT_NE(*text, *engine->sample(2, 20, 2, nullptr));
  const auto kept = KeptLogits::read(*engine, std::move(*text));
  ASSERT_TRUE(kept.ok());
  Emulation same(kBinary32);
  EXPECT_EQ(*kept->divergence(*engine, &same), 0);
  double before = 0;
  for (const int bits : {20, 7, 3, 1}) {
    Emulation narrow(FloatFormat{8, bits});
    const double divergence = *kept->divergence(*engine, &narrow);
    EXPECT_GT(divergence, before) << bits;
    before = divergence;
  }
  // One operation alone moves less than all, and leaving all alone is the identity.
  Emulation one(std::map<std::string, FloatFormat, std::less<>>{{"ffn_down", {8, 3}}});
  Emulation all(FloatFormat{8, 3});
  const double alone = *kept->divergence(*engine, &one);
  EXPECT_GT(alone, 0);
  EXPECT_LT(alone, *kept->divergence(*engine, &all));
  for (const std::string& name : operations_of(engine->model())) all.leave_alone(name);
  EXPECT_EQ(*kept->divergence(*engine, &all), 0);
}

/// A copy of the tiny model with one byte changed.
class Damaged {
 public:
  Damaged(const ModelFile& source, const std::string& tensor, std::size_t byte, std::uint8_t mask) {
    path_ = ::testing::TempDir() + "damaged.gguf";
    const auto all = source.parts()[0].bytes();
    std::vector<char> bytes(all.begin(), all.end());
    const ModelTensor* found = source.find(tensor);
    const auto at = static_cast<std::size_t>(found->bytes.data() - all.data()) + byte;
    bytes[at] = static_cast<char>(static_cast<std::uint8_t>(bytes[at]) ^ mask);
    std::ofstream(path_, std::ios::binary)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  ~Damaged() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Result<OutputCheck> steps_between(const std::string& source, const std::string& converted,
                                  const std::vector<TensorCheck>& tensors) {
  SessionOptions options{.threads = 1, .activations = ActivationMode::f32};
  options.context_tokens = 12;
  CB_TRY(Session before, Session::open(source, options));
  CB_TRY(Session after, Session::open(converted, options));
  const std::vector<TokenId> tokens = {1, 5, 9, 2, 7, 3, 8, 4};
  return check_steps(before, after, tokens, tensors);
}

TEST(Conversion, NamesTheTensorTheBlockAndTheStep) {
  const auto source = ModelFile::open(tiny_model_path());
  ASSERT_TRUE(source.ok());
  ThreadPool pool(1);
  const auto same = check_tensors(*source, *source, pool);
  ASSERT_TRUE(same.ok());
  for (const TensorCheck& check : *same) {
    EXPECT_EQ(check.state, TensorState::same) << check.name;
    EXPECT_EQ(check.relative_error, 0);
  }
  const auto clean = steps_between(tiny_model_path(), tiny_model_path(), *same);
  ASSERT_TRUE(clean.ok()) << clean.error().message;
  EXPECT_FALSE(clean->first_difference);
  EXPECT_EQ(clean->divergence, 0);
  EXPECT_GT(clean->steps, 10U);

  const std::string name = "blk.1.ffn_down.weight";
  const ModelTensor* tensor = source->find(name);
  ASSERT_NE(tensor, nullptr);
  const Format& format = *tensor->info.format;
  const std::size_t block = 3;
  // The last byte of a block holds weights (scales stand first), the high bit moves one far.
  const std::size_t byte = (block + 1) * static_cast<std::size_t>(format.block_bytes) - 1;
  const Damaged damaged(*source, name, byte, 0x40);
  const auto converted = ModelFile::open(damaged.path());
  ASSERT_TRUE(converted.ok()) << converted.error().message;
  const auto checks = check_tensors(*source, *converted, pool);
  ASSERT_TRUE(checks.ok());
  for (const TensorCheck& check : *checks) {
    if (check.name != name) {
      EXPECT_EQ(check.state, TensorState::same) << check.name;
      continue;
    }
    EXPECT_EQ(check.state, TensorState::damaged);
    EXPECT_EQ(check.damaged_units, 1U);
    const std::size_t unit = format.block_elements > 1 ? block : 0;
    EXPECT_EQ(check.first_damage->unit, unit);
    EXPECT_GT(check.first_damage->error, 0);
  }
  const auto outputs = steps_between(tiny_model_path(), damaged.path(), *checks);
  ASSERT_TRUE(outputs.ok()) << outputs.error().message;
  ASSERT_TRUE(outputs->first_difference);
  EXPECT_EQ(outputs->first_difference->name, "layer 1 ffn_down");
}

TEST(Conversion, MetadataDifferencesAreListed) {
  Metadata a;
  a.set("general.name", GgufValue::of(std::string("one")));
  a.set("general.file_type", GgufValue::of(std::uint32_t{1}));
  a.set("tokenizer.ggml.tokens", GgufValue::of(std::vector<std::string>{"x", "y"}));
  a.set("gone", GgufValue::of(true));
  Metadata b = a;
  EXPECT_TRUE(compare_metadata(a, b).empty());
  b.set("general.file_type", GgufValue::of(std::uint32_t{7}));
  b.set("checkbit.receipt.x", GgufValue::of(true));
  EXPECT_TRUE(compare_metadata(a, b).empty()) << "what a conversion may change";
  b.set("tokenizer.ggml.tokens", GgufValue::of(std::vector<std::string>{"x", "z"}));
  b.erase("gone");
  b.set("new", GgufValue::of(1.5F));
  const auto differences = compare_metadata(a, b);
  ASSERT_EQ(differences.size(), 3U);
  EXPECT_EQ(differences[0].key, "tokenizer.ggml.tokens");
  EXPECT_EQ(differences[1].key, "gone");
  EXPECT_EQ(differences[1].converted, "");
  EXPECT_EQ(differences[2].key, "new");
}

TEST(DamagedCopy, FlipsAtItsRateAndPutsBack) {
  const auto source = ModelFile::open(tiny_model_path());
  ASSERT_TRUE(source.ok());
  std::string path;
  {
    auto copy = DamagedCopy::create(*source);
    ASSERT_TRUE(copy.ok()) << copy.error().message;
    path = copy->path();
    const auto bits = static_cast<double>(copy->data_bits());
    const auto flips = copy->flip(0.001, 1, 1);
    ASSERT_TRUE(flips.ok());
    const double expected = 0.001 * bits;
    EXPECT_NEAR(static_cast<double>(*flips), expected, 5 * std::sqrt(expected));
    const auto read = [&] {
      std::ifstream file(path, std::ios::binary);
      return std::string(std::istreambuf_iterator<char>(file), {});
    };
    const auto whole = source->parts()[0].bytes();
    const std::string damaged = read();
    std::uint64_t differing = 0;
    for (std::size_t i = 0; i < whole.size(); ++i)
      differing += static_cast<std::uint64_t>(std::popcount(
          static_cast<std::uint8_t>(static_cast<std::uint8_t>(damaged[i]) ^ whole[i])));
    EXPECT_EQ(differing, *flips);
    ASSERT_TRUE(copy->restore().ok());
    EXPECT_EQ(std::memcmp(read().data(), whole.data(), whole.size()), 0);
  }
  EXPECT_FALSE(std::ifstream(path).good()) << "the copy is still there";
}

Result<ProbeResult> run_probe(std::string_view name, const std::string& model,
                              const std::string& reference) {
  CB_TRY(Session session, Session::open(model, {.threads = 1}));
  CB_TRY(Session other, Session::open(reference, {.threads = 1}));
  SessionModel subject(session);
  SessionModel source(other);
  return find_probe(name)->run({.subject = subject, .reference = &source, .limit = 12});
}

double value_of(const ProbeResult& result, std::string_view name) {
  const auto found = std::ranges::find(result.records, name, &Record::name);
  return found == result.records.end() ? std::nan("") : found->value;
}

TEST(NumericsProbes, PrecisionNeedsBitsAndNoMoreThanBinary32Has) {
  const auto result = run_probe("precision", tiny_model_path(), tiny_model_path());
  ASSERT_TRUE(result.ok()) << result.error().message;
  double most = 0;
  for (const Record& record : result->records) {
    EXPECT_TRUE(record.name.starts_with("probe_precision_")) << record.name;
    if (record.name.find("_bits_") == std::string::npos) continue;
    EXPECT_LE(record.value, record.name.find("mantissa") != std::string::npos ? 23 : 8);
    if (record.name.find("mantissa_bits") != std::string::npos) most = std::max(most, record.value);
  }
  const double together = value_of(*result, "probe_precision_mantissa_bits_all");
  EXPECT_GT(together, 0);
  EXPECT_GE(together, most) << "all operations together need as many bits as any alone";
  EXPECT_LT(value_of(*result, "probe_precision_divergence_fp16_all"),
            value_of(*result, "probe_precision_divergence_bf16_all"));
}

TEST(NumericsProbes, MismatchIsSmallerInFp16AndNothingBetweenPasses) {
  const auto result = run_probe("mismatch", tiny_model_path(), tiny_model_path());
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_GT(value_of(*result, "probe_mismatch_divergence_ratio"), 8);
  EXPECT_EQ(value_of(*result, "probe_mismatch_decode_and_prompt"), 0);
}

TEST(NumericsProbes, BitErrorRateLiesOnItsGrid) {
  const auto result = run_probe("bit_error_rate", tiny_model_path(), tiny_model_path());
  ASSERT_TRUE(result.ok()) << result.error().message;
  const double rate = value_of(*result, "probe_bit_error_rate_survived");
  EXPECT_GT(rate, 1e-7);
  EXPECT_LT(rate, 1e-2);
  EXPECT_GT(value_of(*result, "probe_bit_error_rate_trials"), 10);
}

TEST(NumericsProbes, ConverterGivesItsVerdict) {
  const auto same = run_probe("converter", tiny_model_path(), tiny_model_path());
  ASSERT_TRUE(same.ok()) << same.error().message;
  EXPECT_TRUE(same->verdict.ok());
  EXPECT_EQ(value_of(*same, "probe_converter_tensors_faulty"), 0);
  const auto source = ModelFile::open(tiny_model_path());
  const Damaged damaged(*source, "blk.0.ffn_gate.weight", 34 * 5 + 33, 0x40);  // Q8_0, block 5
  const auto result = run_probe("converter", damaged.path(), tiny_model_path());
  ASSERT_TRUE(result.ok()) << result.error().message;
  ASSERT_FALSE(result->verdict.ok());
  EXPECT_THAT(result->verdict.error().message,
              AllOf(HasSubstr("tensor blk.0.ffn_gate.weight block 5"),
                    HasSubstr("first differing step: layer 0 ffn_gate")));
}

}  // namespace
}  // namespace checkbit
