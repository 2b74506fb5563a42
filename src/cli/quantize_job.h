// What `checkbit quantize` works on, and how it comes to a plan.
//
// What: the source is opened once, as a session that reads its weights from the map: tokenizer,
//   calibration, planning and the loss measured afterwards share it, so no model is ever held in
//   memory.
// Errors: those of the library. Threads: one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "measure/compare.h"
#include "quantize/budget.h"
#include "quantize/imatrix.h"
#include "quantize/moments_file.h"
#include "quantize/plan.h"
#include "run/session.h"

namespace checkbit {

struct QuantizeJob {
  Session session;
  std::string output;
  std::uint64_t start_bytes = 0;  ///< resident before any weights: program, tokenizer, header
  std::vector<TokenId> text;      ///< calibration text
  std::string text_name;
  std::optional<ImportanceMatrix> imatrix;   ///< of --imatrix: this model's
  std::optional<MomentsFile> moments{};      ///< of --calibration, where that is no text
  std::optional<Calibration> calibration{};  ///< once sensitivities have been measured
  std::optional<Calibration> energies{};     ///< once only energies of columns have
  const AllocationMethod* allocation = all_allocations().front();  ///< chooses types for a budget
  std::int64_t corrections = 0;  ///< times that its predictions are corrected by measuring

  const ModelFile& source() const { return session.file(); }
  /// What weights are rounded with: the start of the text.
  std::span<const TokenId> rounding_text() const {
    return std::span(text).first(text.size() - text.size() / kHeldOutShare);
  }
  /// What the loss is measured on when weights were rounded with that: the rest, or a little of it.
  std::span<const TokenId> held_out_text() const {
    constexpr std::size_t kMost = 4096;
    const auto rest = std::span(text).last(text.size() / kHeldOutShare);
    return rest.first(std::min(rest.size(), kMost));
  }
  static constexpr std::size_t kHeldOutShare = 4;
};

Result<QuantizeJob> open_quantize_job(const Arguments& arguments, Console& console);

struct QuantizePlan {
  Plan plan;
  std::optional<Calibration> calibration;
  std::optional<double> predicted;                        ///< nats per token
  std::optional<double> summed_damage{}, least_damage{};  ///< as BudgetPlan
  std::optional<std::uint64_t> promised_bytes;            ///< of --fit: what a run takes at most
};

/// --bpw. `portable`: only types that other programs know.
Result<QuantizePlan> plan_for_bits(double bits, bool portable, QuantizeJob& job);
/// What the rounding of a recipe's tensors is weighed with; nothing where it hardly matters, unless
/// it is asked for.
Status weigh_columns(bool asked_for, QuantizeJob& job, QuantizePlan& planned);
Result<QuantizePlan> make_quantize_plan(const Arguments& arguments, QuantizeJob& job);

/// A file that was written from the job's model, over a text; both leave their weights in the
/// files.
Result<ComparisonResult> measure_written(QuantizeJob& job, const std::string& path,
                                         std::span<const TokenId> text,
                                         const CompareOptions& compare);
CompareOptions loss_options(const QuantizeJob& job, std::span<const TokenId> text);

/// How the loss is measured: in windows of this many tokens, so many rows of logits at a time.
inline constexpr std::int64_t kLossWindow = 256;
inline constexpr std::int64_t kLossChunk = 64;

/// From the map: a model that takes next to no memory.
SessionOptions mapped_session_options(int threads);

}  // namespace checkbit
