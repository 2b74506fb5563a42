#include <algorithm>
#include <array>
#include <cctype>

#include "formats/format.h"

namespace checkbit {

#define CHECKBIT_FORMAT(stem) extern const Format stem##_format;
#include "formats/formats.def"
#undef CHECKBIT_FORMAT

namespace {

const std::array kFormats = {
#define CHECKBIT_FORMAT(stem) &stem##_format,
#include "formats/formats.def"
#undef CHECKBIT_FORMAT
};

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) {
    return std::toupper(x) == std::toupper(y);
  });
}

}  // namespace

std::span<const Format* const> all_formats() { return kFormats; }

const Format* find_format(std::string_view name) {
  const auto found = std::ranges::find_if(kFormats, [&](auto* f) { return same_name(f->name, name); });
  return found == kFormats.end() ? nullptr : *found;
}

const Format* find_format(std::uint32_t type_id) {
  const auto found = std::ranges::find_if(kFormats, [&](auto* f) { return f->type_id == type_id; });
  return found == kFormats.end() ? nullptr : *found;
}

}  // namespace checkbit
