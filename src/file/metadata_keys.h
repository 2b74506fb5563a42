// Names of the metadata keys that Checkbit adds (metadata_keys.def) and of the GGUF keys it reads
// in this folder.
#pragma once

#include <string_view>

namespace checkbit {

#define CHECKBIT_METADATA_KEY(constant, key) inline constexpr std::string_view constant = key;
#include "file/metadata_keys.def"
#undef CHECKBIT_METADATA_KEY

inline constexpr std::string_view kKeyAlignment = "general.alignment";
inline constexpr std::string_view kKeySplitNumber = "split.no";
inline constexpr std::string_view kKeySplitCount = "split.count";
inline constexpr std::string_view kKeySplitTensors = "split.tensors.count";

}  // namespace checkbit
