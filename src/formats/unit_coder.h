// Coding a block part by part: its scales first, its codes later, some weights at a time.
//
// What: error feedback (quantize/rounding) settles weights one after another, each given the errors
//   of those before. Formats whose codes stand for several weights at once offer a `UnitCoder` for
//   that: `begin` chooses the scales of a block, `code` codes one unit of weights under them, any
//   number of times and in any order, `finish` writes the block. Formats with plain integers need
//   none (quantize/rounding/level_map.h).
// Preconditions: as for Format::encode; code and finish come after begin.
// Threads: one at a time for each coder.
#pragma once

#include <cstdint>
#include <memory>

#include "formats/format.h"

namespace checkbit {

class UnitCoder {
 public:
  virtual ~UnitCoder() = default;
  virtual int unit_elements() const = 0;
  /// in, importance [block_elements]
  virtual void begin(const float* in, const float* importance) = 0;
  /// in, importance -> out [unit_elements]: the values that are stored.
  virtual void code(int unit, const float* in, const float* importance, float* out) = 0;
  virtual void finish(std::uint8_t* block) const = 0;
};

/// Null for formats that are not in unit_coders.def.
std::unique_ptr<UnitCoder> make_unit_coder(const Format& format);

}  // namespace checkbit
