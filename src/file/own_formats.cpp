#include "file/own_formats.h"

#include <unordered_map>

#include "base/bytes.h"
#include "file/gguf_layout.h"
#include "file/metadata_keys.h"

namespace checkbit {
namespace {

using gguf_layout::quoted;

struct Declared {
  const std::vector<std::string>* names = nullptr;
  const std::vector<std::string>* formats = nullptr;
  std::vector<std::int64_t> columns;
};

/// Sets the true format and columns of one tensor, whose stored dimensions are [row_bytes, ...].
Status apply_one(GgufTensor& tensor, std::uint32_t type_id, std::string_view format_name,
                 std::uint64_t columns, std::string_view file_name) {
  const auto wrong = [&](ErrorKind kind, const std::string& what) {
    return fail(kind, "{}: key \"{}\": tensor {} {}", file_name, kKeyTensorNames,
                quoted(tensor.name), what);
  };
  if (tensor.format != nullptr) return wrong(ErrorKind::corrupt, "is named twice");
  if (type_id != gguf_layout::kTypeI8) {
    return wrong(ErrorKind::corrupt, fmt::format("has type {}, not I8", type_id));
  }
  const Format* format = find_format(format_name);
  if (format == nullptr || !format->own) {
    return wrong(ErrorKind::unsupported,
                 fmt::format("has the unknown format {}", quoted(format_name)));
  }
  const auto block_elements = static_cast<std::uint64_t>(format->block_elements);
  const auto row_bytes =
      checked_multiply(columns / block_elements, static_cast<std::uint64_t>(format->block_bytes));
  if (columns == 0 || columns % block_elements != 0 || row_bytes != tensor.dimensions[0]) {
    return wrong(ErrorKind::corrupt, fmt::format("has {} columns of {} and rows of {} bytes",
                                                 columns, format->name, tensor.dimensions[0]));
  }
  tensor.format = format;
  tensor.dimensions[0] = columns;
  const auto elements = checked_multiply(columns, tensor.rows());
  if (!elements || *elements > std::uint64_t{1} << 60) {
    return wrong(ErrorKind::corrupt, "has too many elements");
  }
  return {};
}

}  // namespace

Status apply_own_formats(GgufHeader& header, std::span<const std::uint32_t> type_ids,
                         std::string_view file_name) {
  Metadata& metadata = header.metadata;
  const bool any = metadata.find(kKeyTensorNames) || metadata.find(kKeyTensorFormats) ||
                   metadata.find(kKeyTensorColumns);
  if (!any) return {};
  const auto* names = metadata.get_strings(kKeyTensorNames);
  const auto* formats = metadata.get_strings(kKeyTensorFormats);
  const auto columns = metadata.get_ints(kKeyTensorColumns);
  if (names == nullptr || formats == nullptr || !columns || names->size() != formats->size() ||
      names->size() != columns->size()) {
    return fail(ErrorKind::corrupt,
                "{}: keys \"{}\", \"{}\" and \"{}\" are not arrays of equal length", file_name,
                kKeyTensorNames, kKeyTensorFormats, kKeyTensorColumns);
  }
  std::unordered_map<std::string_view, std::size_t> index;
  for (std::size_t i = 0; i < header.tensors.size(); ++i) index[header.tensors[i].name] = i;
  for (std::size_t i = 0; i < names->size(); ++i) {
    const auto found = index.find((*names)[i]);
    if (found == index.end()) {
      return fail(ErrorKind::corrupt, "{}: key \"{}\": no tensor {} in the file", file_name,
                  kKeyTensorNames, quoted((*names)[i]));
    }
    const auto signed_columns = (*columns)[i];
    CB_TRY_STATUS(apply_one(header.tensors[found->second], type_ids[found->second], (*formats)[i],
                            signed_columns < 0 ? 0 : static_cast<std::uint64_t>(signed_columns),
                            file_name));
  }
  for (const auto key : {kKeyTensorNames, kKeyTensorFormats, kKeyTensorColumns})
    metadata.erase(key);
  return {};
}

void store_own_formats(std::span<const GgufTensor> tensors, Metadata& metadata) {
  for (const auto key : {kKeyTensorNames, kKeyTensorFormats, kKeyTensorColumns})
    metadata.erase(key);
  std::vector<std::string> names;
  std::vector<std::string> formats;
  std::vector<std::uint64_t> columns;
  for (const GgufTensor& tensor : tensors) {
    if (!tensor.format->own) continue;
    names.push_back(tensor.name);
    formats.emplace_back(tensor.format->name);
    columns.push_back(tensor.columns());
  }
  if (names.empty()) return;
  metadata.append(std::string(kKeyTensorNames), GgufValue::of(std::move(names)));
  metadata.append(std::string(kKeyTensorFormats), GgufValue::of(std::move(formats)));
  metadata.append(std::string(kKeyTensorColumns),
                  {GgufKind::array, GgufArray{GgufKind::u64, std::move(columns)}});
}

}  // namespace checkbit
