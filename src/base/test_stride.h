// How finely a test walks a long list of cases: all of them, or in sanitizer runs, which are ten to
// forty times slower, every n-th. An input of megabytes is n times shorter there.
//
// What: 1, or the number in CHECKBIT_TEST_STRIDE (1 to 255); anything else there counts as 1.
//   A test that uses it must still touch every place it is about (every byte, every field), only
//   with fewer values, and must not depend on which.
#pragma once

#include <cstdlib>

namespace checkbit {

inline int test_stride() {
  const char* const text = std::getenv("CHECKBIT_TEST_STRIDE");
  const long stride = text == nullptr ? 1 : std::strtol(text, nullptr, 10);
  return stride >= 1 && stride <= 255 ? static_cast<int>(stride) : 1;
}

}  // namespace checkbit
