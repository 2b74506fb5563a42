// The bits that faults are drawn from, and faults put there and taken away again.
//
// What: a `FaultRegion` is a stretch of memory tiled by a field map: a tensor's blocks, packed
// panels,
//   check sums. A `FaultSpace` is what a spec selects of some regions; each of its bits is equally
//   likely. `inject` changes bytes and keeps what they were; `undo` writes that back, whatever has
//   happened to them since.
// Stores: single bytes, atomic, so that threads that read the memory see old or new bytes.
// Units: bits count from the lowest of a region's first byte; bursts and pages end with the region.
// Errors: not_found when a spec selects no bit, saying which word excludes everything.
// Threads: a space is constant; one `InjectedFaults` is used by one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "guard/fault_spec.h"

namespace checkbit {

struct FaultRegion {
  std::string name;         ///< the tensor's, or what else it is
  std::int64_t layer = -1;  ///< -1: outside the layers
  std::span<std::uint8_t> bytes;
  const FieldMap* fields = nullptr;  ///< tiles the bytes; outlives the region
};

struct BitPlace {
  const FaultRegion* region = nullptr;
  std::uint64_t bit = 0;  ///< in the region
  const FieldRun& field() const {
    return region->fields->run_at(static_cast<std::uint32_t>(bit % region->fields->bits));
  }
};

class FaultSpace {
 public:
  static Result<FaultSpace> select(std::span<const FaultRegion> regions, const FaultSpec& spec);
  std::uint64_t bits() const { return bits_; }
  /// Precondition: index < bits().
  BitPlace place(std::uint64_t index) const;
  /// The bits where faults of a trial begin, in the order drawn.
  std::vector<BitPlace> draw(const FaultSpec& spec, std::uint64_t trial) const;

 private:
  struct Run {
    std::uint64_t first_bit;  ///< in a unit
    std::uint64_t before;     ///< selected bits of the unit before it
  };
  struct Part {
    FaultRegion region;
    std::uint64_t before;     ///< selected bits of the parts before it
    std::uint64_t unit_bits;  ///< selected bits of one unit
    std::vector<Run> runs;
  };
  std::vector<Part> parts_;
  std::uint64_t bits_ = 0;
};

class InjectedFaults {
 public:
  InjectedFaults() = default;
  InjectedFaults(const InjectedFaults&) = delete;
  InjectedFaults& operator=(const InjectedFaults&) = delete;
  ~InjectedFaults() { undo(); }

  /// Applies a fault that begins at a place: a burst, a stuck level or a lost page, as the spec
  /// says.
  void add(const BitPlace& place, const FaultSpec& spec);
  void add(std::span<const BitPlace> places, const FaultSpec& spec) {
    for (const BitPlace& place : places) add(place, spec);
  }
  void undo();
  /// Bytes that differ from what they were when they were hit. Zero: nothing was changed (stuck at
  /// what it was), or all has been mended.
  std::uint64_t bytes_changed() const;

 private:
  struct Saved {
    std::uint8_t* byte;
    std::uint8_t value;
  };
  void change(std::uint8_t* byte, std::uint8_t value);
  std::vector<Saved> saved_;
};

}  // namespace checkbit
