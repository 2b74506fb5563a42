#include <array>

#include "formats/unit_coder.h"

namespace checkbit {

#define CHECKBIT_UNIT_CODER(stem)    \
  extern const Format stem##_format; \
  std::unique_ptr<UnitCoder> stem##_units();
#include "formats/unit_coders.def"
#undef CHECKBIT_UNIT_CODER

namespace {

struct Entry {
  const Format* format;
  std::unique_ptr<UnitCoder> (*make)();
};
constexpr std::array kEntries = {
#define CHECKBIT_UNIT_CODER(stem) Entry{&stem##_format, stem##_units},
#include "formats/unit_coders.def"
#undef CHECKBIT_UNIT_CODER
};

}  // namespace

std::unique_ptr<UnitCoder> make_unit_coder(const Format& format) {
  for (const Entry& entry : kEntries) {
    if (entry.format == &format) return entry.make();
  }
  return nullptr;
}

}  // namespace checkbit
