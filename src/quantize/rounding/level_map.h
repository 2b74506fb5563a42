// Which stored bits hold the integers of a format, found out from its `unpack`.
//
// What: error feedback chooses a block's scales first and its integers later. Formats whose
// integers
//   stand as plain bits (all but the lattices and the base-3 ones) need no code for that: turning
//   one stored bit at a time shows which bit of which integer it is.
// Threads: const after creation.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "formats/format.h"

namespace checkbit {

class LevelMap {
 public:
  /// Nothing where some bit of an integer is not one stored bit.
  static std::optional<LevelMap> find(const Format& format);

  /// Puts integers q [block_elements] into a block and leaves its scales as they are.
  void write(const std::uint8_t* q, std::uint8_t* block) const;

 private:
  struct Place {
    std::uint16_t byte;
    std::uint8_t shift;
    bool inverted;  ///< stored as its opposite
  };
  int bits_ = 0;
  std::vector<Place> places_;  ///< [block_elements][bits]
};

}  // namespace checkbit
