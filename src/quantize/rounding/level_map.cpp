#include "quantize/rounding/level_map.h"

#include <bit>

namespace checkbit {

std::optional<LevelMap> LevelMap::find(const Format& format) {
  if (format.integer.bits == 0 || format.unpack == nullptr) return std::nullopt;
  const auto elements = static_cast<std::size_t>(format.block_elements);
  const auto bits = static_cast<std::size_t>(format.integer.bits);
  std::vector<std::uint8_t> block(static_cast<std::size_t>(format.block_bytes), 0);
  IntegerBlock base, turned;
  format.unpack(block.data(), base);
  LevelMap map;
  map.bits_ = format.integer.bits;
  std::vector<std::optional<Place>> places(elements * bits);
  for (std::size_t bit = 0; bit < 8 * block.size(); ++bit) {
    block[bit / 8] = static_cast<std::uint8_t>(1u << (bit % 8));
    format.unpack(block.data(), turned);
    block[bit / 8] = 0;
    for (std::size_t i = 0; i < elements; ++i) {
      const unsigned change = base.q[i] ^ turned.q[i];
      if (change == 0) continue;
      const auto which = static_cast<std::size_t>(std::countr_zero(change));
      if (!std::has_single_bit(change) || which >= bits) return std::nullopt;
      std::optional<Place>& place = places[i * bits + which];
      if (place) return std::nullopt;  // two stored bits make one
      place = Place{static_cast<std::uint16_t>(bit / 8), static_cast<std::uint8_t>(bit % 8),
                    ((base.q[i] >> which) & 1u) != 0};
    }
  }
  for (const auto& place : places) {
    if (!place) return std::nullopt;
    map.places_.push_back(*place);
  }
  // Bits that were looked at one by one must also hold together.
  std::vector<std::uint8_t> wanted(elements);
  for (std::size_t i = 0; i < elements; ++i)
    wanted[i] = static_cast<std::uint8_t>((i * 37 + 11) & ((1u << bits) - 1));
  map.write(wanted.data(), block.data());
  format.unpack(block.data(), turned);
  for (std::size_t i = 0; i < elements; ++i) {
    if (turned.q[i] != wanted[i]) return std::nullopt;
  }
  return map;
}

void LevelMap::write(const std::uint8_t* q, std::uint8_t* block) const {
  const Place* place = places_.data();
  for (std::size_t i = 0; i < places_.size() / static_cast<std::size_t>(bits_); ++i) {
    for (int b = 0; b < bits_; ++b, ++place) {
      const unsigned bit = ((static_cast<unsigned>(q[i]) >> b) & 1u) ^ (place->inverted ? 1u : 0u);
      std::uint8_t& byte = block[place->byte];
      byte = static_cast<std::uint8_t>((byte & ~(1u << place->shift)) | bit << place->shift);
    }
  }
}

}  // namespace checkbit
