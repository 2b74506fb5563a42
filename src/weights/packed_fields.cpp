#include "weights/packed_fields.h"

namespace checkbit {
namespace {

constexpr std::uint32_t kByteBits = 8;

void add_scales(FieldMapBuilder& map, const IntegerForm& form, int count, Field field) {
  for (int i = 0; i < count * kPanelRows; ++i) {
    if (form.half_scales) {
      map.add_float(field, 10, 5);
    } else {
      map.add_float(field, 23, 8);
    }
  }
}

FieldMap record_map(const IntegerForm& form) {
  const PanelLayout layout = panel_layout(form);
  const auto subs_bits = static_cast<std::uint32_t>(layout.n_subs * kPanelRows) * kByteBits;
  FieldMapBuilder map;
  add_scales(map, form, layout.n_scales, form.has_sub_scale ? Field::super_scale : Field::scale);
  if (stores_min_scales(form))
    add_scales(map, form, layout.n_scales, form.has_sub_min ? Field::super_min : Field::min);
  if (form.has_sub_scale) map.add(Field::scale, FieldPart::whole, subs_bits);
  if (form.has_sub_min) map.add(Field::min, FieldPart::whole, subs_bits);
  const std::size_t quant_bytes = layout.record_bytes - layout.quant_offset;
  map.add(Field::quant, FieldPart::whole, static_cast<std::uint32_t>(quant_bytes) * kByteBits);
  return map.take();
}

}  // namespace

FieldMap packed_field_map(const PackedMatrix& matrix) {
  if (matrix.quantizes()) {
    const auto choice = find_product(matrix.format().integer);
    CB_CHECK(choice.ok());  // or the matrix would have been packed as floats
    return record_map(choice->form);
  }
  const auto weights = static_cast<std::size_t>(matrix.panels() * kPanelRows * matrix.columns());
  if (matrix.packed_bytes() / weights == 2) return field_map(matrix.format());
  FieldMapBuilder map;
  map.add_float(Field::value, 23, 8);
  return map.take();
}

}  // namespace checkbit
