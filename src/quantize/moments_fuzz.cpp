// Fuzzing of files of second moments: any bytes are refused or read within their bounds.

#include "quantize/moments_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = checkbit::MomentsFile::parse({data, size}, "fuzz.gguf");
  if (!file.ok()) return 0;
  static_cast<void>(file->check({}, "none"));
  static_cast<void>(file->read("blk.0.attn_q.weight"));
  return 0;
}
