// What the GGUF parser and serializer share: constants of the layout, limits, and how names from
// untrusted files are shown in messages. Private to file/.
// Reference: the GGUF specification in the ggml repository.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "file/gguf.h"

namespace checkbit::gguf_layout {

inline constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF" read little endian
inline constexpr std::uint32_t kVersion = 3;         // written; 2 has the same layout
inline constexpr std::uint64_t kDefaultAlignment = 32;
inline constexpr std::uint64_t kMinAlignment = 8;  // the specification asks for a multiple of 8
inline constexpr std::uint64_t kMaxAlignment = 1 << 20;
inline constexpr std::uint32_t kTypeI8 = 24;  // what tensors of own formats are stored as
inline constexpr int kMaxDimensions = 4;
inline constexpr int kMaxArrayDepth = 4;
inline constexpr std::uint64_t kMaxNameBytes = 65535;
/// Bounds what a hostile file can make us allocate; real headers have under 20 MB and 2 million
/// array elements.
inline constexpr std::uint64_t kMaxHeaderBytes = std::uint64_t{256} << 20;
inline constexpr std::uint64_t kMaxArrayElements = std::uint64_t{16} << 20;

/// Bytes of one value of `kind` in the file; for strings and arrays the least it can take.
/// Precondition: `kind` is one of the enumerators.
std::uint64_t min_bytes(GgufKind kind);

inline std::uint64_t align_up(std::uint64_t offset, std::uint64_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

/// In double quotes, control and non-ASCII bytes escaped, long text cut: one line in any terminal.
std::string quoted(std::string_view untrusted);

}  // namespace checkbit::gguf_layout
