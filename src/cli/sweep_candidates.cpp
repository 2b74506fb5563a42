#include "cli/sweep_candidates.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "cli/engine_flags.h"
#include "quantize/emulated_float.h"

namespace checkbit {
namespace {

constexpr std::string_view kSource = "source";
constexpr std::string_view kAll = "all";
constexpr std::string_view kBits = "bpw:";
constexpr int kHalfMantissaBits = 3;  ///< binary16 holds products of such floats and scales well

Result<double> parse_bits(std::string_view name) {
  const std::string_view number = name.substr(kBits.size());
  double bits = 0;
  const auto [end, code] = std::from_chars(number.data(), number.data() + number.size(), bits);
  if (code != std::errc() || end != number.data() + number.size() || !(bits > 0 && bits <= 32))
    return fail(ErrorKind::invalid, "{}: write bpw:3.5 for 3.5 bits per weight", name);
  return bits;
}

/// Collects candidates by name.
class Collector {
 public:
  Collector(const ModelFile& source, const std::vector<int>& blocks)
      : source_(source), blocks_(blocks) {}

  Status add(const std::string& name) {
    if (name == kAll) return add_all();
    if (name == kSource) {
      add_once({.name = name, .method = "source", .expected_bits = bits_per_weight(source_)});
      return {};
    }
    if (name.starts_with(kBits)) {
      CB_TRY(const double bits, parse_bits(name));
      add_once({.name = name, .method = "mixed by measure", .expected_bits = bits});
      return {};
    }
    CB_TRY(const auto shape, parse_emulated_float(name));
    if (shape.has_value()) {
      add_floats(*shape);
      return {};
    }
    return add_recipe(name);
  }

  std::vector<SweepCandidate> take() {
    std::ranges::stable_sort(candidates_, {}, &SweepCandidate::expected_bits);
    return std::move(candidates_);
  }

 private:
  void add_once(SweepCandidate candidate) {
    if (std::ranges::find(candidates_, candidate.name, &SweepCandidate::name) == candidates_.end())
      candidates_.push_back(std::move(candidate));
  }

  void add_floats(EmulatedFloat shape) {
    const std::vector<int> blocks = shape.block > 0 ? std::vector<int>{shape.block} : blocks_;
    for (const int block : blocks) {
      shape.block = block;
      add_once({.name = shape.name(),
                .method = "float",
                .expected_bits = shape.bits_per_weight(),
                .emulated = true,
                .exponent_bits = shape.exponent_bits,
                .mantissa_bits = shape.mantissa_bits,
                .block = block});
    }
  }

  Status add_recipe(const std::string& name) {
    CB_TRY(const Plan plan, plan_recipe(source_, name, false, true));
    add_once({.name = plan.recipe,
              .method = std::string(method_of_recipe(plan.recipe)),
              .expected_bits = plan.bits_per_weight()});
    return {};
  }

  Status add_all() {
    CB_TRY_STATUS(add(std::string(kSource)));
    const double own = bits_per_weight(source_);
    for (const RecipeInfo& recipe : all_recipes()) {
      if (recipe.format != nullptr && recipe.format->ternary) continue;
      CB_TRY(const Plan plan, plan_recipe(source_, recipe.name, false, false));
      if (plan.bits_per_weight() < own) CB_TRY_STATUS(add_recipe(recipe.name));
    }
    return {};
  }

  const ModelFile& source_;
  const std::vector<int>& blocks_;
  std::vector<SweepCandidate> candidates_;
};

Result<CandidateFile> link_source(const ModelFile& source, const std::string& path) {
  std::error_code failure;
  std::filesystem::remove(path, failure);
  std::filesystem::create_symlink(std::filesystem::absolute(source.path()), path, failure);
  if (failure)
    return fail(ErrorKind::io, "{}: cannot link to {}: {}", path, source.path(), failure.message());
  return CandidateFile{source.size_bytes(), bits_per_weight(source), ""};
}

/// What the file would take if the float were a type of its own.
CandidateFile emulated_size(const ModelFile& source, const Plan& plan, double bits) {
  double tensors = 0;
  double own = 0;
  for (const TensorPlan& t : plan.tensors) {
    own += static_cast<double>(t.source->bytes.size());
    tensors += is_quantizable(t) ? static_cast<double>(t.source->info.elements()) * bits / 8
                                 : static_cast<double>(t.file_bytes());
  }
  const double header = static_cast<double>(source.size_bytes()) - own;
  return {static_cast<std::uint64_t>(header + tensors),
          8 * tensors / static_cast<double>(plan.elements()), ""};
}

Result<CandidateFile> make_emulated(QuantizeJob& job, const SweepCandidate& candidate,
                                    const std::string& path, const Receipt& receipt) {
  const EmulatedFloat shape{candidate.exponent_bits, candidate.mantissa_bits, candidate.block};
  const char* carrier = candidate.mantissa_bits <= kHalfMantissaBits ? "F16" : "F32";
  CB_TRY(const Plan plan, plan_recipe(job.source(), carrier, true, false));
  CB_TRY_STATUS(write_model(job.source(), plan, receipt, nullptr, path, job.session.pool(),
                            [&](std::span<float> row) { round_row(row, shape); }));
  return emulated_size(job.source(), plan, shape.bits_per_weight());
}

Result<QuantizePlan> plan_of(QuantizeJob& job, const SweepCandidate& candidate) {
  if (candidate.name.starts_with(kBits)) {
    CB_TRY(const double bits, parse_bits(candidate.name));
    return plan_for_bits(bits, false, job);
  }
  QuantizePlan planned;
  CB_TRY(planned.plan, plan_recipe(job.source(), candidate.name, false, true));
  CB_TRY_STATUS(weigh_columns(false, job, planned));
  return planned;
}

}  // namespace

std::string_view method_of_recipe(std::string_view recipe) {
  const std::vector<RecipeInfo> recipes = all_recipes();
  const auto found = std::ranges::find(recipes, recipe, &RecipeInfo::name);
  if (found == recipes.end()) return "";
  const Format* format = found->format;
  if (format == nullptr) return "mixed by rule";
  if (format->ternary) return "ternary";
  const IntegerForm& form = format->integer;
  if (form.bits == 0) return "float";
  if (form.table != nullptr) return "uneven steps";
  if (form.has_sub_scale) return "scales of scales";
  return form.has_min ? "scale and offset" : "one scale";
}

Result<std::vector<SweepCandidate>> sweep_candidates(const ModelFile& source,
                                                     const std::vector<std::string>& names,
                                                     const std::vector<int>& blocks) {
  Collector collector(source, blocks);
  for (const std::string& name : names) CB_TRY_STATUS(collector.add(name));
  return collector.take();
}

Result<CandidateFile> make_candidate(QuantizeJob& job, const SweepCandidate& candidate,
                                     const std::string& path, const Receipt& receipt) {
  if (candidate.name == kSource) return link_source(job.source(), path);
  if (candidate.emulated) return make_emulated(job, candidate, path, receipt);
  CB_TRY(const QuantizePlan planned, plan_of(job, candidate));
  const Calibration* calibration = planned.calibration ? &*planned.calibration : nullptr;
  CB_TRY_STATUS(
      write_model(job.source(), planned.plan, receipt, calibration, path, job.session.pool()));
  std::error_code failure;
  CandidateFile file{std::filesystem::file_size(path, failure), planned.plan.bits_per_weight(), ""};
  if (failure) return fail(ErrorKind::io, "{}: {}", path, failure.message());
  for (const std::string& note : planned.plan.notes)
    file.note += (file.note.empty() ? "" : "; ") + note;
  return file;
}

}  // namespace checkbit
