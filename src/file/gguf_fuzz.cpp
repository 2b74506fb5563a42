// Fuzz target: whatever parses must survive being written and read again, and every metadata
// look-up must be safe on it.
#include <cstdlib>
#include <vector>

#include "file/gguf.h"

using namespace checkbit;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void look_up_everything(const Metadata& metadata) {
  for (const auto& [key, value] : metadata.entries()) {
    require(metadata.find(key) == &value);
    const auto natural = metadata.get_uint(key);
    const auto integer = metadata.get_int(key);
    require(!natural || !integer || *natural == static_cast<std::uint64_t>(*integer));
    (void)metadata.get_float(key);
    (void)metadata.get_bool(key);
    (void)metadata.get_string(key);
    (void)metadata.get_strings(key);
    (void)metadata.get_ints(key);
    (void)metadata.get_floats(key);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto header = parse_gguf({data, size}, "fuzz.gguf");
  if (!header.ok()) {
    require(header.error().message.find('\n') == std::string::npos);
    return 0;
  }
  look_up_everything(header->metadata);
  const auto first = serialize_gguf_header(*header);
  auto file = first;
  if (!header->tensors.empty()) {
    const GgufTensor& last = header->tensors.back();
    file.resize(file.size() + last.offset + last.size_bytes);
  }
  auto again = parse_gguf(file, "again.gguf");
  require(again.ok());
  require(again->tensors.size() == header->tensors.size());
  require(serialize_gguf_header(*again) == first);
  return 0;
}
