// Fuzz target: any bytes either parse to finite importance or fail in one line.
#include <cmath>
#include <cstdlib>

#include "quantize/imatrix.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto imatrix = checkbit::parse_imatrix({data, size}, "fuzz.dat");
  if (!imatrix.ok()) {
    if (imatrix.error().message.find('\n') != std::string::npos) std::abort();
    return 0;
  }
  for (const auto& [name, columns] : imatrix->columns) {
    for (const float column : columns) {
      if (!std::isfinite(column) || column < 0) std::abort();
    }
  }
  return 0;
}
