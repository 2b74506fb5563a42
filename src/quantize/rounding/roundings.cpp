#include <algorithm>
#include <array>

#include "quantize/rounding/block_coder.h"
#include "quantize/rounding/rounding.h"

namespace checkbit {

#define CHECKBIT_ROUNDING(name) extern const RoundingMethod name##_rounding;
#include "quantize/rounding/roundings.def"
#undef CHECKBIT_ROUNDING

namespace {

const std::array kRoundings = {
#define CHECKBIT_ROUNDING(name) &name##_rounding,
#include "quantize/rounding/roundings.def"
#undef CHECKBIT_ROUNDING
};

}  // namespace

std::span<const RoundingMethod* const> all_roundings() { return kRoundings; }

const RoundingMethod* find_rounding(std::string_view name) {
  const auto found = std::ranges::find(kRoundings, name, &RoundingMethod::name);
  return found == kRoundings.end() ? nullptr : *found;
}

bool takes_feedback(const Format& format) {
  return format.integer.bits > 0 && format.encode != nullptr && format.unpack != nullptr;
}

std::vector<int> metric_groups(std::span<const Format* const> formats) {
  std::vector<int> widths;
  for (const Format* format : formats) {
    const int elements = coder_elements(*format);
    widths.push_back(elements);
    widths.push_back(BlockCoder::create(*format, elements)->unit_elements());
  }
  std::ranges::sort(widths, std::greater<>());
  widths.erase(std::unique(widths.begin(), widths.end()), widths.end());
  return widths;
}

}  // namespace checkbit
