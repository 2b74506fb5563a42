#include "quantize/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quantize/budget.h"

namespace checkbit {
namespace {

/// By the first method of the list.
Result<BudgetPlan> plan_budget(const ModelFile& file, const Calibration& calibration,
                               const BudgetOptions& options, ThreadPool& pool) {
  CB_TRY(const BudgetPlanner planner, BudgetPlanner::create(file, calibration, options, pool));
  return planner.choose(*all_allocations().front());
}

using ::testing::Contains;
using ::testing::HasSubstr;

std::string tiny(const std::string& stem) {
  return std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + stem + ".gguf";
}

Result<ModelFile> open_tiny() { return ModelFile::open(tiny("llama-yarn")); }

TEST(Plan, ACopyKeepsEveryFormat) {
  const auto file = open_tiny();
  ASSERT_TRUE(file.ok());
  const auto plan = plan_copy(*file);
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->tensors.size(), file->tensors().size());
  for (std::size_t i = 0; i < plan->tensors.size(); ++i) {
    EXPECT_EQ(plan->tensors[i].format, file->tensors()[i].info.format);
    EXPECT_EQ(plan->tensors[i].file_bytes(), file->tensors()[i].bytes.size());
  }
}

TEST(Plan, EveryEncodableFormatThatIsNotTernaryIsARecipe) {
  const auto file = open_tiny();
  ASSERT_TRUE(file.ok());
  for (const Format* format : all_formats()) {
    const auto plan = plan_recipe(*file, format->name, true, false);
    EXPECT_EQ(plan.ok(), format->encode != nullptr && !format->ternary) << format->name;
    if (!plan.ok()) continue;
    for (const TensorPlan& t : plan->tensors) {
      const bool whole =
          t.source->info.columns() % static_cast<std::uint64_t>(t.format->block_elements) == 0;
      EXPECT_TRUE(whole) << format->name << " for " << t.source->info.name;
      if (!is_quantizable(t)) {
        EXPECT_EQ(t.format, t.source->info.format);
      }
    }
  }
}

TEST(Plan, EveryRecipeOfTheListCanBePlanned) {
  const auto file = open_tiny();
  ASSERT_TRUE(file.ok());
  for (const RecipeInfo& recipe : all_recipes()) {
    EXPECT_TRUE(plan_recipe(*file, recipe.name, false, true).ok()) << recipe.name;
    EXPECT_FALSE(recipe.summary.empty()) << recipe.name;
  }
}

TEST(Plan, NotesSayWhatStoodIn) {
  const auto file = open_tiny();  // rows of 64 to 128 values: K types do not fit
  ASSERT_TRUE(file.ok());
  const auto plan = plan_recipe(*file, "Q4_K_M", false, false);
  ASSERT_TRUE(plan.ok());
  ASSERT_FALSE(plan->notes.empty());
  EXPECT_THAT(plan->notes[0], HasSubstr("blocks of 256"));
  EXPECT_THAT(plan->notes[0], HasSubstr("instead of"));
  EXPECT_THAT(plan->notes[0], HasSubstr("tensors)"));
  const auto fitting = plan_recipe(*file, "CB3", false, false);
  ASSERT_TRUE(fitting.ok());
  EXPECT_TRUE(fitting->notes.empty());
}

TEST(Plan, RefusesTernaryWithoutForceAndUnknownNames) {
  const auto file = open_tiny();
  ASSERT_TRUE(file.ok());
  const auto ternary = plan_recipe(*file, "TQ2_0", false, false);
  ASSERT_FALSE(ternary.ok());
  EXPECT_THAT(ternary.error().message, HasSubstr("--force"));
  EXPECT_TRUE(plan_recipe(*file, "TQ2_0", false, true).ok());
  const auto unknown = plan_recipe(*file, "Q9_Z", false, false);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().kind, ErrorKind::not_found);
  EXPECT_THAT(unknown.error().message, HasSubstr("Q4_K_M"));
  const auto decode_only = plan_recipe(*file, "NVFP4", false, false);
  ASSERT_FALSE(decode_only.ok());
  EXPECT_EQ(decode_only.error().kind, ErrorKind::unsupported);
}

TEST(Plan, NamesDoNotDependOnCase) {
  const auto file = open_tiny();
  ASSERT_TRUE(file.ok());
  const auto lower = plan_recipe(*file, "q5_k_m", false, false);
  ASSERT_TRUE(lower.ok());
  EXPECT_EQ(lower->summary(), plan_recipe(*file, "Q5_K_M", false, false)->summary());
  EXPECT_EQ(lower->recipe, "Q5_K_M");
}

TEST(Plan, NotesSayWhereBitsBringNothingBack) {
  const auto file = open_tiny();
  ASSERT_TRUE(file.ok());
  const auto grown = plan_recipe(*file, "F32", true, false);
  ASSERT_TRUE(grown.ok()) << grown.error().message;
  EXPECT_THAT(grown->notes, Contains(HasSubstr("F32 from Q8_0")));
  EXPECT_THAT(grown->notes, Contains(HasSubstr("larger than the source")));
}

/// The number after `mark` in a message.
double number_after(const std::string& message, const std::string& mark) {
  const std::size_t at = message.find(mark);
  EXPECT_NE(at, std::string::npos) << message;
  return at == std::string::npos ? 0 : std::stod(message.substr(at + mark.size()));
}

TEST(Budget, TooFewBitsNameTheFewestAndThoseSucceed) {
  const auto file = open_tiny();
  ASSERT_TRUE(file.ok());
  const auto ct2 = plan_recipe(*file, "CT2", true, false);  // nothing is smaller here
  ASSERT_TRUE(ct2.ok());
  const auto of_bits = [&](double bits) {
    return BudgetOptions{
        .bytes = static_cast<std::uint64_t>(bits / 8 * static_cast<double>(ct2->elements()))};
  };
  const auto first = check_budget(*file, of_bits(0.5));
  ASSERT_FALSE(first.ok());
  EXPECT_EQ(first.error().kind, ErrorKind::budget);
  EXPECT_THAT(first.error().message, HasSubstr("0.50 bits per weight"));
  const double fewest = number_after(first.error().message, "smallest possible is --bpw ");
  EXPECT_NEAR(fewest, ct2->bits_per_weight(), 0.001);
  EXPECT_TRUE(check_budget(*file, of_bits(fewest)).ok());
  const auto second = check_budget(*file, of_bits(fewest - 0.002));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(number_after(second.error().message, "smallest possible is --bpw "), fewest);
}

TEST(Budget, TooLittleMemoryNamesTheLeastAndThatSucceeds) {
  const auto file = open_tiny();
  ASSERT_TRUE(file.ok());
  BudgetOptions options{
      .kind = BudgetKind::packed_bytes, .bytes = 1u << 20, .fixed_bytes = 30u << 20};
  const auto first = check_budget(*file, options);
  ASSERT_FALSE(first.ok());
  EXPECT_THAT(first.error().message, HasSubstr("1.00 MiB"));
  EXPECT_THAT(first.error().message, HasSubstr("30 MiB of it"));
  const double least = number_after(first.error().message, "smallest possible is --fit ");
  options.bytes = static_cast<std::uint64_t>(least) << 20;
  EXPECT_TRUE(check_budget(*file, options).ok());
  options.fixed_bytes += 400u << 10;  // measured a little differently the next time
  EXPECT_TRUE(check_budget(*file, options).ok());
  options.bytes = options.fixed_bytes;
  const auto second = check_budget(*file, options);
  ASSERT_FALSE(second.ok());
}

Calibration even_calibration(const ModelFile& file) {
  Calibration calibration;
  for (const ModelTensor& tensor : file.tensors()) {
    TensorUse use;
    use.column_energy.assign(tensor.info.columns(), 1.0);
    use.output_energy = 1;
    use.sensitivity = 1;
    calibration.uses[tensor.info.name] = {use};
  }
  return calibration;
}

TEST(Budget, IsMetAndTheLossFallsAsItGrows) {
  const auto file = open_tiny();
  ASSERT_TRUE(file.ok());
  const Calibration calibration = even_calibration(*file);
  ThreadPool pool(2);
  const auto smallest = plan_recipe(*file, "CT2", true, false);
  ASSERT_TRUE(smallest.ok());
  double before = 1e300;
  for (const double factor : {1.0, 1.2, 1.6, 2.4, 8.0}) {
    BudgetOptions options{
        .bytes = static_cast<std::uint64_t>(factor * static_cast<double>(smallest->file_bytes()))};
    const auto plan = plan_budget(*file, calibration, options, pool);
    ASSERT_TRUE(plan.ok()) << plan.error().message;
    EXPECT_LE(plan->plan.file_bytes(), options.bytes);
    EXPECT_LT(plan->summed_damage, before) << factor;
    before = plan->summed_damage;
  }
  EXPECT_EQ(before, 0);  // room for everything: nothing changes
}

TEST(Budget, PortableUsesNoFormatOfOurOwn) {
  const auto file = open_tiny();
  ASSERT_TRUE(file.ok());
  const Calibration calibration = even_calibration(*file);
  ThreadPool pool(1);
  const auto reference = plan_recipe(*file, "Q4_0", true, false);
  ASSERT_TRUE(reference.ok());
  const auto plan = plan_budget(*file, calibration,
                                {.bytes = reference->file_bytes(), .standard_only = true}, pool);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  for (const TensorPlan& t : plan->plan.tensors) EXPECT_FALSE(t.format->own) << t.source->info.name;
}

}  // namespace
}  // namespace checkbit
