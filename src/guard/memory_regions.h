// What of a running model stands in memory and can be hit there.
//
// What: the packed panels of every matrix and the norms (binary32), as regions named after their
//   tensors; keys and values of a sequence as regions of the cache. The memory is the model's own:
//   who writes there damages it.
// Lifetime: `MemoryRegions` owns the field maps; it and the regions end before the session.
// Threads: any, one at a time.
#pragma once

#include <deque>
#include <vector>

#include "guard/fault_space.h"
#include "run/session.h"

namespace checkbit {

class MemoryRegions {
 public:
  /// Of a session with packed weights. Errors: unsupported when they stay in the file's map.
  static Result<MemoryRegions> of_weights(const Session& session);
  /// Of the keys and values of its sequence, as long as that is.
  static MemoryRegions of_cache(Session& session);
  MemoryRegions(MemoryRegions&&) = default;
  MemoryRegions& operator=(MemoryRegions&&) = default;

  const std::vector<FaultRegion>& list() const { return regions_; }

 private:
  MemoryRegions() = default;
  std::deque<FieldMap> maps_;
  std::vector<FaultRegion> regions_;
};

}  // namespace checkbit
