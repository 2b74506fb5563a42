// Finished tensors of a quantization, kept beside its output for a second start.
//
// What: `.NAME.kept-tensors` in the output's folder: the hash of the job, then one record for each
//   tensor with its name, size, checksum and bytes. A process that is killed leaves the file; the
//   next start with the same job reads it and goes on, one with another job says so and begins
//   anew. The destructor removes it: a finished, failed or stopped job leaves nothing.
// Records are checked when the journal is opened; what follows a damaged or half-written one is cut
//   off.
// Errors: io (folder not writable, disk full).
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace checkbit {

class TensorJournal {
 public:
  /// `job` names everything that the bytes depend on, in any words.
  static Result<TensorJournal> open(const std::string& output, const std::string& job);
  TensorJournal(TensorJournal&& other) noexcept;
  TensorJournal& operator=(TensorJournal&& other) = delete;
  ~TensorJournal();

  std::size_t tensors() const { return records_.size(); }
  /// True when there was a journal of another job, which is gone now.
  bool replaced_another() const { return replaced_another_; }
  bool holds(const std::string& name, std::uint64_t size_bytes) const;
  /// Precondition: holds. Errors: io.
  Status read(const std::string& name, std::span<std::uint8_t> out) const;
  Status keep(const std::string& name, std::span<const std::uint8_t> bytes);

  static std::string path_for(const std::string& output);

 private:
  struct Record {
    std::uint64_t offset = 0, size_bytes = 0;
  };
  TensorJournal() = default;
  Status read_records(const std::string& job_hash);

  std::string path_;  ///< empty: moved from
  std::map<std::string, Record> records_;
  bool replaced_another_ = false;
};

}  // namespace checkbit
