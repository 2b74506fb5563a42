// Rows of a tensor that are looked up in the model's file, verified at every look-up.
//
// What: checks and parity of the tensor's bytes are computed at the start. A look-up copies the
//   blocks around its row from the file's cache in memory and verifies them; a block that is wrong
//   is mended in a private view of the file, from which its rows are read from then on.
// Errors: memory; not_found (the file's descriptor was closed: a set of very many parts);
//   unsupported (the tensor begins at an odd place).
// Lifetime: the file outlives it. Threads: any.
#pragma once

#include <atomic>
#include <memory>
#include <shared_mutex>
#include <vector>

#include "base/aligned_buffer.h"
#include "file/model_file.h"
#include "guard/guarded_span.h"

namespace checkbit {

class GuardedRows {
 public:
  /// The longest row that copy can serve.
  static constexpr std::size_t kMostRowBytes = 16u << 10;
  /// Precondition: the tensor's rows take at most kMostRowBytes.
  static Result<std::unique_ptr<GuardedRows>> create(const MappedFile& part,
                                                     const ModelTensor& tensor, RepairTally& tally,
                                                     std::function<void(Error)> on_failure,
                                                     ThreadPool* pool);

  /// Bytes of the tensor, by their place in the file's map. Zeros, and a failure told, when they
  /// cannot be read.
  void copy(std::span<const std::uint8_t> source, std::uint8_t* out);

  std::uint64_t bytes() const { return tensor_->bytes.size(); }
  std::uint64_t extra_bytes() const { return code_.extra_bytes(); }
  std::uint64_t verified() const { return verified_.load(std::memory_order_relaxed); }

 private:
  GuardedRows(const MappedFile& part, const ModelTensor& tensor, RepairTally& tally,
              std::function<void(Error)> on_failure, AlignedBuffer view, SpanCode code);
  std::span<std::uint8_t> viewed() const;
  void mend(std::uint64_t block);

  const MappedFile* part_;
  const ModelTensor* tensor_;
  RepairTally& tally_;
  std::function<void(Error)> on_failure_;
  AlignedBuffer view_;  ///< of the whole file
  SpanCode code_;
  std::vector<bool> mended_;  ///< [blocks]: read from view_
  std::shared_mutex mutex_;   ///< of code_, view_ and mended_
  std::atomic<std::uint64_t> verified_{0};
};

}  // namespace checkbit
