#include "guard/seal_places.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/aligned_buffer.h"
#include "formats/field_map.h"
#include "report/text.h"

namespace checkbit {
namespace {

std::uint32_t bit_in_block(const Place& place, int bit) {
  return static_cast<std::uint32_t>(place.byte_in_block * 8) + static_cast<std::uint32_t>(bit);
}

std::string field_name(const FieldRun& run) {
  std::string name(to_string(run.field));
  if (run.part != FieldPart::whole) name += fmt::format(".{}", to_string(run.part));
  return name;
}

}  // namespace

ModelPlaces ModelPlaces::read(const SpanFile& model, std::uint64_t model_bytes,
                              std::span<const Patch> patches) {
  ModelPlaces places;
  // An image as long as the model, of which only the beginning is ever touched: the parser reads
  // the header and compares offsets with the length.
  auto image = AlignedBuffer::allocate(static_cast<std::size_t>(model_bytes), "header of the model",
                                       AlignedBuffer::Pages::small);
  if (!image.ok()) return places;
  const std::uint64_t window = std::min(model_bytes, kHeaderWindow);
  constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
  const auto load = [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t at = begin; at < end; at += 4096) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(4096, end - at));
      (void)model.read(at, {image->data() + at, size});
    }
    for (const Patch& patch : patches) {
      if (patch.offset + patch.bytes.size() > window) continue;
      std::ranges::copy(patch.bytes, image->data() + patch.offset);
    }
  };
  // Headers are of a few hundred KB to 20 MB: the image grows until one parses.
  std::uint64_t loaded = 0;
  for (std::uint64_t upto = std::min(window, kPiece);; upto = std::min(window, upto * 4)) {
    load(std::exchange(loaded, upto), upto);
    auto header = parse_gguf({image->data(), image->size()}, model.path());
    if (header.ok()) {
      places.data_offset_ = header->data_offset;
      for (GgufTensor& tensor : header->tensors) {
        const std::uint64_t begin = header->data_offset + tensor.offset;
        places.tensors_.push_back({begin, begin + tensor.size_bytes, std::move(tensor)});
      }
      break;
    }
    if (upto == window) break;
  }
  std::ranges::sort(places.tensors_, {}, &Extent::begin);
  return places;
}

const ModelPlaces::Extent* ModelPlaces::find(std::uint64_t byte) const {
  const auto after = std::ranges::upper_bound(tensors_, byte, {}, &Extent::begin);
  if (after == tensors_.begin()) return nullptr;
  const Extent& extent = *std::prev(after);
  return byte < extent.end ? &extent : nullptr;
}

Place ModelPlaces::at(std::uint64_t byte) const {
  Place place;
  if (!known()) return place;
  const Extent* extent = find(byte);
  if (extent == nullptr) {
    place.part = byte < data_offset_ ? Place::Part::header : Place::Part::padding;
    return place;
  }
  const GgufTensor& tensor = extent->tensor;
  const std::uint64_t inside = byte - extent->begin;
  const auto block_bytes = static_cast<std::uint64_t>(tensor.format->block_bytes);
  place.part = Place::Part::tensor;
  place.tensor = tensor.name;
  place.format = tensor.format;
  place.row = inside / tensor.row_bytes();
  place.block = inside / block_bytes;
  place.first_weight = inside % tensor.row_bytes() / block_bytes *
                       static_cast<std::uint64_t>(tensor.format->block_elements);
  place.byte_in_block = inside % block_bytes;
  return place;
}

std::string ModelPlaces::describe(std::uint64_t byte) const {
  const Place place = at(byte);
  switch (place.part) {
    case Place::Part::header:
      return "header";
    case Place::Part::padding:
      return "padding";
    case Place::Part::tensor:
      return fmt::format("{} ({}), row {}, block {}", clean_line(place.tensor), place.format->name,
                         place.row, place.block);
    case Place::Part::unknown:
      break;
  }
  return "unknown: the header cannot be read";
}

std::string ModelPlaces::describe_bits(std::uint64_t byte, std::uint8_t flipped) const {
  const Place place = at(byte);
  if (place.part != Place::Part::tensor) return "";
  std::string text;
  for (int bit = 0; bit < 8; ++bit) {
    if ((flipped >> bit & 1) == 0) continue;
    const std::uint32_t position = bit_in_block(place, bit);
    text += fmt::format("{}{} bit {}", text.empty() ? "" : ", ",
                        field_name(field_map(*place.format).run_at(position)), position);
  }
  return text;
}

std::string ModelPlaces::field(std::uint64_t byte, std::uint8_t flipped) const {
  const Place place = at(byte);
  if (place.part != Place::Part::tensor || flipped == 0) return "";
  return field_name(field_map(*place.format).run_at(bit_in_block(place, __builtin_ctz(flipped))));
}

std::vector<std::string> ModelPlaces::tensors_in(std::uint64_t begin, std::uint64_t end,
                                                 std::size_t most) const {
  std::vector<std::string> names;
  const auto first = std::ranges::upper_bound(tensors_, begin, {}, &Extent::begin);
  auto extent = first == tensors_.begin() ? first : std::prev(first);
  for (; extent != tensors_.end() && extent->begin < end && names.size() < most; ++extent) {
    if (extent->end > begin) names.push_back(extent->tensor.name);
  }
  return names;
}

}  // namespace checkbit
