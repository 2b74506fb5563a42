#include "formats/integer_form.h"

namespace checkbit {

void decode_integer_block(const IntegerForm& form, int block_elements, const IntegerBlock& block,
                          float* out) {
  for (int start = 0; start < block_elements; start += form.sub_elements) {
    const int group = start / form.scale_elements;
    const int sub = start / form.sub_elements;
    const float scale =
        form.has_sub_scale ? block.scale[group] * block.sub_scale[sub] : block.scale[group];
    for (int i = start; i < start + form.sub_elements; ++i) {
      const int level = form.table != nullptr ? form.table[block.q[i]] : block.q[i];
      out[i] = scale * static_cast<float>(level - form.q_offset);
    }
    if (!form.has_min) continue;
    const float min =
        form.has_sub_min ? block.min_scale[group] * block.sub_min[sub] : block.min_scale[group];
    for (int i = start; i < start + form.sub_elements; ++i) out[i] -= min;
  }
}

}  // namespace checkbit
