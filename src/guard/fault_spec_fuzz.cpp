// Any bytes end in a fault or an error, and what was read is written so that it reads the same.

#include "guard/fault_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto spec = checkbit::parse_fault_spec(text);
  if (!spec) return 0;
  const std::string written = to_string(*spec);
  const auto again = checkbit::parse_fault_spec(written);
  CB_CHECK(again.ok() && to_string(*again) == written);
  return 0;
}
