// The packed form of a weight matrix: panels of 16 interleaved rows.
//
// What: rows sit in lanes, so the canonical order of sums is also the fast one. A panel is a
//   sequence of records, one per max(32, scale_elements) columns. A record holds, in this order:
//     scales      [n_scales][16]  binary16 or float
//     min scales  [n_scales][16]  the same, if has_min and no fixed min_ratio
//     sub-scales  [n_subs][16]    int8, if has_sub_scale
//     sub-mins    [n_subs][16]    int8, if has_sub_min; with several sub-groups under one scale
//                 [n_subs / 2][16][2], the pairs that one multiply-add of 16-bit pairs takes
//     quants      per 32 columns, bit planes of 64-byte vectors. A vector of bytes holds, for each
//                 of 16 rows, 4 consecutive columns (a "slice"; 8 slices make 32 columns):
//       4-bit plane  4 vectors; vector v: slice 2v in the low nibbles, 2v+1 in the high ones
//       2-bit plane  2 vectors; vector v: slices 4v .. 4v+3 at bits 0, 2, 4, 6
//       1-bit plane  1 vector;  slice s at bit s
//       8-bit        8 vectors, slice by slice
//     q of b bits uses the planes 1: {2}, 2: {2}, 3: {2,1}, 4: {4}, 5: {4,1}, 6: {4,2}, 7 and 8:
//     {8}, the first plane holding the low bits. Where q is a window over several weights' codes
//     (formats/trellis.h), the codes stand here, which are the highest bits of each q.
// Units: bytes; offsets are from the start of a record.
#pragma once

#include <cstddef>

#include "formats/format.h"

namespace checkbit {

inline constexpr int kPanelRows = 16;
inline constexpr int kUnitColumns = 32;

struct PanelLayout {
  int bits = 0;
  int record_columns = 0;
  int n_scales = 0;
  int n_subs = 0;
  std::size_t min_offset = 0;
  std::size_t sub_offset = 0;
  std::size_t sub_min_offset = 0;
  std::size_t quant_offset = 0;
  std::size_t unit_bytes = 0;
  std::size_t record_bytes = 0;
};

constexpr std::size_t unit_bytes_for(int bits) {
  switch (bits) {
    case 1:
    case 2:
      return 2 * 64;
    case 3:
      return 3 * 64;
    case 4:
      return 4 * 64;
    case 5:
      return 5 * 64;
    case 6:
      return 6 * 64;
    default:
      return 8 * 64;
  }
}

/// Where the sub-minimum of one lane stands among the sub-minimums of a record.
constexpr int sub_min_index(const IntegerForm& form, int sub, int lane) {
  const bool paired = form.scale_elements > form.sub_elements;
  return paired ? (sub / 2 * kPanelRows + lane) * 2 + sub % 2 : sub * kPanelRows + lane;
}

constexpr bool stores_min_scales(const IntegerForm& form) {
  return form.has_min && form.min_ratio == 0;
}

constexpr PanelLayout panel_layout(const IntegerForm& form) {
  PanelLayout layout;
  const int stored = form.bits / form.window;
  layout.bits = stored == 1 ? 2 : stored == 7 ? 8 : stored;
  layout.record_columns = form.scale_elements < kUnitColumns ? kUnitColumns : form.scale_elements;
  layout.n_scales = layout.record_columns / form.scale_elements;
  layout.n_subs = layout.record_columns / form.sub_elements;
  const std::size_t scales_bytes =
      static_cast<std::size_t>(layout.n_scales) * kPanelRows * (form.half_scales ? 2 : 4);
  const std::size_t subs_bytes = static_cast<std::size_t>(layout.n_subs) * kPanelRows;
  layout.min_offset = scales_bytes;
  layout.sub_offset = layout.min_offset + (stores_min_scales(form) ? scales_bytes : 0);
  layout.sub_min_offset = layout.sub_offset + (form.has_sub_scale ? subs_bytes : 0);
  layout.quant_offset = layout.sub_min_offset + (form.has_sub_min ? subs_bytes : 0);
  layout.unit_bytes = unit_bytes_for(layout.bits);
  layout.record_bytes =
      layout.quant_offset + layout.unit_bytes * (layout.record_columns / kUnitColumns);
  return layout;
}

}  // namespace checkbit
