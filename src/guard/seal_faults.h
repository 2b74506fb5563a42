// Faults on a sealed file: a stretch of a model with its seal beside it on disk, again and again.
//
// What: a trial flips bits drawn evenly over both files, repairs the model as `guard repair` does,
//   and compares every byte of both:
//     corrected  something was noticed, and both files are as they were
//     detected   refused, or blocks were given up by name
//     benign     nothing was noticed, and the files are as they were (flips that undo each other)
//     silent     bytes of either differ, and the repair said that all is right
// Units: faults are single bits. Errors: io. Threads: one per object.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guard/fault_space.h"
#include "guard/outcome.h"
#include "guard/seal.h"

namespace checkbit {

class SealFaults {
 public:
  /// Writes the bytes and their seal into a folder of its own, in memory where the system has a
  /// place for that, and removes it in the end.
  static Result<std::unique_ptr<SealFaults>> create(std::span<const std::uint8_t> bytes,
                                                    CodeShape shape);
  SealFaults(const SealFaults&) = delete;
  SealFaults& operator=(const SealFaults&) = delete;
  ~SealFaults();

  /// One trial. Afterwards everything is as before it.
  Result<Outcome> trial(const FaultSpec& spec, std::uint64_t number);
  std::uint64_t bits() const { return space_->bits(); }

 private:
  /// A file, and what is right in it.
  struct Side {
    std::optional<SpanFile> file;
    std::vector<std::uint8_t> right;
    std::vector<std::uint8_t> now;
    Status read();
    Status put_back();
    bool is_right() const { return now == right; }
  };
  SealFaults() = default;
  Status open(const std::string& path, Side& side);
  Status flip(const FaultSpec& spec, std::uint64_t number);

  std::string folder_;
  std::string path_;
  ThreadPool pool_{1};
  Side model_;
  Side seal_;
  std::optional<FaultSpace> space_;
};

}  // namespace checkbit
