// The UnitCoder of every IQ format: the block's scales from the whole search, codes unit by unit.
//
// Threads: see unit_coder.h.
#pragma once

#include "formats/lattice_blocks.h"
#include "formats/unit_coder.h"

namespace checkbit {

/// `kPack(lattice_block, block)` fills the format's struct.
template <class Block, class Unit, const LatticeSpec& kSpec, auto kPack>
class LatticeUnitCoder : public UnitCoder {
 public:
  int unit_elements() const override { return Unit::kElements; }

  void begin(const float* in, const float* importance) override {
    PreparedBlock prepared;
    prepare_block(in, importance, 256, prepared);
    found_ =
        LatticeBlockSearch<Unit, kSpec.group_elements>(prepared.group(256), kSpec).best_block();
  }

  void code(int unit, const float* in, const float* importance, float* out) override {
    const int group = unit * Unit::kElements / kSpec.group_elements;
    const auto odd = static_cast<float>(2 * found_.subs[static_cast<std::size_t>(group)] + 1);
    const float scale = half_to_float(found_.scale) * kSpec.unit * odd;
    if (!(scale > 0)) {
      std::fill_n(out, Unit::kElements, 0.0f);
      return;
    }
    PreparedBlock prepared;
    prepare_block(in, importance, Unit::kElements, prepared);
    Unit weights;
    weights.read(prepared.x, prepared.w);
    auto& stored = found_.codes[static_cast<std::size_t>(unit)];
    weights.code_at(scale, stored);
    Unit::values(stored, scale, out);
  }

  void finish(std::uint8_t* bytes) const override {
    Block block{};
    kPack(found_, block);
    store_unaligned(bytes, block);
  }

 private:
  LatticeBlock<Unit> found_;
};

}  // namespace checkbit
