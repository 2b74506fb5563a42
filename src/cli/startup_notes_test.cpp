// What is said before a model runs: each reason on its own, and once.

#include "cli/startup_notes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cli/cli_test_console.h"
#include "kernels/isa_choice.h"

namespace checkbit {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string kTiny = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-llama3.gguf";

CliResult run_tiny(std::vector<std::string> flags) {
  std::vector<std::string> words = {"run", kTiny, "--raw", "-p", "ab", "-n", "2"};
  words.insert(words.end(), flags.begin(), flags.end());
  return run_in_process(words);
}

int count_lines(const std::string& text, const std::string& part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

TEST(StartupNotes, ThreadsBeyondTheProcessorsTakeTurns) {
  EXPECT_THAT(thread_notes(4, 4, 4, {}), IsEmpty());
  EXPECT_THAT(thread_notes(1, 4, 4, {}), IsEmpty());
  EXPECT_THAT(thread_notes(8, 4, 4, {}),
              ElementsAre("8 threads take turns on 4 processors: slower than --threads 4"));
  EXPECT_THAT(thread_notes(2, 1, 1, {}),
              ElementsAre("2 threads take turns on 1 processor: slower than --threads 1"));
  MachineLimits limits;
  limits.processors = 4;
  EXPECT_THAT(thread_notes(4, 4, 4, limits), IsEmpty());
  limits.processors = 1.5;
  EXPECT_THAT(thread_notes(2, 2, 4, limits),
              ElementsAre("the control group allows 1.5 of 4 processors"));
  EXPECT_THAT(thread_notes(4, 2, 4, limits),
              ElementsAre("the control group allows 1.5 of 4 processors",
                          "4 threads take turns on 2 processors: slower than --threads 2"));
}

TEST(StartupNotes, ASlowerInstructionSetSaysWhy) {
  const Isa best = best_isa();
  EXPECT_EQ(isa_note(best, std::string(to_string(best)).c_str()), "");
  if (best == Isa::scalar) {
    EXPECT_THAT(isa_note(best, nullptr), HasSubstr("scalar code runs"));
    return;
  }
  EXPECT_EQ(isa_note(best, nullptr), "");
  EXPECT_EQ(isa_note(Isa::scalar, "scalar"),
            fmt::format("CHECKBIT_ISA=scalar: slower than {}, which this processor has",
                        to_string(best)));
  EXPECT_THAT(isa_note(Isa::scalar, ""), HasSubstr("scalar code runs, many times slower"));
}

TEST(StartupNotes, MemoryThatDoesNotFitIsSaidWithWhatHelps) {
  EXPECT_EQ(memory_note(1000, 1000), "");
  EXPECT_THAT(memory_note(3'000'000'000, 2'000'000'000),
              AllOf(HasSubstr("takes 3 GB"), HasSubstr("may use 2 GB"), HasSubstr("--context")));
}

TEST(StartupNotes, ARunOnTheFastPathSaysNothing) {
  const std::string integers =
      std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/gemma3-window.gguf";
  const CliResult result =
      run_in_process({"run", integers, "--raw", "-p", "ab", "-n", "2", "--threads", "1"});
  EXPECT_EQ(result.status, kExitDone);
  EXPECT_EQ(result.err, "");
}

TEST(StartupNotes, FloatProductsAreNamed) {
  EXPECT_THAT(run_tiny({}).err, HasSubstr("F16 (6 matrices: blk.0.attn_k.weight, "
                                          "blk.0.ffn_gate.weight, blk.1.attn_q.weight and 3 more): "
                                          "products in floats: slower"));
}

TEST(StartupNotes, ARunSaysEachReasonOnce) {
  const std::string many = std::to_string(usable_processors() + 1);
  const CliResult result =
      run_tiny({"--threads", many, "--no-repack", "--activations", "f32", "--lock-memory"});
  EXPECT_EQ(result.status, kExitDone) << result.err;
  for (const std::string& part :
       {many + " threads take turns", std::string("--no-repack: weights are packed again"),
        std::string("--activations f32: all products"), std::string("there are no packed weights")})
    EXPECT_EQ(count_lines(result.err, part), 1) << part << "\n" << result.err;
  EXPECT_EQ(run_tiny({"--threads", many, "--quiet"}).err, "");
}

TEST(StartupNotes, TwoModelsOfOneCommandSayItOnce) {
  const std::string many = std::to_string(usable_processors() + 1);
  std::string text;
  for (int i = 0; i < 400; ++i) text += "some words ";
  const CliResult result = run_in_process({"measure", kTiny, "--against", kTiny, "--text", "-",
                                           "--context", "64", "--windows", "1", "--threads", many},
                                          text);
  EXPECT_EQ(result.status, kExitDone) << result.err;
  EXPECT_EQ(count_lines(result.err, "threads take turns"), 1) << result.err;
}

TEST(StartupNotes, AForcedInstructionSetIsSaidByRunAndInspect) {
  ASSERT_EQ(std::getenv("CHECKBIT_ISA"), nullptr);
  ::setenv("CHECKBIT_ISA", "scalar", 1);
  const CliResult ran = run_tiny({});
  const CliResult inspected = run_in_process({"inspect", kTiny, "--json"});
  ::setenv("CHECKBIT_ISA", "abacus", 1);
  const CliResult refused = run_tiny({});
  const CliResult unknown = run_in_process({"inspect", kTiny});
  ::unsetenv("CHECKBIT_ISA");
  EXPECT_EQ(count_lines(ran.err, "CHECKBIT_ISA=scalar: slower than"), 1) << ran.err;
  EXPECT_THAT(nlohmann::json::parse(inspected.out)["warnings"].dump(),
              HasSubstr("CHECKBIT_ISA=scalar: slower than"));
  EXPECT_EQ(nlohmann::json::parse(inspected.out)["isa"], "scalar");
  EXPECT_EQ(refused.status, kExitError);
  EXPECT_THAT(refused.err,
              HasSubstr("CHECKBIT_ISA=abacus: no such instruction set; known: scalar"));
  EXPECT_EQ(unknown.status, kExitDone);
  EXPECT_THAT(unknown.out, HasSubstr("CHECKBIT_ISA=abacus: no such instruction set"));
}

/// The types of the tiny models, and what multiplies them.
TEST(StartupNotes, TypesNameTheirKernel) {
  ThreadPool pool(1);
  auto file = ModelFile::open(kTiny);
  ASSERT_TRUE(file.ok()) << file.error().message;
  auto integers = Model::load(*file, {}, pool);
  auto floats = Model::load(*file, {.activations = ActivationMode::f32}, pool);
  ASSERT_TRUE(integers.ok() && floats.ok());
  std::size_t tensors = 0;
  for (const TypeProduct& p : type_products(*integers)) {
    tensors += p.tensors.size();
    EXPECT_GT(p.packed_bits, 0.9 * p.format->bits_per_weight()) << p.format->name;
    EXPECT_LT(p.packed_bits, 1.5 * p.format->bits_per_weight()) << p.format->name;
    if (p.path == "float") continue;
    EXPECT_THAT(p.reason(),
                AllOf(HasSubstr(std::string(p.kernel)), HasSubstr(std::string(p.format->name))));
  }
  const bool tied = integers->matrix(Role::output) == integers->matrix(Role::token_embedding);
  EXPECT_EQ(tensors, integers->matrices().size() - (tied ? 0 : 1)) << "else only looked up";
  for (const TypeProduct& p : type_products(*floats)) EXPECT_EQ(p.path, "float");
  EXPECT_THAT(product_notes(*floats), IsEmpty()) << "--activations f32 has a note of its own";
}

TEST(StartupNotes, WidenedAndFloatProductsAreNamedWithTheirTensors) {
  const Format* q8 = find_format("Q8_0");
  const Format* f16 = find_format("F16");
  ASSERT_TRUE(q8 != nullptr && f16 != nullptr);
  const TypeProduct own = {q8, "integer", "g32_b8", {"a"}, 8.5};
  EXPECT_EQ(own.note(), "");
  EXPECT_EQ(own.reason(), "g32_b8: the integer form of Q8_0");
  const TypeProduct widened = {q8, "widened", "k16_b8_f32", {"a", "b", "c", "d"}, 9.25};
  EXPECT_EQ(widened.note(),
            "Q8_0 (4 matrices: a, b, c and 1 more): 9.25 bits a weight in memory, 8.5 in the file: "
            "more to read, as no kernel has its form");
  EXPECT_THAT(widened.reason(), HasSubstr("k16_b8_f32: Q8_0 widened to 8 bits"));
  const TypeProduct grown = {find_format("IQ2_XXS"), "integer", "k32_b8_f32", {"a"}, 8.375};
  EXPECT_EQ(grown.note(),
            "IQ2_XXS (1 matrix: a): 8.38 bits a weight in memory, 2.06 in the file: more to read");
  const TypeProduct floats = {f16, "float", "float", {"a"}, 16};
  EXPECT_EQ(floats.note(),
            "F16 (1 matrix: a): products in floats: slower than a type with integer form");
  const TypeProduct odd = {q8, "float", "float", {"a"}, 32};
  EXPECT_THAT(odd.note(), HasSubstr("do not fit the rows"));
}

/// Two nodes that are one, and a processor that no machine has.
TEST(StartupNotes, PlacedThreadsAreSaidWhenNobodyAskedOrTheSystemRefused) {
  const std::vector<int> allowed = allowed_processors();
  const ThreadPool plain(2);
  EXPECT_EQ(placement_note(plain, Pinning::usual, true), "");
  EXPECT_EQ(placement_note(plain, Pinning::off, true), "");
  EXPECT_THAT(placement_note(plain, Pinning::cores, true), HasSubstr("does not say"));
  const ThreadPool placed(2, {.processors = {allowed.front()}, .nodes = 2});
  EXPECT_EQ(placement_note(placed, Pinning::usual, true),
            "2 threads are pinned to cores of 2 memory nodes, next to the weights that they read; "
            "--pin off leaves it to the system");
  EXPECT_THAT(placement_note(placed, Pinning::usual, false), Not(HasSubstr("weights")));
  EXPECT_EQ(placement_note(placed, Pinning::cores, true), "");
  const ThreadPool refused(3, {.processors = {4095}, .nodes = 1});
  EXPECT_EQ(placement_note(refused, Pinning::cores, true),
            "the system refused to pin 3 of 3 threads to their processors");
}

TEST(StartupNotes, PinnedRunsGiveTheSameAnswer) {
  const auto answer = [](std::vector<std::string> flags) {
    flags.push_back("--json");
    const CliResult result = run_tiny(flags);
    EXPECT_EQ(result.status, kExitDone) << result.err;
    const auto json = nlohmann::json::parse(result.out);
    for (const auto& record : json["records"]) {
      if (record["name"] == "logits_hash") return record["value"].dump();
    }
    return std::string();
  };
  const std::string plain = answer({"--pin", "off"});
  EXPECT_NE(plain, "");
  EXPECT_EQ(answer({"--pin", "cores"}), plain);
  EXPECT_EQ(answer({"--pin", "cores", "--threads", "64"}), plain);
  const CliResult wrong = run_tiny({"--pin", "nodes"});
  EXPECT_EQ(wrong.status, kExitUsage);
  EXPECT_THAT(wrong.err, HasSubstr("'nodes' is not one of off, cores"));
}

}  // namespace
}  // namespace checkbit
