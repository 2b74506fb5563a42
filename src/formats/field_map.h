// Which bits of a block are what: the quants, scales, minima and signs that a fault can hit.
//
// What: `field_map(format)` tiles the bits of one block, bit 0 being the lowest of the first byte.
//   Each run of bits belongs to one field; of numbers that are floats also the part is known. The
//   layouts stand in fields.def, one line each, in this grammar:
//     layout = item { ' ' item }         item = [ COUNT '*' ] ( '(' layout ')' | field ':' width )
//     field  = NAME [ '.' PART ]         width = BITS | f16 | bf16 | f32 | f64
//   A float width is its mantissa, exponent and sign, lowest bit first.
// A selector says which fields are meant: "scale" (all its parts), "super_scale.exponent",
// "exponent"
//   (of any float), "sign" (sign bits of weights and of floats), "all".
// Units: bits from the start of the block.
// Errors: invalid, for a selector that names no field. Layouts are checked by field_map_test.
// Threads: maps are constant once made; making them is guarded.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/format.h"

namespace checkbit {

enum class Field : std::uint8_t {
  quant,        ///< the weight's own few bits, or an index into a table
  value,        ///< a weight that is a float without a scale: norms, F16
  sign,         ///< its sign, where that is stored apart
  scale,        ///< of the smallest group
  min,          ///< its offset or minimum
  super_scale,  ///< what the scales of a block are multiplied with
  super_min,
  sum,  ///< sums of quants, which decoding does not need
  count
};
enum class FieldPart : std::uint8_t { whole, mantissa, exponent, sign, count };

std::string_view to_string(Field field);
std::string_view to_string(FieldPart part);

struct FieldRun {
  Field field = Field::quant;
  FieldPart part = FieldPart::whole;
  std::uint32_t first_bit = 0;
  std::uint32_t bits = 0;
};

struct FieldMap {
  std::uint32_t bits = 0;      ///< of one block
  std::vector<FieldRun> runs;  ///< in order, without gaps
  /// Precondition: bit < bits.
  const FieldRun& run_at(std::uint32_t bit) const;
};

/// Of a layout in the grammar above. Errors: invalid.
Result<FieldMap> parse_field_map(std::string_view layout);

const FieldMap& field_map(const Format& format);

/// What a fault may hit.
struct FieldSelector {
  std::string text = "all";           ///< as it is written
  Field field = Field::count;         ///< count: any
  FieldPart part = FieldPart::count;  ///< count: any
  bool matches(const FieldRun& run) const;
};
Result<FieldSelector> parse_field_selector(std::string_view text);

/// Builds a map piece by piece.
class FieldMapBuilder {
 public:
  void add(Field field, FieldPart part, std::uint32_t bits);
  /// A float of `mantissa` + `exponent` + 1 bits, lowest first.
  void add_float(Field field, std::uint32_t mantissa, std::uint32_t exponent);
  std::uint32_t bits() const { return map_.bits; }
  FieldMap take() { return std::move(map_); }

 private:
  FieldMap map_;
};

}  // namespace checkbit
