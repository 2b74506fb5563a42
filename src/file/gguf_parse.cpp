// The GGUF parser. Order of work: fixed fields, metadata, tensor table, then what needs the whole
// table: formats (own ones from metadata), sizes, place in the file.
#include <algorithm>
#include <bit>
#include <type_traits>
#include <unordered_set>

#include "base/bytes.h"
#include "file/gguf.h"
#include "file/gguf_layout.h"
#include "file/metadata_keys.h"
#include "file/own_formats.h"

namespace checkbit {
namespace {

using namespace gguf_layout;

/// A key or tensor name: not empty and printable ASCII, so that messages and JSON can carry it.
bool is_proper_name(std::string_view name) {
  return !name.empty() &&
         std::ranges::all_of(name, [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
}

/// Reads fields one after the other; every failure names file, byte offset and what was being read.
class HeaderReader {
 public:
  HeaderReader(std::span<const std::uint8_t> bytes, std::string_view file_name)
      : reader_(bytes.first(std::min<std::size_t>(bytes.size(), kMaxHeaderBytes))),
        file_(file_name),
        beyond_limit_(bytes.size() > kMaxHeaderBytes) {}

  std::size_t position() const { return reader_.position(); }
  std::size_t remaining() const { return reader_.remaining(); }

  /// Corrupt at `offset`, about the key or tensor now being read.
  template <class... Args>
  Error corrupt(std::size_t offset, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(ErrorKind::corrupt, "{}: {}{} at byte {}", file_, context_,
                fmt::format(format, std::forward<Args>(args)...), offset);
  }
  template <class... Args>
  Error unsupported(std::size_t offset, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(ErrorKind::unsupported, "{}: {}{} at byte {}", file_, context_,
                fmt::format(format, std::forward<Args>(args)...), offset);
  }

  template <class T>
  Result<T> read(std::string_view what) {
    if (const auto value = reader_.read<T>()) return *value;
    return ends_early(what, sizeof(T));
  }

  Result<std::span<const std::uint8_t>> take(std::uint64_t count, std::string_view what) {
    if (const auto bytes = reader_.take(count)) return *bytes;
    return ends_early(what, count);
  }

  Result<std::string> read_string(std::string_view what, std::uint64_t longest) {
    const std::size_t start = position();
    CB_TRY(const auto length, read<std::uint64_t>(what));
    if (length > longest) {
      return corrupt(start, "{} has a length of {}, more than {}", what, length, longest);
    }
    CB_TRY(const auto bytes, take(length, what));
    return std::string(as_text(bytes));
  }

  Result<GgufKind> read_kind(std::string_view what) {
    const std::size_t start = position();
    CB_TRY(const auto kind, read<std::uint32_t>(what));
    if (kind > static_cast<std::uint32_t>(GgufKind::f64)) {
      return corrupt(start, "{} {} is not one of 0..12", what, kind);
    }
    return static_cast<GgufKind>(kind);
  }

  Result<GgufValue> read_value(GgufKind kind);
  Result<GgufArray> read_array(int depth);

  void set_context(std::string context) { context_ = std::move(context); }

 private:
  Error ends_early(std::string_view what, std::uint64_t needed) const {
    if (beyond_limit_) {
      return unsupported(position(), "{} needs {} bytes and the header would be over {} MiB", what,
                         needed, kMaxHeaderBytes >> 20);
    }
    return corrupt(position(), "truncated file, fetch it again: {} needs {} bytes and {} remain",
                   what, needed, remaining());
  }

  template <class T>
  Result<GgufValue> read_scalar(GgufKind kind) {
    CB_TRY(const auto value, read<T>("value"));
    if constexpr (std::is_floating_point_v<T>) {
      return GgufValue{kind, value};
    } else if constexpr (std::is_signed_v<T>) {
      return GgufValue{kind, std::int64_t{value}};
    } else {
      return GgufValue{kind, std::uint64_t{value}};
    }
  }

  /// `count` elements stored as Stored, kept as Held.
  template <class Stored, class Held>
  Result<GgufArray> read_elements(GgufKind kind, std::uint64_t count) {
    CB_TRY(const auto bytes, take(count * sizeof(Stored), "array"));
    std::vector<Held> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = load_unaligned<Stored>(bytes.data() + i * sizeof(Stored));
    }
    return GgufArray{kind, std::move(values)};
  }

  Result<GgufArray> read_booleans(std::uint64_t count);
  Result<GgufArray> read_strings(std::uint64_t count);
  Result<GgufArray> read_arrays(std::uint64_t count, int depth);

  ByteReader reader_;
  std::string file_;
  std::string context_;
  bool beyond_limit_;
  std::uint64_t array_elements_ = 0;  ///< of all arrays so far
};

Result<GgufValue> HeaderReader::read_value(GgufKind kind) {
  switch (kind) {
    case GgufKind::u8:
      return read_scalar<std::uint8_t>(kind);
    case GgufKind::i8:
      return read_scalar<std::int8_t>(kind);
    case GgufKind::u16:
      return read_scalar<std::uint16_t>(kind);
    case GgufKind::i16:
      return read_scalar<std::int16_t>(kind);
    case GgufKind::u32:
      return read_scalar<std::uint32_t>(kind);
    case GgufKind::i32:
      return read_scalar<std::int32_t>(kind);
    case GgufKind::u64:
      return read_scalar<std::uint64_t>(kind);
    case GgufKind::i64:
      return read_scalar<std::int64_t>(kind);
    case GgufKind::f32:
      return read_scalar<float>(kind);
    case GgufKind::f64:
      return read_scalar<double>(kind);
    case GgufKind::boolean: {
      const std::size_t start = position();
      CB_TRY(const auto byte, read<std::uint8_t>("value"));
      if (byte > 1) return corrupt(start, "boolean value {} is neither 0 nor 1", byte);
      return GgufValue::of(byte == 1);
    }
    case GgufKind::string: {
      CB_TRY(auto text, read_string("string value", kMaxHeaderBytes));
      return GgufValue::of(std::move(text));
    }
    case GgufKind::array:
      break;
  }
  CB_TRY(auto array, read_array(1));
  return GgufValue{GgufKind::array, std::move(array)};
}

Result<GgufArray> HeaderReader::read_array(int depth) {
  const std::size_t start = position();
  if (depth > kMaxArrayDepth) {
    return corrupt(start, "array nested deeper than {} levels", kMaxArrayDepth);
  }
  CB_TRY(const auto kind, read_kind("kind of array elements"));
  CB_TRY(const auto count, read<std::uint64_t>("array count"));
  if (count > remaining() / min_bytes(kind)) {
    return corrupt(start, "array of {} elements does not fit into the {} bytes that remain", count,
                   remaining());
  }
  array_elements_ += count;
  if (array_elements_ > kMaxArrayElements) {
    return unsupported(start, "arrays of more than {} elements in all", kMaxArrayElements);
  }
  switch (kind) {
    case GgufKind::u8:
      return read_elements<std::uint8_t, std::uint64_t>(kind, count);
    case GgufKind::i8:
      return read_elements<std::int8_t, std::int64_t>(kind, count);
    case GgufKind::u16:
      return read_elements<std::uint16_t, std::uint64_t>(kind, count);
    case GgufKind::i16:
      return read_elements<std::int16_t, std::int64_t>(kind, count);
    case GgufKind::u32:
      return read_elements<std::uint32_t, std::uint64_t>(kind, count);
    case GgufKind::i32:
      return read_elements<std::int32_t, std::int64_t>(kind, count);
    case GgufKind::u64:
      return read_elements<std::uint64_t, std::uint64_t>(kind, count);
    case GgufKind::i64:
      return read_elements<std::int64_t, std::int64_t>(kind, count);
    case GgufKind::f32:
      return read_elements<float, float>(kind, count);
    case GgufKind::f64:
      return read_elements<double, double>(kind, count);
    case GgufKind::boolean:
      return read_booleans(count);
    case GgufKind::string:
      return read_strings(count);
    case GgufKind::array:
      break;
  }
  return read_arrays(count, depth);
}

Result<GgufArray> HeaderReader::read_booleans(std::uint64_t count) {
  const std::size_t start = position();
  CB_TRY(auto array, (read_elements<std::uint8_t, std::uint64_t>(GgufKind::boolean, count)));
  const auto& values = std::get<std::vector<std::uint64_t>>(array.values);
  const auto wrong = std::ranges::find_if(values, [](std::uint64_t value) { return value > 1; });
  if (wrong != values.end()) {
    const auto index = static_cast<std::size_t>(wrong - values.begin());
    return corrupt(start + index, "boolean element {} is {}, neither 0 nor 1", index, *wrong);
  }
  return array;
}

Result<GgufArray> HeaderReader::read_strings(std::uint64_t count) {
  std::vector<std::string> strings;
  strings.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    CB_TRY(auto text, read_string("string element", kMaxHeaderBytes));
    strings.push_back(std::move(text));
  }
  return GgufArray{GgufKind::string, std::move(strings)};
}

Result<GgufArray> HeaderReader::read_arrays(std::uint64_t count, int depth) {
  std::vector<GgufArray> arrays;
  arrays.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    CB_TRY(auto array, read_array(depth + 1));
    arrays.push_back(std::move(array));
  }
  return GgufArray{GgufKind::array, std::move(arrays)};
}

struct Counts {
  std::uint64_t tensors = 0;
  std::uint64_t keys = 0;
};

/// Magic, version and the two counts.
Result<Counts> read_start(HeaderReader& reader, GgufHeader& header) {
  CB_TRY(const auto magic, reader.read<std::uint32_t>("magic"));
  if (magic != kMagic) return reader.corrupt(0, "not a GGUF file: the magic is 0x{:08x}", magic);
  CB_TRY(header.version, reader.read<std::uint32_t>("version"));
  if (header.version != 0 && (header.version & 0xffff) == 0) {
    return reader.unsupported(4, "big-endian file, convert it to little endian first: version");
  }
  if (header.version != 2 && header.version != 3) {
    return reader.unsupported(4, "GGUF version {} (2 and 3 are read)", header.version);
  }
  Counts counts;
  CB_TRY(counts.tensors, reader.read<std::uint64_t>("tensor count"));
  CB_TRY(counts.keys, reader.read<std::uint64_t>("key count"));
  // The least a tensor takes: a name of one byte, one dimension, type and offset.
  constexpr std::uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
  constexpr std::uint64_t kMinKeyBytes = 8 + 1 + 4 + 1;
  if (counts.tensors > reader.remaining() / kMinTensorBytes) {
    return reader.corrupt(8, "{} tensors do not fit into the {} bytes that remain: tensor count",
                          counts.tensors, reader.remaining());
  }
  if (counts.keys > reader.remaining() / kMinKeyBytes) {
    return reader.corrupt(16, "{} keys do not fit into the {} bytes that remain: key count",
                          counts.keys, reader.remaining());
  }
  return counts;
}

/// A key or tensor name; refused when improper or already in `seen`.
Result<std::string> read_new_name(HeaderReader& reader, std::string_view what,
                                  std::unordered_set<std::string>& seen) {
  const std::size_t start = reader.position();
  CB_TRY(auto name, reader.read_string(what, kMaxNameBytes));
  if (!is_proper_name(name)) {
    return reader.corrupt(start, "{} {} is empty or not printable ASCII", what, quoted(name));
  }
  if (!seen.insert(name).second) {
    return reader.corrupt(start, "{} {} occurs twice, again", what, quoted(name));
  }
  return name;
}

Status read_metadata(HeaderReader& reader, std::uint64_t count, GgufHeader& header) {
  std::unordered_set<std::string> seen;
  for (std::uint64_t i = 0; i < count; ++i) {
    reader.set_context(fmt::format("key {} of {}: ", i + 1, count));
    CB_TRY(auto key, read_new_name(reader, "key", seen));
    reader.set_context(fmt::format("key {}: ", quoted(key)));
    CB_TRY(const auto kind, reader.read_kind("kind"));
    const std::size_t start = reader.position();
    CB_TRY(auto value, reader.read_value(kind));
    header.metadata.append(std::move(key), std::move(value));
    if (header.metadata.entries().back().first != kKeyAlignment) continue;
    const auto alignment = header.metadata.get_uint(kKeyAlignment);
    if (!alignment || !std::has_single_bit(*alignment) || *alignment < kMinAlignment ||
        *alignment > kMaxAlignment) {
      return reader.corrupt(start, "alignment is not a power of two from {} to {}", kMinAlignment,
                            kMaxAlignment);
    }
    header.alignment = *alignment;
  }
  reader.set_context("");
  return {};
}

/// What the table says of a tensor before its format is known.
struct TableRow {
  std::uint32_t type_id = 0;
  std::size_t position = 0;  ///< of the row in the file
  std::size_t dimensions_position = 0;
  std::size_t type_position = 0;
  std::size_t offset_position = 0;
};

Status read_dimensions(HeaderReader& reader, GgufTensor& tensor) {
  const std::size_t start = reader.position();
  CB_TRY(const auto count, reader.read<std::uint32_t>("dimension count"));
  if (count < 1 || count > kMaxDimensions) {
    return reader.corrupt(start, "{} dimensions, not 1 to {},", count, kMaxDimensions);
  }
  std::uint64_t elements = 1;
  for (std::uint32_t d = 0; d < count; ++d) {
    const std::size_t position = reader.position();
    CB_TRY(const auto dimension, reader.read<std::uint64_t>("dimension"));
    const auto product = checked_multiply(elements, dimension);
    // 2^60 elements: sizes in bytes (at most 8 an element) stay clear of the 64-bit limit.
    if (dimension == 0 || !product || *product > std::uint64_t{1} << 60) {
      return reader.corrupt(position, "dimension {} is {}, out of range,", d, dimension);
    }
    elements = *product;
    tensor.dimensions.push_back(dimension);
  }
  return {};
}

Status read_tensors(HeaderReader& reader, std::uint64_t count, GgufHeader& header,
                    std::vector<TableRow>& rows) {
  std::unordered_set<std::string> seen;
  for (std::uint64_t i = 0; i < count; ++i) {
    reader.set_context(fmt::format("tensor {} of {}: ", i + 1, count));
    GgufTensor tensor;
    TableRow row{.position = reader.position()};
    CB_TRY(tensor.name, read_new_name(reader, "tensor", seen));
    reader.set_context(fmt::format("tensor {}: ", quoted(tensor.name)));
    row.dimensions_position = reader.position();
    CB_TRY_STATUS(read_dimensions(reader, tensor));
    row.type_position = reader.position();
    CB_TRY(row.type_id, reader.read<std::uint32_t>("type"));
    row.offset_position = reader.position();
    CB_TRY(tensor.offset, reader.read<std::uint64_t>("offset"));
    header.tensors.push_back(std::move(tensor));
    rows.push_back(row);
  }
  reader.set_context("");
  return {};
}

/// Format and size of every tensor whose format the own-format metadata has not set.
Status set_formats(HeaderReader& reader, const std::vector<TableRow>& rows, GgufHeader& header) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    GgufTensor& tensor = header.tensors[i];
    const TableRow& row = rows[i];
    reader.set_context(fmt::format("tensor {}: ", quoted(tensor.name)));
    if (tensor.format == nullptr) tensor.format = find_format(row.type_id);
    if (tensor.format == nullptr || row.type_id >= kOwnFormatBase) {
      return reader.unsupported(row.type_position, "unknown tensor type {}", row.type_id);
    }
    const auto block_elements = static_cast<std::uint64_t>(tensor.format->block_elements);
    if (tensor.columns() % block_elements != 0) {
      return reader.corrupt(row.dimensions_position,
                            "{} columns are not a multiple of {}, the block of {},",
                            tensor.columns(), block_elements, tensor.format->name);
    }
    tensor.size_bytes = tensor.row_bytes() * tensor.rows();
  }
  reader.set_context("");
  return {};
}

/// Every tensor aligned and inside the file, no two sharing a byte.
Status check_places(HeaderReader& reader, const std::vector<TableRow>& rows,
                    const GgufHeader& header, std::uint64_t file_bytes) {
  const std::uint64_t data_bytes =
      file_bytes > header.data_offset ? file_bytes - header.data_offset : 0;
  std::vector<std::size_t> order(rows.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](std::size_t i) { return header.tensors[i].offset; });
  const GgufTensor* before = nullptr;
  for (const std::size_t i : order) {
    const GgufTensor& tensor = header.tensors[i];
    reader.set_context(fmt::format("tensor {}: ", quoted(tensor.name)));
    const std::size_t at = rows[i].offset_position;
    if (tensor.offset % header.alignment != 0) {
      return reader.corrupt(at, "offset {} is not a multiple of {}, the alignment,", tensor.offset,
                            header.alignment);
    }
    if (tensor.offset > data_bytes || tensor.size_bytes > data_bytes - tensor.offset) {
      return reader.corrupt(at,
                            "truncated file, fetch it again: data at offset {} needs {} bytes and "
                            "the data section has {}:",
                            tensor.offset, tensor.size_bytes, data_bytes);
    }
    if (before != nullptr && tensor.offset < before->offset + before->size_bytes) {
      return reader.corrupt(at, "data at offset {} overlaps tensor {}", tensor.offset,
                            quoted(before->name));
    }
    before = &tensor;
  }
  reader.set_context("");
  return {};
}

}  // namespace

Result<GgufHeader> parse_gguf(std::span<const std::uint8_t> bytes, std::string_view file_name) {
  HeaderReader reader(bytes, file_name);
  GgufHeader header;
  CB_TRY(const Counts counts, read_start(reader, header));
  CB_TRY_STATUS(read_metadata(reader, counts.keys, header));
  std::vector<TableRow> rows;
  CB_TRY_STATUS(read_tensors(reader, counts.tensors, header, rows));
  header.data_offset = align_up(reader.position(), header.alignment);
  std::vector<std::uint32_t> type_ids;
  for (const TableRow& row : rows) type_ids.push_back(row.type_id);
  CB_TRY_STATUS(apply_own_formats(header, type_ids, file_name));
  CB_TRY_STATUS(set_formats(reader, rows, header));
  CB_TRY_STATUS(check_places(reader, rows, header, bytes.size()));
  return header;
}

}  // namespace checkbit
