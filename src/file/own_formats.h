// How tensors of our own formats stand in GGUF: as I8 rows that every reader can parse, with their
// true format and columns in metadata.
//
// What: a tensor of dimensions [columns, rows...] whose format is own becomes an I8 tensor
//   [row_bytes, rows...]; the arrays checkbit.tensor.names, .formats and .columns (same length)
//   carry name, format and columns. Private to file/.
// Threads: pure functions of their arguments.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "file/gguf.h"

namespace checkbit {

/// Sets format and dimensions[0] of the tensors that the metadata names, and erases the three keys.
/// `type_ids` [tensors] as in the table. Errors: corrupt (arrays missing or of unequal length, a
/// name unknown or twice, not I8, row bytes that do not match), unsupported (unknown format).
Status apply_own_formats(GgufHeader& header, std::span<const std::uint32_t> type_ids,
                         std::string_view file_name);

/// Rewrites the three keys of `metadata` to what `tensors` hold; erases them when there are none.
void store_own_formats(std::span<const GgufTensor> tensors, Metadata& metadata);

}  // namespace checkbit
