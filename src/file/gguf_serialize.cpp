// The GGUF header writer: the inverse of gguf_parse.cpp.
#include "base/bytes.h"
#include "file/gguf.h"
#include "file/gguf_layout.h"
#include "file/metadata_keys.h"
#include "file/own_formats.h"

namespace checkbit {
namespace {

using namespace gguf_layout;

class HeaderWriter {
 public:
  template <class T>
  void write(T value) {
    const std::size_t start = bytes_.size();
    bytes_.resize(start + sizeof(T));
    store_unaligned(bytes_.data() + start, value);
  }

  void write_string(std::string_view text) {
    write(std::uint64_t{text.size()});
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }

  void write_kind(GgufKind kind) { write(static_cast<std::uint32_t>(kind)); }

  /// An integer of `kind`, cut to the kind's width.
  void write_integer(GgufKind kind, std::uint64_t value) {
    switch (min_bytes(kind)) {
      case 1:
        return write(static_cast<std::uint8_t>(value));
      case 2:
        return write(static_cast<std::uint16_t>(value));
      case 4:
        return write(static_cast<std::uint32_t>(value));
      default:
        return write(value);
    }
  }

  void write_value(const GgufValue& value) {
    write_kind(value.kind);
    std::visit([&](const auto& held) { write_one(value.kind, held); }, value.value);
  }

  std::vector<std::uint8_t> take(std::uint64_t padded_size) && {
    bytes_.resize(static_cast<std::size_t>(padded_size));
    return std::move(bytes_);
  }
  std::size_t size() const { return bytes_.size(); }

 private:
  void write_one(GgufKind kind, std::uint64_t value) { write_integer(kind, value); }
  void write_one(GgufKind kind, std::int64_t value) {
    write_integer(kind, static_cast<std::uint64_t>(value));
  }
  void write_one(GgufKind, float value) { write(value); }
  void write_one(GgufKind, double value) { write(value); }
  void write_one(GgufKind, bool value) { write(static_cast<std::uint8_t>(value)); }
  void write_one(GgufKind, const std::string& text) { write_string(text); }
  void write_one(GgufKind, const GgufArray& array) {
    write_kind(array.kind);
    write(std::uint64_t{array.size()});
    std::visit(
        [&](const auto& elements) {
          for (const auto& element : elements) write_one(array.kind, element);
        },
        array.values);
  }

  std::vector<std::uint8_t> bytes_;
};

void write_tensor(HeaderWriter& out, const GgufTensor& tensor) {
  out.write_string(tensor.name);
  out.write(static_cast<std::uint32_t>(tensor.dimensions.size()));
  for (std::size_t d = 0; d < tensor.dimensions.size(); ++d) {
    out.write(d == 0 && tensor.format->own ? tensor.row_bytes() : tensor.dimensions[d]);
  }
  out.write(tensor.format->own ? kTypeI8 : tensor.format->type_id);
  out.write(tensor.offset);
}

}  // namespace

std::vector<std::uint8_t> serialize_gguf_header(GgufHeader& header) {
  header.version = kVersion;
  if (header.alignment != kDefaultAlignment || header.metadata.find(kKeyAlignment) != nullptr) {
    header.metadata.set(std::string(kKeyAlignment),
                        GgufValue::of(static_cast<std::uint32_t>(header.alignment)));
  }
  std::uint64_t offset = 0;
  for (GgufTensor& tensor : header.tensors) {
    tensor.offset = offset;
    tensor.size_bytes = tensor.row_bytes() * tensor.rows();
    offset = align_up(offset + tensor.size_bytes, header.alignment);
  }
  Metadata stored = header.metadata;
  store_own_formats(header.tensors, stored);

  HeaderWriter out;
  out.write(kMagic);
  out.write(kVersion);
  out.write(std::uint64_t{header.tensors.size()});
  out.write(std::uint64_t{stored.entries().size()});
  for (const auto& [key, value] : stored.entries()) {
    out.write_string(key);
    out.write_value(value);
  }
  for (const GgufTensor& tensor : header.tensors) write_tensor(out, tensor);
  header.data_offset = align_up(out.size(), header.alignment);
  return std::move(out).take(header.data_offset);
}

}  // namespace checkbit
