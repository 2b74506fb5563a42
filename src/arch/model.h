// A loaded model: configuration, packed weights by role and layer, vectors as floats.
//
// What: resolves every tensor of the file to a role, checks its shape against the hyperparameters
//   and packs it. A tensor without a role, a missing one, or a wrong shape is refused by name.
// Errors: unsupported, corrupt, memory; all name the tensor or key.
// Threads: const after load.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "arch/architecture.h"
#include "base/thread_pool.h"
#include "file/model_file.h"
#include "weights/packed_matrix.h"

namespace checkbit {

/// (bytes done, bytes in total) while loading.
using LoadProgress = std::function<void(std::uint64_t, std::uint64_t)>;

class Model {
 public:
  /// `file` must outlive the model.
  static Result<Model> load(const ModelFile& file, const PackOptions& options, ThreadPool& pool,
                            const LoadProgress& progress = {});

  const ModelConfig& config() const { return config_; }
  const Hyperparameters& hyperparameters() const { return config_.hyperparameters; }
  const Architecture& architecture() const { return *config_.architecture; }
  const PackOptions& options() const { return options_; }

  /// Null when the model has no such tensor. The output role falls back on the token embedding.
  const PackedMatrix* matrix(Role role, std::int64_t layer = 0) const;
  /// From now on this matrix is another tensor of the same shape, read where it lies: its bytes must
  /// outlive the model. Executors made before it know nothing of it. Errors: those of loading.
  Status replace_matrix(Role role, std::int64_t layer, const ModelTensor& tensor);
  /// The same for a vector of the size that it has.
  void set_vector(Role role, std::int64_t layer, std::span<const float> values);
  /// Null when missing.
  const float* vector(Role role, std::int64_t layer = 0) const;

  std::uint64_t packed_bytes() const;
  /// The stretch of memory that all packed matrices lie in.
  std::span<const std::uint8_t> packed_weights() const {
    return {weights_.data(), weights_.size()};
  }
  /// Draws the weights of checks again; true when bits of them had changed.
  bool restore_check_weights() const { return check_weights_->restore(); }
  /// The same, and all vectors, for whoever mends them in place (guard/live_guard.h).
  std::span<std::uint8_t> mendable_weights() const { return {weights_.data(), weights_.size()}; }
  std::span<std::uint8_t> mendable_vectors() const {
    return {vector_values_.data(), vector_values_.size()};
  }
  /// What the file says that some bytes of packed_weights() or mendable_vectors() ought to be: out
  /// [part.size()].
  void read_again(std::span<const std::uint8_t> part, std::uint8_t* out) const;
  /// Rows of the token embedding are looked up through `copy` from now on.
  void look_up_through(std::function<bool(std::span<const std::uint8_t>, std::uint8_t*)> copy);
  /// Every matrix once, layer by layer.
  std::vector<const PackedMatrix*> matrices() const;
  /// Keeps the packed weights in memory. Errors: memory, when the system refuses (it allows
  /// `ulimit -l` bytes); the model works on all the same.
  Status lock_weights() const;

 private:
  std::size_t index(Role role, std::int64_t layer) const;
  struct Placed {
    const ModelTensor* tensor;
    Role role;
    std::int64_t layer;
    std::uint64_t packed_bytes;
    std::uint64_t offset;  ///< in weights_, or in vector_values_
    bool is_matrix() const { return role_info(role).rows != Dimension::one; }
  };
  Result<std::vector<Placed>> place_tensors(const ModelFile& file) const;
  Status add_matrix(const ModelFile& file, const Placed& placed);
  Status allocate_vectors(std::vector<Placed>& placed);
  Status add_vector(const Placed& placed);
  void place_pages(ThreadPool& pool);
  Status check_complete() const;
  void plan_checks();

  ModelConfig config_;
  PackOptions options_;
  AlignedBuffer weights_;  ///< every packed matrix, in the order of use
  std::unique_ptr<CheckWeights> check_weights_;
  std::vector<std::unique_ptr<PackedMatrix>>
      matrices_;  ///< [layers + 1][roles]; the last row is not per layer
  AlignedBuffer vector_values_;
  struct Vector {
    const ModelTensor* tensor = nullptr;  ///< null: the model has none
    std::span<float> values;              ///< in vector_values_
  };
  std::vector<Vector> vectors_;  ///< as matrices_
};

/// Packed bytes that one thread reads when a group of linear steps is dealt over a pool.
struct ReadStretch {
  std::span<const std::uint8_t> bytes;
  int thread;
};
/// Of all groups in the order of evaluation, for a pool of `threads` (ThreadPool::reader_of): long
/// shares as they will be read; what goes to whoever comes is spread evenly.
std::vector<ReadStretch> read_stretches(const Model& model, int threads);

}  // namespace checkbit
