#include "protect/block_check.h"

#include <isa-l/crc.h>
#include <isa-l/crc64.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "base/result.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kReflectedPolynomial = 0xC96C5795D7870F42;
constexpr std::uint32_t kBlockBits = kCodeBlockBytes * 8;

using WholeBlock = std::array<std::uint8_t, kCodeBlockBytes>;

/// `block` itself when it is whole, else a copy with zeros behind it in `room`.
std::span<const std::uint8_t> whole(std::span<const std::uint8_t> block, WholeBlock& room) {
  CB_CHECK(block.size() <= kCodeBlockBytes);
  if (block.size() == kCodeBlockBytes) return block;
  room.fill(0);
  std::copy(block.begin(), block.end(), room.begin());
  return room;
}

std::uint16_t second_check(std::span<const std::uint8_t> block) {
  // The library reads only; its signature lacks the const.
  const std::uint32_t crc =
      crc32_iscsi(const_cast<std::uint8_t*>(block.data()), static_cast<int>(block.size()), 0);
  return static_cast<std::uint16_t>(crc ^ (crc >> 16));
}

/// Every single bit's syndrome with the bit, sorted. A bit further from the end has gone through
/// more steps of the register, and nothing else differs.
std::vector<std::pair<std::uint64_t, std::uint32_t>> make_syndromes() {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> table;
  table.reserve(kBlockBits);
  std::uint64_t state = 1;  // the last bit of the block, before its own step
  for (std::uint32_t bit = kBlockBits; bit-- > 0;) {
    state = (state >> 1) ^ ((state & 1) != 0 ? kReflectedPolynomial : 0);
    table.emplace_back(state, bit);
  }
  std::ranges::sort(table);
  return table;
}

}  // namespace

std::uint64_t crc64(std::span<const std::uint8_t> bytes, std::uint64_t before) {
  return crc64_ecma_refl(before, bytes.data(), bytes.size());
}

std::uint64_t block_crc(std::span<const std::uint8_t> block) {
  if (block.size() == kCodeBlockBytes) return crc64(block);
  WholeBlock room;
  return crc64(whole(block, room));
}

BlockCheck block_check(std::span<const std::uint8_t> block) {
  if (block.size() == kCodeBlockBytes) return {crc64(block), second_check(block)};
  WholeBlock room;
  const auto padded = whole(block, room);
  return {crc64(padded), second_check(padded)};
}

std::optional<FlippedBit> flipped_bit(std::uint64_t syndrome) {
  static const auto table = make_syndromes();
  const auto found = std::ranges::lower_bound(table, syndrome, {},
                                              &std::pair<std::uint64_t, std::uint32_t>::first);
  if (found != table.end() && found->first == syndrome) return FlippedBit{false, found->second};
  if (syndrome != 0 && (syndrome & (syndrome - 1)) == 0) {
    return FlippedBit{true, static_cast<std::uint32_t>(__builtin_ctzll(syndrome))};
  }
  return std::nullopt;
}

}  // namespace checkbit
