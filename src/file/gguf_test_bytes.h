// For tests: GGUF bytes put together by hand, so that the parser is not tested against our own
// serializer.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "file/gguf.h"

namespace checkbit {

class GgufBytes {
 public:
  template <class T>
  GgufBytes& put(T value) {
    const std::size_t start = bytes.size();
    bytes.resize(start + sizeof(T));
    store_unaligned(bytes.data() + start, value);
    return *this;
  }
  GgufBytes& text(std::string_view text) {
    put(std::uint64_t{text.size()});
    bytes.insert(bytes.end(), text.begin(), text.end());
    return *this;
  }
  GgufBytes& start(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
    return put(std::uint32_t{0x46554747}).put(version).put(tensors).put(keys);
  }
  GgufBytes& key(std::string_view name, GgufKind kind) {
    return text(name).put(static_cast<std::uint32_t>(kind));
  }
  GgufBytes& array(std::string_view name, GgufKind kind, std::uint64_t count) {
    return key(name, GgufKind::array).elements(kind, count);
  }
  GgufBytes& elements(GgufKind kind, std::uint64_t count) {
    return put(static_cast<std::uint32_t>(kind)).put(count);
  }
  GgufBytes& strings(std::string_view name, std::initializer_list<std::string_view> values) {
    array(name, GgufKind::string, values.size());
    for (const auto value : values) text(value);
    return *this;
  }
  GgufBytes& tensor(std::string_view name, std::initializer_list<std::uint64_t> dimensions,
                    std::uint32_t type, std::uint64_t offset) {
    text(name).put(static_cast<std::uint32_t>(dimensions.size()));
    for (const std::uint64_t dimension : dimensions) put(dimension);
    return put(type).put(offset);
  }
  /// Zeros up to the next multiple of `alignment`, then `count` bytes of data.
  GgufBytes& data(std::uint64_t count, std::size_t alignment = 32) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    bytes.resize(bytes.size() + count, 0x5a);
    return *this;
  }

  std::vector<std::uint8_t> bytes;
};

/// A file with every kind of value, nested arrays and three tensors; parses without error.
inline std::vector<std::uint8_t> sample_gguf() {
  GgufBytes file;
  file.start(3, 16);
  file.key("general.architecture", GgufKind::string).text("llama");
  file.key("a.u8", GgufKind::u8).put(std::uint8_t{200});
  file.key("a.i8", GgufKind::i8).put(std::int8_t{-100});
  file.key("a.u16", GgufKind::u16).put(std::uint16_t{60000});
  file.key("a.i16", GgufKind::i16).put(std::int16_t{-30000});
  file.key("a.u32", GgufKind::u32).put(std::uint32_t{4000000000});
  file.key("a.i32", GgufKind::i32).put(std::int32_t{-2000000000});
  file.key("a.f32", GgufKind::f32).put(1.5f);
  file.key("a.bool", GgufKind::boolean).put(std::uint8_t{1});
  file.key("a.u64", GgufKind::u64).put(~std::uint64_t{0});
  file.key("a.i64", GgufKind::i64).put(std::int64_t{-5});
  file.key("a.f64", GgufKind::f64).put(0.1);
  file.strings("a.strings", {"one", "", "three"});
  file.array("a.ints", GgufKind::i16, 2).put(std::int16_t{-1}).put(std::int16_t{7});
  file.array("a.nested", GgufKind::array, 2);
  file.elements(GgufKind::boolean, 2).put(std::uint8_t{0}).put(std::uint8_t{1});
  file.elements(GgufKind::f64, 1).put(2.5);
  file.key("general.alignment", GgufKind::u32).put(std::uint32_t{64});
  file.tensor("first", {8, 3}, 0, 0);
  file.tensor("second", {5}, 0, 256);
  file.tensor("third", {1, 2, 3, 4}, 0, 128);
  return file.data(320, 64).bytes;
}

}  // namespace checkbit
