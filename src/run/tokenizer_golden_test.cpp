// Token for token the same as llama.cpp: tests/tokenizer/README.md says where the goldens come
// from.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "file/model_file.h"
#include "file/pull.h"
#include "run/tokenizer.h"
#include "run/tokenizer/utf8.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<TokenId>;

const fs::path kSource = CHECKBIT_SOURCE_DIR;
const fs::path kNasty = kSource / "tests/data/nasty_unicode.txt";

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> nasty_cases() {
  const std::string text = read(kNasty);
  const std::string separator = "\n---\n";
  std::vector<std::string> cases;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(separator, begin);
    cases.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return cases;
    begin = end + separator.size();
  }
}

/// FNV-1a over the ids as little-endian 32-bit numbers.
std::string hash_of(const Ids& ids) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const TokenId id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      hash = (hash ^ ((static_cast<std::uint32_t>(id) >> shift) & 0xFF)) * 0x100000001B3u;
    }
  }
  return fmt::format("{:016x}", hash);
}

struct Mode {
  const char* name;
  EncodeOptions options;
};
constexpr Mode kModes[] = {{"special", {true, true}}, {"plain", {false, false}}};

class TokenizerGolden : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto folder = models_folder();
    const std::string path = folder.ok() ? *folder + "/" + GetParam() + ".gguf" : "";
    if (!fs::exists(path)) GTEST_SKIP() << "model " << GetParam() << " is not pulled";
    const auto file = ModelFile::open(path);
    ASSERT_TRUE(file.ok()) << file.error().message;
    auto created = Tokenizer::create(file->metadata());
    ASSERT_TRUE(created.ok()) << created.error().message;
    tokenizer_ = std::make_unique<Tokenizer>(*std::move(created));
    const auto all =
        nlohmann::json::parse(read(kSource / "tests/data/tokenizer_golden.json"))["models"];
    golden_ = all[GetParam()];
    if (golden_.contains("same_as")) golden_ = all[golden_["same_as"].get<std::string>()];
  }
  std::unique_ptr<Tokenizer> tokenizer_;
  nlohmann::json golden_;
};

TEST_P(TokenizerGolden, NastyCases) {
  const std::vector<std::string> cases = nasty_cases();
  for (const Mode& mode : kModes) {
    const nlohmann::json& expected = golden_[mode.name]["cases"];
    ASSERT_EQ(expected.size(), cases.size());
    for (std::size_t i = 0; i < cases.size(); ++i) {
      EXPECT_EQ(tokenizer_->encode(cases[i], mode.options), expected[i].get<Ids>())
          << mode.name << " case " << i << ": " << cases[i];
    }
  }
}

TEST_P(TokenizerGolden, WholeTexts) {
  for (const Mode& mode : kModes) {
    std::size_t compared = 0;
    for (const auto& [name, expected] : golden_[mode.name]["texts"].items()) {
      const fs::path path =
          name == kNasty.filename() ? kNasty : kSource.parent_path() / "shared/data" / name;
      if (!fs::exists(path)) continue;
      const Ids ids = tokenizer_->encode(read(path), mode.options);
      EXPECT_EQ(ids.size(), expected["count"].get<std::size_t>()) << name << " " << mode.name;
      EXPECT_EQ(hash_of(ids), expected["hash"].get<std::string>()) << name << " " << mode.name;
      ++compared;
    }
    EXPECT_GE(compared, 1u);
  }
}

TEST_P(TokenizerGolden, DecodingIsTheInverseForValidText) {
  // smollm2's vocabulary lacks 21 bytes; texts with these control characters cannot come back.
  const auto lossy = [&](std::string_view text) {
    return tokenizer_->model_name() == "gpt2" && std::ranges::any_of(text, [&](char c) {
             return static_cast<unsigned char>(c) < 0x20 &&
                    tokenizer_->encode(std::string_view(&c, 1), {false, false}).empty();
           });
  };
  std::size_t compared = 0;
  for (const std::string& text : nasty_cases()) {
    const bool space_mark = text.find("\u2581") != std::string::npos;
    if (NormalizedText(text).bytes() != text || lossy(text)) continue;
    if (tokenizer_->model_name() == "llama" && space_mark) continue;
    const Ids ids = tokenizer_->encode(text, {true, true});
    EXPECT_EQ(tokenizer_->decode(tokenizer_->encode(text)), text);
    EXPECT_TRUE(tokenizer_->decode(ids, true).ends_with(text)) << text;  // after <bos>
    ++compared;
  }
  EXPECT_GE(compared, 70u);
}

TEST_P(TokenizerGolden, StreamingNeverGivesHalfACharacter) {
  for (const std::string& text : nasty_cases()) {
    if (NormalizedText(text).bytes() != text || NormalizedText(text).subject() != text) continue;
    Utf8Stream stream;
    std::string all;
    for (const TokenId id : tokenizer_->encode(text)) {
      const std::string part = stream.push(tokenizer_->piece(id));
      EXPECT_EQ(NormalizedText(part).bytes(), part) << text;
      all += part;
    }
    EXPECT_EQ(stream.flush(), "") << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TokenizerGolden,
                         ::testing::Values("smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b",
                                           "qwen2.5-coder-1.5b"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::ranges::replace_if(
                               name, [](char c) { return !std::isalnum(c); }, '_');
                           return name;
                         });

}  // namespace
}  // namespace checkbit
