// The self-test: its golden answers, every instruction set, and that a wrong one is named.

#include "guard/selftest.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/cpu_topology.h"

namespace checkbit {
namespace {

std::vector<Isa> present() {
  std::vector<Isa> isas;
  std::ranges::copy_if(all_isas(), std::back_inserter(isas), machine_has);
  return isas;
}

TEST(Selftest, GoldenAnswersAreThoseOfTheScalarKernels) {
  const std::vector<KernelAnswer> answers = kernel_answers(kernels_for(Isa::scalar));
  std::string wanted;
  for (const KernelAnswer& answer : answers)
    wanted += fmt::format("CHECKBIT_GOLDEN(\"{}\", 0x{:016x}u)\n", answer.kernel, answer.hash);
  const auto golden = golden_answers();
  ASSERT_EQ(golden.size(), answers.size()) << wanted;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    EXPECT_EQ(golden[i].kernel, answers[i].kernel) << wanted;
    EXPECT_EQ(golden[i].hash, answers[i].hash) << wanted;
    for (std::size_t other = 0; other < i; ++other)
      EXPECT_NE(golden[i].hash, golden[other].hash) << golden[i].kernel;
  }
}

TEST(Selftest, EveryProcessorAndInstructionSetGivesThem) {
  const std::vector<int> processors = allowed_processors();
  const std::vector<Isa> isas = present();
  const SelftestResult result = run_selftest(processors, isas);
  EXPECT_EQ(describe_faults(result), "");
  EXPECT_EQ(result.processors, processors);
  EXPECT_TRUE(result.unreached.empty());
  EXPECT_EQ(result.answers, processors.size() * isas.size() * golden_answers().size());
}

TEST(Selftest, AKernelThatIsWrongIsNotRight) {
  Kernels broken = kernels_for(Isa::scalar);
  broken.rms_norm = [](const float* x, const float*, float, std::int64_t n, float* out) {
    std::copy_n(x, n, out);
  };
  // The line with fewer bits reads less than the other's panels hold.
  broken.products[1] = kernels_for(Isa::scalar).products[0];
  const std::vector<KernelAnswer> answers = kernel_answers(broken);
  std::vector<std::string> wrong;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].hash != golden_answers()[i].hash) wrong.emplace_back(answers[i].kernel);
  }
  EXPECT_EQ(wrong, (std::vector<std::string>{kProductLines[1].name.data(), "element-wise"}));
}

TEST(Selftest, FaultsNameTheProcessor) {
  SelftestResult result;
  result.processors = {0, 3};
  result.faults = {{3, Isa::avx2, "g32_b8"}, {3, Isa::avx2, "attend f16"}};
  EXPECT_EQ(describe_faults(result),
            "processor 3 gives wrong answers (g32_b8 on avx2, and 1 more)");
}

TEST(Selftest, AProcessorThatIsNotThereIsUnreached) {
  const int missing = 1000;
  const SelftestResult result = run_selftest({&missing, 1}, {});
  EXPECT_EQ(result.unreached, std::vector<int>{missing});
}

}  // namespace
}  // namespace checkbit
