#include "guard/scan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/progress.h"
#include "guard/scan_blocks.h"

namespace checkbit {
namespace {

constexpr std::string_view kNames[] = {
#define CHECKBIT_SCAN_CHECK(name, meaning) #name,
#include "guard/scan_checks.def"
#undef CHECKBIT_SCAN_CHECK
};
constexpr std::string_view kMeanings[] = {
#define CHECKBIT_SCAN_CHECK(name, meaning) meaning,
#include "guard/scan_checks.def"
#undef CHECKBIT_SCAN_CHECK
};

/// Collects findings of one tensor, the first few of each check with their place.
class Findings {
 public:
  Findings(ScanReport& report, const ModelTensor& tensor, const BlockTable& table)
      : report_(report), tensor_(tensor), table_(table) {}

  void add(ScanCheck check, std::uint64_t block, std::string detail) {
    ++report_.counts[static_cast<int>(check)];
    if (++here_[check] > kFindingsPerCheck) return;
    const std::uint64_t row = block / table_.row_blocks;
    const std::uint64_t at = block % table_.row_blocks;
    report_.findings.push_back({check, tensor_.info.name, row, at * table_.block_elements,
                                row * tensor_.info.row_bytes() + at * table_.block_bytes,
                                std::move(detail)});
  }

 private:
  ScanReport& report_;
  const ModelTensor& tensor_;
  const BlockTable& table_;
  std::map<ScanCheck, std::size_t> here_;
};

void check_finite(const BlockTable& table, Findings& findings) {
  for (std::uint64_t b = 0; b < table.facts.size(); ++b) {
    if (!table.facts[b].finite)
      findings.add(ScanCheck::not_finite, b, "a value is NaN or infinite");
  }
}

/// The lower one of an even number; 0 for one alone, which is no measure of itself.
float median_of(std::vector<float>& values) {
  if (values.size() < 2) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Median amplitude of every row and of every column of blocks.
struct Medians {
  std::vector<float> rows, columns;
};

Medians medians_of(const BlockTable& table) {
  constexpr std::uint64_t kColumnSample = 4096;
  Medians medians;
  std::vector<float> values;
  for (std::uint64_t r = 0; r < table.rows; ++r) {
    values.clear();
    for (std::uint64_t c = 0; c < table.row_blocks; ++c)
      values.push_back(table.facts[r * table.row_blocks + c].amplitude);
    medians.rows.push_back(median_of(values));
  }
  const std::uint64_t stride = std::max<std::uint64_t>(1, table.rows / kColumnSample);
  for (std::uint64_t c = 0; c < table.row_blocks; ++c) {
    values.clear();
    for (std::uint64_t r = 0; r < table.rows; r += stride)
      values.push_back(table.facts[r * table.row_blocks + c].amplitude);
    medians.columns.push_back(median_of(values));
  }
  return medians;
}

/// Blocks that stand alone: over the medians of their row and column, and over the largest block
/// that is none of them. Several can be damaged, so the sorted top is walked to its widest gap.
void check_scales(const BlockTable& table, TensorScan& scan, Findings& findings) {
  constexpr std::size_t kTop = 64;
  if (table.facts.size() < 2) return;
  const Medians medians = medians_of(table);
  struct Lone {
    std::uint64_t block;
    float amplitude;
    double octaves;  ///< over its medians
  };
  std::vector<Lone> top;
  float largest_usual = 0;
  for (std::uint64_t b = 0; b < table.facts.size(); ++b) {
    const float amplitude = table.facts[b].amplitude;
    if (!table.facts[b].finite || !(amplitude > 0)) continue;
    const float usual =
        std::max({medians.rows[b / table.row_blocks], medians.columns[b % table.row_blocks],
                  std::numeric_limits<float>::min()});
    const double octaves = std::log2(amplitude / usual);
    if (octaves > 1) top.push_back({b, amplitude, octaves});
    if (octaves <= 1) largest_usual = std::max(largest_usual, amplitude);
  }
  std::ranges::sort(top, [](const Lone& a, const Lone& b) { return a.amplitude > b.amplitude; });
  if (top.size() > kTop) {
    largest_usual = std::max(largest_usual, top[kTop].amplitude);
    top.resize(kTop);
  }
  // From below: how far each is over the next smaller one that was found usual.
  std::vector<std::pair<std::uint64_t, double>> absurd;
  for (auto it = top.rbegin(); it != top.rend(); ++it) {
    const double over_all =
        largest_usual > 0 ? std::log2(it->amplitude / (largest_usual / 2)) : it->octaves;
    const double lonely = std::min(it->octaves, over_all);
    scan.lonely_octaves = std::max(scan.lonely_octaves, lonely);
    if (lonely > (table.rows > 1 ? kLonelyOctaves : kVectorOctaves)) {
      absurd.emplace_back(it->block, lonely);
    } else {
      largest_usual = std::max(largest_usual, it->amplitude);
    }
  }
  for (const auto& [block, lonely] : absurd) {
    findings.add(ScanCheck::absurd_scale, block,
                 fmt::format("weights up to {:.3g}, 2^{:.1f} times what row, column and all other "
                             "blocks have",
                             table.facts[block].amplitude, lonely));
  }
}

/// One feature of a block that encoders tend to fix.
struct Feature {
  std::string_view name;
  /// Of types without sub-scales alone: with them the block's ends need not be reached.
  bool of_levels;
  int (*of)(const BlockFacts&);
};
constexpr Feature kFeatures[] = {
    {"largest sub-scale", false, [](const BlockFacts& f) -> int { return f.max_sub_scale; }},
    {"largest sub-minimum", false, [](const BlockFacts& f) -> int { return f.max_sub_min; }},
    {"lowest level", true, [](const BlockFacts& f) -> int { return f.min_q; }},
    {"highest level", true, [](const BlockFacts& f) -> int { return f.max_q; }},
    {"furthest level", true, [](const BlockFacts& f) -> int { return f.reach; }},
    {"sign of the scale", false, [](const BlockFacts& f) -> int { return f.negative_scale; }},
    {"sign of the minimum", false, [](const BlockFacts& f) -> int { return f.negative_min; }},
};

void check_rules(const BlockTable& table, TensorScan& scan, Findings& findings) {
  if (!table.integer) return;
  for (const Feature& feature : kFeatures) {
    if (feature.of_levels && scan.format->integer.has_sub_scale) continue;
    std::map<int, std::uint64_t> counts;
    std::uint64_t blocks = 0;
    for (const BlockFacts& f : table.facts) {
      if (!f.finite || !(f.amplitude > 0)) continue;
      ++counts[feature.of(f)];
      ++blocks;
    }
    if (blocks == 0) continue;
    const auto usual =
        std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
    const std::uint64_t breakers = blocks - usual->second;
    if (breakers == 0) continue;
    if (scan.rule_breakers == 0 || breakers < scan.rule_breakers) scan.rule_breakers = breakers;
    if (breakers > kRuleBreakers || breakers * kRuleBlocks > blocks) continue;
    for (std::uint64_t b = 0; b < table.facts.size(); ++b) {
      const BlockFacts& f = table.facts[b];
      if (!f.finite || !(f.amplitude > 0) || feature.of(f) == usual->first) continue;
      findings.add(ScanCheck::encoder_rule, b,
                   fmt::format("{} is {}, in all but {} of {} blocks {}", feature.name,
                               feature.of(f), breakers, blocks, usual->first));
    }
  }
}

void check_errors(std::span<const float> ratios, TensorScan& scan, Findings& findings) {
  for (std::uint64_t b = 0; b < ratios.size(); ++b) {
    const double ratio = ratios[b];
    scan.worst_error_ratio = std::max(scan.worst_error_ratio, ratio);
    if (!(ratio <= kErrorRatio))
      findings.add(ScanCheck::not_rounding, b,
                   fmt::format("its error is {:.3g} times our encoder's", ratio));
  }
}

std::string crowd_text(const PositionResult& p) {
  return fmt::format(
      "{}: {:.3f} +- {:.3f} % of the weights crowd at {:.3f} of a step from their level",
      p.format->name, 100 * p.excess, 100 * p.error, p.position);
}

void check_positions(const TensorScan& scan, Findings& findings) {
  for (const PositionResult& p : scan.positions) {
    if (p.crafted) findings.add(ScanCheck::crafted, 0, crowd_text(p));
  }
}

/// Tensors that were not quantized before, together.
std::vector<PositionResult> pool_positions(const std::vector<TensorScan>& tensors) {
  std::vector<PositionHistogram> histograms(all_formats().size());
  std::vector<PositionHistogram> blurred(all_formats().size());
  for (const TensorScan& tensor : tensors) {
    for (const PositionResult& p : tensor.positions) {
      const auto at = std::ranges::find(all_formats(), p.format) - all_formats().begin();
      if (p.on_lattice) continue;
      histograms[static_cast<std::size_t>(at)].add(p.histogram);
      blurred[static_cast<std::size_t>(at)].add(p.blurred);
    }
  }
  std::vector<PositionResult> pooled;
  for (std::size_t i = 0; i < histograms.size(); ++i) {
    if (histograms[i].weights == 0) continue;
    pooled.push_back(judge_pooled(histograms[i], blurred[i]));
    pooled.back().format = all_formats()[i];
  }
  return pooled;
}

Result<const ModelTensor*> original_of(const ModelTensor& tensor, const ModelFile* original) {
  if (original == nullptr) return nullptr;
  const ModelTensor* other = original->find(tensor.info.name);
  if (other == nullptr) return nullptr;
  if (other->info.dimensions != tensor.info.dimensions) {
    return fail(ErrorKind::invalid, "{}: tensor {} has another shape than in the model",
                original->path(), tensor.info.name);
  }
  return other;
}

}  // namespace

std::string_view scan_check_name(ScanCheck check) { return kNames[static_cast<int>(check)]; }
std::string_view scan_check_meaning(ScanCheck check) { return kMeanings[static_cast<int>(check)]; }

Result<ScanReport> scan_model(const ModelFile& model, const ModelFile* original, ThreadPool& pool,
                              const ScanOptions& options) {
  ScanReport report;
  Progress progress("scanning", model.size_bytes(), "bytes");
  for (const ModelTensor& tensor : model.tensors()) {
    if (cancel_requested()) return cancelled_error();
    const Format& format = *tensor.info.format;
    if (format.decode == nullptr || tensor.info.elements() == 0) continue;
    CB_TRY(const ModelTensor* other, original_of(tensor, original));
    TensorScan scan{.name = tensor.info.name, .format = &format};
    const BlockTable table = read_blocks(tensor, pool);
    scan.blocks = table.facts.size();
    Findings findings(report, tensor, table);
    check_finite(table, findings);
    check_scales(table, scan, findings);
    check_rules(table, scan, findings);
    if (other != nullptr && format.encode != nullptr && format.block_elements > 1 &&
        other->info.format->decode != nullptr)
      check_errors(error_ratios(tensor, *other, pool), scan, findings);
    scan.positions = measure_positions(tensor, other, options.type, options.position_weights, pool);
    check_positions(scan, findings);
    report.weights += tensor.info.elements();
    report.tensors.push_back(std::move(scan));
    model.drop_pages(tensor);
    progress.advance(tensor.info.size_bytes);
  }
  report.positions = pool_positions(report.tensors);
  for (const PositionResult& p : report.positions) {
    if (!p.crafted) continue;
    ++report.counts[static_cast<int>(ScanCheck::crafted)];
    report.findings.push_back({ScanCheck::crafted, "all tensors", 0, 0, 0, crowd_text(p)});
  }
  return report;
}

}  // namespace checkbit
