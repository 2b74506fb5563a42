// One answer on the real models: the hash of all logits of a prompt and of greedy tokens after it
// is the golden one, however it is computed.
//
// The models that are pulled are tested, the others are skipped. By default two ways each; with
// CHECKBIT_TEST_ALL (make test-identity) every instruction set with every number of threads and
// tokens at a time, packed and from the map, beside 15 other sequences, after a forked prefix, and
// a hundred times over; each for every kind of run that has bits of its own.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/test_models.h"
#include "base/test_stride.h"
#include "run/session.h"

namespace checkbit {
namespace {

/// What may not change a bit.
struct Way {
  Isa isa = Isa::scalar;
  int threads = 2;
  std::int64_t batch_tokens = 32;
  bool repack = true;
};

std::ostream& operator<<(std::ostream& out, const Way& way) {
  return out << to_string(way.isa) << ", " << way.threads << " threads, " << way.batch_tokens
             << " tokens at a time" << (way.repack ? "" : ", from the map");
}

/// What has bits of its own, by the names of golden_models.json.
struct Kind {
  std::string name;
  ActivationMode activations = ActivationMode::int8;
  CacheType cache_type = CacheType::f16;
};

bool test_all() { return std::getenv("CHECKBIT_TEST_ALL") != nullptr; }

/// Every value of every setting meets every instruction set; which go together differs from one to
/// the next.
std::vector<Way> all_ways() {
  constexpr int kThreads[] = {1, 2, 3, 8};
  constexpr std::int64_t kBatches[] = {1, 7, 32, 512};
  std::vector<Way> ways;
  std::size_t turn = 0;
  for (const Isa isa : all_isas()) {
    if (!machine_has(isa)) continue;
    for (std::size_t i = 0; i < std::size(kThreads); ++i) {
      const std::size_t batch = (i + turn) % std::size(kBatches);
      ways.push_back({isa, kThreads[i], kBatches[batch], (i + turn / 2) % 2 == 0});
    }
    ++turn;
  }
  return ways;
}

std::vector<Way> some_ways() {
  std::vector<Way> ways = {
      {*select_isa(), 2, 512, true}, {Isa::avx2, 3, 32, false}, {Isa::neon, 3, 32, false}};
  std::erase_if(ways, [](const Way& way) { return !machine_has(way.isa); });
  return ways;
}

struct Golden {
  nlohmann::json json;
  std::string prompt;
  std::string company;
  std::int64_t greedy_tokens;

  Golden() {
    std::ifstream in(std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/golden_models.json");
    json = nlohmann::json::parse(in);
    prompt = json.at("prompt").get<std::string>();
    company = json.at("company").get<std::string>();
    greedy_tokens = json.at("greedy_tokens").get<std::int64_t>();
  }
  std::string hash(const std::string& model, const Kind& kind) const {
    return json.at("hashes").at(model).at(kind.name).get<std::string>();
  }
};

const Golden& golden() {
  static const Golden read;
  return read;
}

const Kind kKinds[] = {{"int8"},
                       {"int8, q8_0 cache", ActivationMode::int8, CacheType::q8_0},
                       {"f32", ActivationMode::f32, CacheType::f32}};

constexpr std::size_t kCompany = 15;  ///< sequences beside the one that is looked at

/// A model opened in one way.
class Run {
 public:
  static std::optional<Run> open(const std::string& path, const Kind& kind, const Way& way) {
    ::setenv("CHECKBIT_ISA", std::string(to_string(way.isa)).c_str(), 1);
    SessionOptions options;
    options.threads = way.threads;
    options.batch_tokens = way.batch_tokens;
    options.max_logits = way.batch_tokens;
    options.repack = way.repack;
    options.activations = kind.activations;
    options.cache_type = kind.cache_type;
    options.context_tokens = 256;
    auto session = Session::open(path, options);
    ::unsetenv("CHECKBIT_ISA");
    if (!session) {
      ADD_FAILURE() << session.error().message;
      return {};
    }
    EXPECT_EQ(session->isa(), way.isa);
    return Run(std::move(*session));
  }

  /// The prompt from an empty cache, then greedy tokens.
  std::string alone() {
    start();
    evaluate(prompt_);
    for (std::int64_t i = 0; i < golden().greedy_tokens; ++i) evaluate({next_});
    return hash_.hex();
  }

  /// The first half of the prompt, a fork of it, other text in the sequence it came from, and the
  /// rest in the fork.
  std::string after_a_fork() {
    start();
    const auto half = prompt_.begin() + std::ssize(prompt_) / 2;
    evaluate({prompt_.begin(), half});
    KvCache branch = *session_.cache().fork(session_.cache().length());
    std::swap(session_.cache(), branch);  // `branch` is where the prompt began
    append(branch, company_, false);
    evaluate({half, prompt_.end()});
    for (std::int64_t i = 0; i < golden().greedy_tokens; ++i) evaluate({next_});
    return hash_.hex();
  }

  /// The last token of the prompt and the greedy ones in passes that 15 other sequences share, of
  /// other texts and at other positions.
  std::string in_company() {
    start();
    evaluate({prompt_.begin(), prompt_.end() - 1});
    KvCache root = *session_.cache().fork(0);
    append(root, {company_.begin(), company_.begin() + kCompany}, false);
    std::vector<KvCache> others;
    for (std::size_t i = 0; i < kCompany; ++i)
      others.push_back(*root.fork(static_cast<std::int64_t>(i)));
    next_ = prompt_.back();
    for (std::int64_t pass = 0; pass <= golden().greedy_tokens; ++pass) {
      std::vector<BatchToken> batch;
      for (std::size_t i = 0; i < kCompany; ++i) {
        const std::size_t at = (3 * i + static_cast<std::size_t>(pass) + 1) % company_.size();
        batch.push_back({&others[i], company_[at], i % 4 == 0});
      }
      // Ours stands among them, elsewhere in each pass.
      const std::int64_t place = 5 * pass % 16;
      batch.insert(batch.begin() + place, {&session_.cache(), next_, true});
      const auto before = std::count_if(batch.begin(), batch.begin() + place,
                                        [](const BatchToken& b) { return b.wants_logits; });
      const auto logits = session_.executor().evaluate(batch);
      EXPECT_TRUE(logits.ok()) << logits.error().message;
      if (!logits) return "";
      take(logits->row(before));
    }
    return hash_.hex();
  }

 private:
  explicit Run(Session session)
      : session_(std::move(session)),
        prompt_(session_.tokenizer().encode(golden().prompt)),
        company_(session_.tokenizer().encode(golden().company)) {}

  void start() {
    session_.cache().truncate(0);
    hash_ = LogitsHash();
  }
  void take(std::span<const float> row) {
    hash_.update(row);
    next_ = static_cast<TokenId>(std::ranges::max_element(row) - row.begin());
  }
  void evaluate(const std::vector<TokenId>& tokens) {
    const auto status =
        session_.evaluate(tokens, Logits::all, [&](std::size_t, auto row) -> Status {
          take(row);
          return {};
        });
    EXPECT_TRUE(status.ok()) << status.error().message;
  }
  void append(KvCache& sequence, const std::vector<TokenId>& tokens, bool wants_logits) {
    for (const TokenId token : tokens) {
      const BatchToken one{&sequence, token, wants_logits};
      EXPECT_TRUE(session_.executor().evaluate({&one, 1}).ok());
    }
  }

  Session session_;
  std::vector<TokenId> prompt_, company_;
  LogitsHash hash_;
  TokenId next_ = 0;
};

class RealModel : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    path_ = pulled_model(GetParam());
    if (!std::filesystem::exists(path_)) GTEST_SKIP() << "not pulled: " << path_;
    if (test_stride() > 1 && GetParam() != "smollm2-135m")
      GTEST_SKIP() << "one model is enough under a sanitizer";
  }
  std::string path_;
};

/// The instruction sets to try what does not depend on threads and batches with.
std::vector<Isa> isas_to_run() {
  if (!test_all()) return {*select_isa()};
  std::vector<Isa> present;
  std::ranges::copy_if(all_isas(), std::back_inserter(present), machine_has);
  return present;
}

std::vector<Way> ways_to_run(const Kind& kind) {
  if (kind.activations == ActivationMode::int8) return test_all() ? all_ways() : some_ways();
  // Weights as floats would take several times the file's size in memory: from the map, in one
  // pass.
  std::vector<Way> ways;
  for (const Isa isa : isas_to_run())
    ways.push_back({isa, 2 + static_cast<int>(ways.size() % 2), 512, false});
  return ways;
}

TEST_P(RealModel, LogitsHaveTheGoldenHash) {
  for (const Kind& kind : kKinds) {
    for (const Way& way : ways_to_run(kind)) {
      auto run = Run::open(path_, kind, way);
      ASSERT_TRUE(run);
      EXPECT_EQ(run->alone(), golden().hash(GetParam(), kind)) << kind.name << ": " << way;
    }
  }
}

TEST_P(RealModel, LogitsAreTheSameAmongSixteenSequencesAndAfterAFork) {
  for (const Kind& kind : kKinds) {
    if (kind.activations == ActivationMode::f32) continue;
    for (const Isa isa : isas_to_run()) {
      auto run = Run::open(path_, kind, {.isa = isa});
      ASSERT_TRUE(run);
      EXPECT_EQ(run->in_company(), golden().hash(GetParam(), kind))
          << kind.name << ": " << to_string(isa);
      EXPECT_EQ(run->after_a_fork(), golden().hash(GetParam(), kind))
          << kind.name << ": " << to_string(isa);
    }
  }
}

TEST_P(RealModel, LogitsAreTheSameInTheHundredthRun) {
  const int runs = test_all() ? 100 : 3;
  const Kind& kind = kKinds[0];
  auto run = Run::open(path_, kind, {.isa = *select_isa(), .batch_tokens = 512});
  ASSERT_TRUE(run);
  for (int i = 1; i <= runs; ++i)
    ASSERT_EQ(run->alone(), golden().hash(GetParam(), kind)) << "run " << i;
}

/// Golden hashes change with the version of the numerics and with nothing else.
TEST(GoldenModels, BelongToThisVersionOfTheNumerics) {
  std::ifstream page(std::string(CHECKBIT_SOURCE_DIR) + "/docs/numerics.md");
  const std::string text((std::istreambuf_iterator<char>(page)), {});
  EXPECT_NE(text.find(fmt::format("Version {}.", golden().json.at("numerics_version").get<int>())),
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
