#include "guard/seal_damage.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace checkbit {
namespace {

constexpr std::size_t kFlipsKept = 8;
constexpr std::size_t kTensorsNamed = 8;
/// Right bytes are kept for the header alone, and headers end before this.
constexpr std::uint64_t kPatchWindow = std::uint64_t{64} << 20;

void compare(DamagedBlock& damage, std::span<const std::uint8_t> now,
             std::span<const std::uint8_t> right) {
  for (std::size_t i = 0; i < now.size(); ++i) {
    const auto flipped = static_cast<std::uint8_t>(now[i] ^ right[i]);
    if (flipped == 0) continue;
    damage.bits += static_cast<std::uint64_t>(std::popcount(flipped));
    if (damage.flips.size() < kFlipsKept) damage.flips.push_back({damage.offset + i, flipped});
  }
}

void say_where(DamagedBlock& damage, const ModelPlaces& places) {
  const std::uint64_t at = damage.flips.empty() ? damage.offset : damage.flips[0].offset;
  damage.where = places.describe(at);
  if (!damage.flips.empty()) damage.field = places.describe_bits(at, damage.flips[0].flipped);
}

}  // namespace

Result<DamageList> list_damage(const Seal& seal, const SpanFile& model, const VerifyReport& report,
                               std::size_t most) {
  const CodeGeometry& geometry = seal.layout().data();
  DamageList list;
  std::vector<ModelPlaces::Patch> patches;
  std::vector<std::uint64_t> lost;
  CB_TRY_STATUS(
      for_damaged_stripes(seal, model, report, [&](const DamagedStripe& stripe) -> Status {
        for (const MendedBlock& one : stripe.blocks) {
          if (one.position >= geometry.shape().data_blocks) continue;
          const std::uint64_t block = geometry.block_at(stripe.stripe, one.position);
          const std::uint8_t* now = stripe.now[one.position];
          DamagedBlock damage{.block = block,
                              .offset = block * kCodeBlockBytes,
                              .bytes = geometry.block_bytes(block),
                              .missing = now == nullptr,
                              .mend = one.mend};
          if (one.mend == Mend::impossible) lost.push_back(block);
          list.by_bit += one.mend == Mend::bit ? 1 : 0;
          list.by_parity += one.mend == Mend::parity ? 1 : 0;
          if (one.bytes != nullptr) {
            const auto right = std::span(*one.bytes).first(damage.bytes);
            if (now != nullptr) compare(damage, {now, right.size()}, right);
            if (damage.offset < kPatchWindow)
              patches.push_back({damage.offset, {right.begin(), right.end()}});
          }
          list.blocks.push_back(std::move(damage));
        }
        return {};
      }));
  std::ranges::sort(list.blocks, {}, &DamagedBlock::block);
  if (list.blocks.size() > most) list.blocks.resize(most);
  list.lost = lost.size();
  const ModelPlaces places = ModelPlaces::read(model, report.sealed_bytes, patches);
  for (DamagedBlock& damage : list.blocks) say_where(damage, places);
  std::ranges::sort(lost);
  for (const std::uint64_t block : lost) {
    const std::uint64_t begin = block * kCodeBlockBytes;
    for (std::string& name : places.tensors_in(begin, begin + kCodeBlockBytes, kTensorsNamed)) {
      if (list.tensors_lost.size() < kTensorsNamed &&
          std::ranges::find(list.tensors_lost, name) == list.tensors_lost.end())
        list.tensors_lost.push_back(std::move(name));
    }
  }
  return list;
}

}  // namespace checkbit
