#include "guard/spare_bits.h"

#include <bit>

#include "base/bytes.h"
#include "kernels/kernels.h"
#include "kernels/panel_layout.h"

namespace checkbit {
namespace {

std::uint16_t load_value(const std::uint8_t* at, int bytes) {
  return bytes == 1 ? *at : load_unaligned<std::uint16_t>(at);
}

/// f(value's address) for every value of a field in packed bytes.
template <class Byte, class F>
void for_values(const SpareField& field, std::size_t record_bytes, std::span<Byte> packed, F f) {
  for (std::size_t record = 0; record + record_bytes <= packed.size(); record += record_bytes) {
    Byte* at = packed.data() + record + field.offset;
    for (std::size_t i = 0; i < field.count; ++i, at += field.bytes) f(at);
  }
}

std::vector<SpareField> fields_of(const IntegerForm& form, const PanelLayout& layout) {
  const auto scales = static_cast<std::size_t>(layout.n_scales) * kPanelRows;
  const auto subs = static_cast<std::size_t>(layout.n_subs) * kPanelRows;
  std::vector<SpareField> fields;
  const auto add = [&](std::string_view name, std::size_t offset, std::size_t count, int bytes) {
    fields.push_back({.name = name, .offset = offset, .count = count, .bytes = bytes});
  };
  if (form.half_scales) {
    add("scale", 0, scales, 2);
    if (stores_min_scales(form)) add("minimum", layout.min_offset, scales, 2);
  }
  if (form.has_sub_scale) add("sub-scale", layout.sub_offset, subs, 1);
  if (form.has_sub_min) add("sub-minimum", layout.sub_min_offset, subs, 1);
  return fields;
}

}  // namespace

int SpareField::spare_bits() const { return std::popcount(ones) + std::popcount(zeros); }

SpareBits find_spare_bits(const PackedMatrix& matrix) {
  SpareBits spare;
  const std::span<const std::uint8_t> packed = matrix.packed_from(0);
  if (packed.empty() || !matrix.quantizes()) return spare;
  const auto choice = find_product(matrix.format().integer);
  if (!choice) return spare;
  const PanelLayout layout = panel_layout(choice->form);
  spare.record_bytes = layout.record_bytes;
  spare.records = packed.size() / layout.record_bytes;
  spare.fields = fields_of(choice->form, layout);
  for (SpareField& field : spare.fields) {
    std::uint16_t all = 0xffff;
    std::uint16_t any = 0;
    for_values(field, spare.record_bytes, packed, [&](const std::uint8_t* at) {
      const std::uint16_t value = load_value(at, field.bytes);
      all &= value;
      any |= value;
      ++field.values;
    });
    if (field.values < kSpareValues) continue;
    const auto width = static_cast<std::uint16_t>(field.bytes == 1 ? 0xff : 0xffff);
    field.ones = all & width;
    field.zeros = static_cast<std::uint16_t>(~any) & width;
  }
  return spare;
}

std::uint64_t mend_spare_bits(const SpareBits& spare, std::span<std::uint8_t> packed) {
  std::uint64_t mended = 0;
  for (const SpareField& field : spare.fields) {
    if (field.spare_bits() == 0) continue;
    for_values(field, spare.record_bytes, packed, [&](std::uint8_t* at) {
      const std::uint16_t value = load_value(at, field.bytes);
      const auto right = static_cast<std::uint16_t>((value | field.ones) & ~field.zeros);
      if (right == value) return;
      mended += static_cast<std::uint64_t>(std::popcount(static_cast<unsigned>(right ^ value)));
      if (field.bytes == 1) {
        *at = static_cast<std::uint8_t>(right);
      } else {
        store_unaligned(at, right);
      }
    });
  }
  return mended;
}

int ConstantBits::count() const {
  int bits = 0;
  for (std::size_t i = 0; i < ones.size(); ++i)
    bits += std::popcount(ones[i]) + std::popcount(zeros[i]);
  return bits;
}

ConstantBits constant_block_bits(const Format& format, std::span<const std::uint8_t> blocks) {
  const auto size = static_cast<std::size_t>(format.block_bytes);
  ConstantBits bits{std::vector<std::uint8_t>(size, 0xff), std::vector<std::uint8_t>(size, 0xff)};
  for (std::size_t at = 0; at + size <= blocks.size(); at += size) {
    for (std::size_t i = 0; i < size; ++i) {
      bits.ones[i] &= blocks[at + i];
      bits.zeros[i] &= static_cast<std::uint8_t>(~blocks[at + i]);
    }
  }
  return bits;
}

}  // namespace checkbit
