// GGUF files: the header (metadata and tensor table), parsed from untrusted bytes and written.
//
// What: versions 2 and 3, little endian, every metadata kind, nested arrays to a bounded depth.
// Order: metadata keys and tensors keep the order of the file.
// Errors: corrupt (with the byte offset and the key or tensor at fault), unsupported (version,
//   big endian, unknown tensor type). Nothing is allocated from a count before the bytes that it
//   promises are known to exist.
// Threads: values; parsing has no global state.
// Reference: the GGUF specification in the ggml repository.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "formats/format.h"

namespace checkbit {

enum class GgufKind : std::uint32_t {
  u8 = 0,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

struct GgufValue;

/// Arrays keep one compact vector for the kinds that are large in practice.
struct GgufArray {
  GgufKind kind = GgufKind::u32;  ///< kind of the elements
  std::variant<std::vector<std::string>, std::vector<double>, std::vector<float>,
               std::vector<std::int64_t>, std::vector<std::uint64_t>, std::vector<GgufArray>>
      values;  ///< signed integers as int64, unsigned and boolean as uint64
  std::size_t size() const;
};

struct GgufValue {
  GgufKind kind = GgufKind::u32;
  /// Signed kinds as int64, unsigned kinds as uint64, f32 as float.
  std::variant<std::uint64_t, std::int64_t, float, double, bool, std::string, GgufArray> value;

  static GgufValue of(std::string text);
  static GgufValue of(bool value);
  static GgufValue of(std::uint32_t value);
  static GgufValue of(std::uint64_t value);
  static GgufValue of(float value);
  static GgufValue of(std::vector<std::string> values);
  static GgufValue of(std::vector<std::uint32_t> values);
};

/// Ordered key-value pairs with typed look-ups. Look-ups convert between integer kinds when the
/// value fits, and between f32 and f64; any other mismatch is nullopt (or an error for require_*).
class Metadata {
 public:
  const GgufValue* find(std::string_view key) const;
  void set(std::string key, GgufValue value);  ///< replaces in place or appends
  /// Precondition: the key is absent. `set` without the search, for readers of many keys.
  void append(std::string key, GgufValue value);
  void erase(std::string_view key);
  std::span<const std::pair<std::string, GgufValue>> entries() const { return entries_; }

  std::optional<std::uint64_t> get_uint(std::string_view key) const;
  std::optional<std::int64_t> get_int(std::string_view key) const;
  std::optional<double> get_float(std::string_view key) const;
  std::optional<bool> get_bool(std::string_view key) const;
  /// Valid as long as the metadata is not changed.
  std::optional<std::string_view> get_string(std::string_view key) const;
  const std::vector<std::string>* get_strings(std::string_view key) const;
  /// Any integer or boolean array as int64 (copied); nullopt when missing, of another kind, or when
  /// an element does not fit.
  std::optional<std::vector<std::int64_t>> get_ints(std::string_view key) const;
  /// f32 or f64 array as float (copied).
  std::optional<std::vector<float>> get_floats(std::string_view key) const;

 private:
  std::vector<std::pair<std::string, GgufValue>> entries_;
};

/// One row of the tensor table. `dimensions[0]` is the fastest (columns of a row-major matrix).
struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> dimensions;  ///< 1..4 of them, each >= 1
  const Format* format = nullptr;  ///< for our own formats: after checkbit.tensor.* is applied
  std::uint64_t offset = 0;        ///< of the data, from the start of the data section
  std::uint64_t size_bytes = 0;

  std::uint64_t columns() const { return dimensions.empty() ? 0 : dimensions[0]; }
  std::uint64_t rows() const;  ///< product of the other dimensions
  std::uint64_t elements() const { return columns() * rows(); }
  std::uint64_t row_bytes() const {
    return columns() / format->block_elements * format->block_bytes;
  }
};

struct GgufHeader {
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;
  Metadata metadata;
  std::vector<GgufTensor> tensors;
  std::uint64_t data_offset = 0;  ///< byte offset of the data section in the file

  const GgufTensor* find_tensor(std::string_view name) const;
};

/// Parses and validates the header: kinds, counts, alignment, shapes against block sizes, no
/// overlap between tensors, every tensor inside the file. `bytes` is the whole file (mapped);
/// `file_name` is for messages only. The own-format metadata (checkbit.tensor.*) is applied.
Result<GgufHeader> parse_gguf(std::span<const std::uint8_t> bytes, std::string_view file_name);

/// The header's bytes, padded to the data section. Tensor offsets are assigned here, in order,
/// each aligned; `header` is updated to match. Own formats are written as I8 rows with
/// checkbit.tensor.* metadata, so that other readers still parse the file.
std::vector<std::uint8_t> serialize_gguf_header(GgufHeader& header);

}  // namespace checkbit
