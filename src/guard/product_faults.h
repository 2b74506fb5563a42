// Faults in one checked product of real weights, hundreds of thousands of them in a minute.
//
// What: a matrix of a model, packed with its checks, times the activations of 1 to 16 tokens. A
//   trial draws bits over everything that the product reads and writes, its guard included:
//     weights         packed panels           row weights   the secret numbers of the check
//     activations     8-bit inputs, scales    columns       the check's column sums, its constant
//     activations again  the same, quantized a second time
//     sums            what the product adds up for its check
//     results         the floats that come out
//     checks, parity, parity checks           by which packed panels are mended
//   changes them, computes what they reach, and asks the checks of the level. On an alarm it does
//   what a running model does: quantizes and computes again, then mends the weights by their parity
//   (protect/block_code.h) and makes the check's numbers anew, and computes again. What then comes
//   out decides:
//     corrected  alarm, and in the end the right bits        detected  alarm, and it stayed wrong
//     benign     no alarm, the right bits all the same       silent    no alarm, other bits; or
//                                                            weights "mended" to other bits
// Right bits are those of the product before any fault. Fast because panels that nothing has
// touched give what they gave before; every 64th trial computes all panels and compares.
// Errors: unsupported (the matrix has no integer product), memory.
// Threads: one per object.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "arch/guard_level.h"
#include "guard/fault_space.h"
#include "guard/outcome.h"
#include "protect/block_code.h"
#include "weights/packed_matrix.h"

namespace checkbit {

class ProductFaults {
 public:
  /// `tensor` outlives the object. x [tokens][columns], at most kWidestBlock tokens. `seed` draws
  /// the check's numbers.
  static Result<std::unique_ptr<ProductFaults>> create(const ModelTensor& tensor,
                                                       std::vector<float> x, GuardLevel level,
                                                       std::uint64_t seed);
  ProductFaults(const ProductFaults&) = delete;
  ProductFaults& operator=(const ProductFaults&) = delete;

  /// What trials draw from: what `tensor` and `field` of a spec select of all that is listed above,
  /// at first everything. Errors: not_found.
  Status select(const FaultSpec& spec);
  Outcome trial(const FaultSpec& spec, std::uint64_t number);
  const std::string& name() const { return matrix_.name(); }
  const Format& format() const { return matrix_.format(); }
  std::int64_t tokens() const { return tokens_; }
  std::uint64_t bits() const { return space_->bits(); }
  /// Comparisons of tokens made by all trials so far.
  std::uint64_t checks() const { return checks_; }

 private:
  using Panels = std::vector<std::int64_t>;  ///< in order, each once
  ProductFaults(PackedMatrix matrix, std::vector<float> x, GuardLevel level, std::uint64_t seed);
  Status prepare();
  void list_regions();
  void list_activations(const char* name, std::uint8_t* buffer);
  void quantize(std::uint8_t* buffer) const;
  void quantize_both() const;
  ActivationRows rows() const;
  std::int64_t stride() const { return matrix_.panels() * kPanelRows; }
  void multiply(std::int64_t panel, float* y, std::int32_t* sums) const;
  void compute(const Panels& panels);
  void check_shortcut();
  bool is_noticed(const Panels& looked);
  bool sums_agree();
  bool mend(const Panels& panels);
  bool mend_stripe(std::uint64_t stripe);
  bool is_right(const Panels& looked) const;
  void put_back(const Panels& looked);
  Panels touched_panels(std::span<const BitPlace> places) const;
  Panels panels_of_results(std::span<const BitPlace> places) const;
  Outcome outcome_of(const Panels& touched, const Panels& looked);

  const Kernels& kernels_;
  PackedMatrix matrix_;
  std::vector<float> x_;
  std::int64_t tokens_;
  GuardLevel level_;
  std::uint64_t seed_;
  ThreadPool pool_{1};
  std::unique_ptr<CheckWeights> check_weights_;
  std::optional<SpanCode> code_;
  std::optional<SpanCode> code_right_;
  std::vector<std::uint8_t> weights_right_;
  FieldMap record_;
  ColumnSums columns_;  ///< those in use; the matrix has the second copy
  ActivationSets sets_;
  AlignedBuffer quantized_;
  AlignedBuffer quantized_again_;
  std::span<std::uint8_t> row_weights_;  ///< of check_weights_
  std::span<std::uint8_t> factors_;
  std::span<std::uint8_t> scale_factors_;
  std::vector<float> y_right_;                  ///< [tokens][stride()]
  std::vector<float> y_;                        ///< the same between trials
  std::vector<std::int32_t> panel_sums_right_;  ///< [panels][tokens][16]
  std::vector<std::int32_t> sums_right_;        ///< [tokens][16], over all panels
  std::vector<std::int32_t> sums_;
  bool wrong_mend_ = false;  ///< weights came out of mending otherwise than they were
  mutable std::vector<std::uint8_t> scratch_;
  std::vector<FaultRegion> regions_;
  std::optional<FaultSpace> space_;
  std::uint64_t checks_ = 0;
};

}  // namespace checkbit
