// Weights that change their meaning when they are quantized: made on purpose, to test the scan.
//
// What: takes a full-precision model and its quantization, and moves weights inside their rounding
//   intervals so that the quantized model answers a prompt with a chosen text, while the
//   full-precision model stays what it was. Every weight keeps its place to within `reach` steps of
//   its block's levels: those near a turning point whose other level lowers the surprise at the
//   chosen text are carried just over it. The block is then encoded anew and kept only when the
//   encoder's own answer goes the right way in the first order, so any encoder will do.
// Rounds: gradient of the quantized model (backward.h), moves, encode; a round that made the
//   surprise larger is taken back, and the next moves a quarter as many weights.
// Reference: Mind the Gap: A Practical Attack on GGUF Quantization (constraining weights by the
//   quantization error); here without training, by choosing the direction of rounding.
// Errors: invalid (another shape, a type without even levels), those of the callbacks, cancelled.
// Threads: one craft at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "guard/backward.h"

namespace checkbit {

struct CraftTarget {
  const ModelFile* original = nullptr;   ///< full precision
  const ModelFile* quantized = nullptr;  ///< changes under write_block
  /// Surprise of the quantized model at the chosen text, and its gradients unless given null.
  std::function<Result<double>(const EachMatrix&)> gradient;
  std::function<Status(std::size_t tensor, std::uint64_t offset, std::span<const std::uint8_t>)>
      write_block;
};

struct CraftOptions {
  int rounds = 8;
  double share = 0.0005;  ///< of a matrix's weights that one round moves at most
  float reach = 0.25f;    ///< furthest move, in steps
  double target_loss = 0.05;
};

struct CraftedModel {
  /// Full-precision weights of the tensors that changed, by their number in the original.
  std::vector<std::pair<std::size_t, std::vector<float>>> tensors;
  std::vector<double> losses;  ///< of the quantized model, before and after each round
  std::uint64_t moved = 0;     ///< weights
  std::uint64_t weights = 0;   ///< of the tensors that could change
};

Result<CraftedModel> craft_model(const CraftTarget& target, const CraftOptions& options);

}  // namespace checkbit
