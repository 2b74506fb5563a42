// Which bits of a packed matrix are what.
//
// What: the field map (formats/field_map.h) of one record of the panels (kernels/panel_layout.h),
// with
//   which the packed bytes of a matrix are tiled from end to end; of a matrix of floats, of one
//   weight. Sub-scales stand there as whole bytes, so a fault in memory has other odds than one in
//   the file.
// Units: bits from the start of a record. Threads: pure.
#pragma once

#include "formats/field_map.h"
#include "weights/packed_matrix.h"

namespace checkbit {

/// Of a matrix with panels in memory (packed_bytes() > 0).
FieldMap packed_field_map(const PackedMatrix& matrix);

}  // namespace checkbit
