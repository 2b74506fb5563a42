// The fewest bits that ruin a model: progressive bit search on packed low-bit weights.
//
// What: rounds of three steps. Rank: every bit of the quantized matrices by the first-order change
//   of the loss its flip would make, sum over the block of dL/dw * (w' - w): blocks by what their
//   levels or scales could do at most, then every bit of the best blocks by decoding it. Try: the
//   best few, spread over tensors, each by a real forward pass. Keep: the worst one stays flipped.
//   Rounds go on to the target loss or the most flips.
// Fields: `levels` are the weights' own integers, `scales` everything else of a block (scales,
//   minimums, sub-scales). Flips that decode to NaN or infinity are left out: loading finds those.
// Reference: One-bit Flip is All You Need: When Bit-flip Attack Meets Model Training (the
// progressive
//   search of its baseline, without its training); Bit-Flip Attack, arXiv 1903.12269, section 3.
// Errors: those of the callbacks, cancelled, invalid when no bit is left to flip.
// Threads: the target's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "guard/backward.h"

namespace checkbit {

enum class BitField { levels, scales };
enum class BitFields { levels, scales, any };

struct BitSite {
  std::size_t tensor = 0;    ///< number in the file
  std::uint64_t offset = 0;  ///< of the byte in the tensor
  int bit = 0;
  bool operator==(const BitSite&) const = default;
};

struct CriticalBit {
  BitSite site;
  BitField field = BitField::levels;
  double predicted = 0;  ///< first-order change of the loss, nats
  double loss = 0;       ///< after this and all flips before it; infinite: logits are not finite
};

/// What is attacked. The file changes under the callbacks.
struct AttackTarget {
  const ModelFile* file = nullptr;
  std::function<Status(const BitSite&)> flip;  ///< and back
  /// Mean surprise on the text that is attacked; infinite when logits are not finite.
  std::function<Result<double>()> loss;
  /// Gradients on the same text: loss_and_gradient.
  std::function<Status(const EachMatrix&)> gradient;
};

struct AttackOptions {
  BitFields fields = BitFields::any;
  std::size_t most_flips = 5;
  std::size_t tries = 8;     ///< forward passes a round
  double target_loss = 1e9;  ///< nats
};

/// In the order of flipping; all are flipped when it returns.
Result<std::vector<CriticalBit>> find_critical_bits(const AttackTarget& target,
                                                    const AttackOptions& options);

/// `count` bits drawn evenly over the same fields of the same tensors, for comparison.
std::vector<BitSite> draw_bits(const ModelFile& file, BitFields fields, std::size_t count,
                               std::uint64_t seed, std::uint64_t trial);

/// What a flip of this bit of a block changes; none when the decoded weights stay as they are or
/// are no longer finite.
std::optional<BitField> field_of_bit(const Format& format, const std::uint8_t* block,
                                     std::uint64_t bit);

/// Quantized matrices: what is searched.
bool is_attackable(const ModelTensor& tensor);

}  // namespace checkbit
