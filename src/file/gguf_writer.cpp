#include "file/gguf_writer.h"

#include <vector>

#include "file/gguf_layout.h"
#include "file/model_file.h"

namespace checkbit {

Result<GgufWriter> GgufWriter::create(const std::string& path, GgufHeader header) {
  CB_TRY(auto file, AtomicFile::create(path));
  const auto bytes = serialize_gguf_header(header);
  GgufWriter writer(std::move(file), std::move(header));
  CB_TRY_STATUS(writer.file_.reserve(writer.total_bytes()));
  CB_TRY_STATUS(writer.file_.write(bytes));
  return writer;
}

std::uint64_t GgufWriter::total_bytes() const {
  if (header_.tensors.empty()) return header_.data_offset;
  const GgufTensor& last = header_.tensors.back();
  return header_.data_offset +
         gguf_layout::align_up(last.offset + last.size_bytes, header_.alignment);
}

Status GgufWriter::append(std::size_t tensor, std::span<const std::uint8_t> bytes) {
  CB_CHECK(tensor == next_tensor_ && tensor < header_.tensors.size());
  const GgufTensor& info = header_.tensors[tensor];
  const std::uint64_t end = header_.data_offset + info.offset + info.size_bytes;
  CB_CHECK(bytes.size() <= end - file_.size_bytes());
  CB_TRY_STATUS(file_.write(bytes));
  if (file_.size_bytes() < end) return {};
  ++next_tensor_;
  return pad_to(gguf_layout::align_up(end, header_.alignment));
}

Status GgufWriter::pad_to(std::uint64_t file_offset) {
  const std::vector<std::uint8_t> zeros(static_cast<std::size_t>(file_offset - file_.size_bytes()));
  return file_.write(zeros);
}

Status GgufWriter::replace_text(std::string_view key, std::string text) {
  CB_CHECK(next_tensor_ == header_.tensors.size());
  const auto old = header_.metadata.get_string(key);
  CB_CHECK(old.has_value() && old->size() == text.size());
  header_.metadata.set(std::string(key), GgufValue::of(std::move(text)));
  const std::uint64_t data_offset = header_.data_offset;
  const auto bytes = serialize_gguf_header(header_);
  CB_CHECK(header_.data_offset == data_offset);
  return file_.overwrite(0, bytes);
}

Status GgufWriter::finish() {
  CB_CHECK(next_tensor_ == header_.tensors.size());
  CB_CHECK(file_.size_bytes() == total_bytes());
  {
    CB_TRY(const auto written, MappedFile::open(file_.temporary_path()));
    CB_TRY(const auto parsed, parse_gguf(written.bytes(), file_.path()));
    CB_CHECK(parsed.data_offset == header_.data_offset);
  }
  return file_.commit();
}

}  // namespace checkbit
