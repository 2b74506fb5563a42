// One answer on the real models: the hash of all logits of a prompt and of greedy tokens after it
// is the golden one, however it is computed.
//
// The models that are pulled are tested, the others are skipped. By default two ways each; with
// CHECKBIT_TEST_ALL (make test-identity) every instruction set with every number of threads and
// tokens at a time, packed and from the map.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/test_models.h"
#include "base/test_stride.h"
#include "run/session.h"

namespace checkbit {
namespace {

struct Way {
  Isa isa;
  int threads;
  std::int64_t batch_tokens;
  bool repack;
};

std::vector<Way> ways_to_run() {
  std::vector<Way> ways;
  if (std::getenv("CHECKBIT_TEST_ALL") == nullptr) {
    ways = {{*select_isa(), 2, 512, true}, {Isa::avx2, 3, 32, false}, {Isa::neon, 3, 32, false}};
  } else {
    for (const Isa isa : all_isas()) {
      for (const auto& [threads, batch, repack] :
           {std::tuple{1, 32, true}, {2, 512, true}, {3, 7, false}, {8, 1, true}}) {
        ways.push_back({isa, threads, batch, repack});
      }
    }
  }
  std::erase_if(ways, [](const Way& way) { return !machine_has(way.isa); });
  return ways;
}

nlohmann::json golden() {
  std::ifstream in(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/golden_models.json");
  return nlohmann::json::parse(in);
}

/// Hash of the logits of every prompt token and of `greedy` tokens after it.
std::string hash_of(const std::string& path, const Way& way, const std::string& prompt,
                    std::int64_t greedy) {
  ::setenv("CHECKBIT_ISA", std::string(to_string(way.isa)).c_str(), 1);
  SessionOptions options;
  options.threads = way.threads;
  options.batch_tokens = way.batch_tokens;
  options.max_logits = way.batch_tokens;
  options.repack = way.repack;
  options.context_tokens = 256;
  auto session = Session::open(path, options);
  ::unsetenv("CHECKBIT_ISA");
  if (!session) {
    ADD_FAILURE() << session.error().message;
    return "";
  }
  EXPECT_EQ(session->isa(), way.isa);
  LogitsHash hash;
  TokenId next = 0;
  const auto take = [&](std::size_t, std::span<const float> row) -> Status {
    hash.update(row);
    next = static_cast<TokenId>(std::ranges::max_element(row) - row.begin());
    return {};
  };
  const std::vector<TokenId> tokens = session->tokenizer().encode(prompt);
  EXPECT_TRUE(session->evaluate(tokens, Logits::all, take).ok());
  for (std::int64_t i = 0; i < greedy; ++i) {
    EXPECT_TRUE(session->evaluate({&next, 1}, Logits::last, take).ok());
  }
  return hash.hex();
}

class RealModel : public testing::TestWithParam<std::string> {};

TEST_P(RealModel, LogitsHaveTheGoldenHash) {
  const std::string path = pulled_model(GetParam());
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "not pulled: " << path;
  if (test_stride() > 1 && GetParam() != "smollm2-135m")
    GTEST_SKIP() << "one model is enough under a sanitizer";
  const auto expected = golden();
  for (const Way& way : ways_to_run()) {
    EXPECT_EQ(hash_of(path, way, expected.at("prompt").get<std::string>(),
                      expected.at("greedy_tokens").get<std::int64_t>()),
              expected.at("hashes").at(GetParam()).get<std::string>())
        << to_string(way.isa) << ", " << way.threads << " threads, " << way.batch_tokens
        << " tokens at a time" << (way.repack ? "" : ", from the map");
  }
}

/// Golden hashes change with the version of the numerics and with nothing else.
TEST(GoldenModels, BelongToThisVersionOfTheNumerics) {
  std::ifstream page(std::string(CHECKBIT_SOURCE_DIR) + "/docs/numerics.md");
  const std::string text((std::istreambuf_iterator<char>(page)), {});
  EXPECT_NE(text.find(fmt::format("Version {}.", golden().at("numerics_version").get<int>())),
            std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Catalogue, RealModel,
    testing::Values("smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"),
    [](const auto& entry) {
      std::string name = entry.param;
      std::ranges::replace_if(
          name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
      return name;
    });

}  // namespace
}  // namespace checkbit
