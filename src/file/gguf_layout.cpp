#include "file/gguf_layout.h"

namespace checkbit::gguf_layout {

std::uint64_t min_bytes(GgufKind kind) {
  switch (kind) {
    case GgufKind::u8:
    case GgufKind::i8:
    case GgufKind::boolean:
      return 1;
    case GgufKind::u16:
    case GgufKind::i16:
      return 2;
    case GgufKind::u32:
    case GgufKind::i32:
    case GgufKind::f32:
      return 4;
    case GgufKind::u64:
    case GgufKind::i64:
    case GgufKind::f64:
    case GgufKind::string:  // its length
      return 8;
    case GgufKind::array:  // kind and count
      return 12;
  }
  return 1;
}

std::string quoted(std::string_view untrusted) {
  constexpr std::size_t kLongest = 80;
  std::string text = "\"";
  for (const unsigned char c : untrusted.substr(0, kLongest)) {
    if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
      text += static_cast<char>(c);
    } else {
      text += fmt::format("\\x{:02x}", c);
    }
  }
  return text + (untrusted.size() > kLongest ? "...\"" : "\"");
}

}  // namespace checkbit::gguf_layout
