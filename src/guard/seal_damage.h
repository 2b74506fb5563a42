// Damage of a sealed model in words: where it is, what it hit, and whether it can be mended.
//
// Errors: those of for_damaged_stripes.
// Threads: one call at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "guard/seal_places.h"
#include "guard/seal_verify.h"

namespace checkbit {

struct FlippedByte {
  std::uint64_t offset = 0;  ///< in the model's file
  std::uint8_t flipped = 0;  ///< bits that differ from what was sealed
};

struct DamagedBlock {
  std::uint64_t block = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  bool missing = false;  ///< cannot be read
  Mend mend = Mend::impossible;
  std::uint64_t bits = 0;          ///< flipped; 0 when missing or impossible
  std::vector<FlippedByte> flips;  ///< the first few
  std::string where;               ///< "blk.0.ffn_down.weight (Q4_K), row 5, block 123"
  std::string field;               ///< "scale.exponent bit 12"; of the first flip's byte
};

struct DamageList {
  std::uint64_t by_bit = 0;               ///< blocks of the model that one bit mends
  std::uint64_t by_parity = 0;            ///< that parity mends
  std::uint64_t lost = 0;                 ///< that nothing mends
  std::vector<DamagedBlock> blocks;       ///< in order of the file, at most as many as asked for
  std::vector<std::string> tensors_lost;  ///< the first few that hold lost blocks
  std::uint64_t mendable() const { return by_bit + by_parity; }
};

Result<DamageList> list_damage(const Seal& seal, const SpanFile& model, const VerifyReport& report,
                               std::size_t most);

}  // namespace checkbit
