// Taking all tokens of a text through a model layer by layer, and catching what its matrices read.
//
// What: `LayerWalk` holds the hidden state of every token between layers; a step of the walk runs
//   one layer over all windows of the text. Inputs of matrices that read the same buffer are caught
//   once, under the role of the first of them.
// Memory: one float per token and hidden unit, one window's buffers, and keys and values of one
//   window.
// Errors: those of the executor; cancelled.
// Threads: one at a time.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <vector>

#include "arch/executor.h"

namespace checkbit {

/// Matrices of a layer (or of what comes after the layers) that multiply the same input.
struct InputGroup {
  Role leader = Role::none;
  std::vector<Role> roles;  ///< the leader first
};
/// Of one layer, in order, or with layer = layers of the epilogue.
std::vector<InputGroup> input_groups(const Architecture& architecture, bool epilogue);

/// Inputs of one window [tokens][size], by leader.
struct CaughtInput {
  std::int64_t size = 0;
  std::vector<float> values;
};
using CaughtInputs = std::map<Role, CaughtInput>;

class LayerWalk {
 public:
  /// `model` may have matrices replaced between steps (Model::replace_matrix).
  static Result<LayerWalk> create(const Model& model, const Kernels& kernels, ThreadPool& pool,
                                  std::span<const std::int32_t> text, std::int64_t window);

  std::size_t windows() const { return (text_.size() + window_ - 1) / window_; }
  /// After matrices were replaced: the next steps run with them.
  Status renew();
  /// Runs a layer (-1: the embedding; layers: up to the last matrix) over window w. Its hidden
  /// state moves on only if `keep`. `inputs`, if given, takes what its matrices read.
  Status step(std::int64_t layer, std::size_t w, bool keep, CaughtInputs* inputs);

 private:
  LayerWalk(const Model& model, const Kernels& kernels, ThreadPool& pool, KvCache cache,
            Executor executor)
      : model_(&model),
        kernels_(&kernels),
        pool_(&pool),
        cache_(std::move(cache)),
        executor_(std::move(executor)) {}

  const Model* model_;
  const Kernels* kernels_;
  ThreadPool* pool_;
  KvCache cache_;
  Executor executor_;
  std::span<const std::int32_t> text_;
  std::size_t window_ = 0;
  std::vector<float> hidden_;  ///< [tokens][embedding]
};

}  // namespace checkbit
