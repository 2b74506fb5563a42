#include "measure/interpolate.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>
#include <vector>

#include "base/progress.h"
#include "file/metadata_keys.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kSlabElements = 1u << 20;

const Format& required(std::string_view name) {
  const Format* format = find_format(name);
  CB_CHECK(format != nullptr);
  return *format;
}

const Format& format_of(const GgufTensor& tensor, const Format& wanted) {
  if (tensor.rows() == 1 || tensor.dimensions.size() < 2) return required("F32");
  const auto block = static_cast<std::uint64_t>(wanted.block_elements);
  return tensor.columns() % block == 0 ? wanted : required("F16");
}

Status check_pair(const ModelFile& older, const ModelFile& newer) {
  for (const auto* pair : {&older, &newer}) {
    const ModelFile& other = pair == &older ? newer : older;
    for (const ModelTensor& tensor : pair->tensors()) {
      const ModelTensor* match = other.find(tensor.info.name);
      if (match == nullptr) {
        return fail(ErrorKind::invalid,
                    "{}: has no tensor {}, which {} has: not two versions of one model",
                    other.path(), tensor.info.name, pair->path());
      }
      if (match->info.dimensions != tensor.info.dimensions) {
        return fail(ErrorKind::invalid,
                    "{}: tensor {} has another shape than in {}: not two versions of one model",
                    other.path(), tensor.info.name, pair->path());
      }
    }
  }
  return {};
}

GgufHeader header_of(const ModelFile& newer, const Format& format) {
  GgufHeader header;
  header.metadata = newer.metadata();
  for (const std::string_view key :
       {kKeySplitNumber, kKeySplitCount, kKeySplitTensors, kKeyReceiptSource, kKeyReceiptCommand,
        kKeyReceiptAllocation, kKeyReceiptLoss}) {
    header.metadata.erase(key);  // of the file read, not of this one
  }
  header.metadata.erase("general.file_type");
  for (const ModelTensor& tensor : newer.tensors()) {
    GgufTensor info = tensor.info;
    info.format = &format_of(info, format);
    info.size_bytes = info.rows() * info.row_bytes();
    header.tensors.push_back(std::move(info));
  }
  return header;
}

/// One row of the mean.
class Blender {
 public:
  Blender(const ModelTensor& older, const ModelTensor& newer, const Format& to, double share)
      : older_(older), newer_(newer), to_(to), share_(share) {}

  /// False when a weight is not finite in `to`.
  bool write_row(std::uint64_t row, std::uint8_t* out) const {
    const auto columns = static_cast<std::size_t>(newer_.info.columns());
    std::vector<float> mean(columns);
    std::vector<float> other(columns);
    decode(older_, row, other);
    decode(newer_, row, mean);
    for (std::size_t i = 0; i < columns; ++i) {
      mean[i] = static_cast<float>(share_ * static_cast<double>(other[i]) +
                                   (1 - share_) * static_cast<double>(mean[i]));
      if (!std::isfinite(mean[i])) return false;
    }
    const std::size_t blocks = columns / static_cast<std::size_t>(to_.block_elements);
    to_.encode(mean.data(), blocks, nullptr, out);
    for (std::size_t b = 0; to_.is_finite != nullptr && b < blocks; ++b) {
      if (!to_.is_finite(out + b * static_cast<std::size_t>(to_.block_bytes))) return false;
    }
    return true;
  }

 private:
  static void decode(const ModelTensor& tensor, std::uint64_t row, std::vector<float>& values) {
    const Format& format = *tensor.info.format;
    format.decode(tensor.bytes.data() + row * tensor.info.row_bytes(),
                  values.size() / static_cast<std::size_t>(format.block_elements), values.data());
  }

  const ModelTensor& older_;
  const ModelTensor& newer_;
  const Format& to_;
  double share_;
};

Status write_tensor(const Blender& blender, std::size_t index, GgufWriter& writer, ThreadPool& pool,
                    Progress& progress) {
  const GgufTensor& info = writer.header().tensors[index];
  const std::uint64_t slab_rows = std::max<std::uint64_t>(1, kSlabElements / info.columns());
  std::vector<std::uint8_t> slab;
  for (std::uint64_t first = 0; first < info.rows(); first += slab_rows) {
    if (cancel_requested()) return cancelled_error();
    const std::uint64_t rows = std::min(slab_rows, info.rows() - first);
    slab.resize(static_cast<std::size_t>(rows * info.row_bytes()));
    std::atomic<bool> finite{true};
    pool.for_ranges(static_cast<std::int64_t>(rows), [&](std::int64_t begin, std::int64_t end) {
      for (auto row = static_cast<std::uint64_t>(begin); row < static_cast<std::uint64_t>(end);
           ++row) {
        if (!blender.write_row(first + row, slab.data() + row * info.row_bytes())) finite = false;
      }
    });
    if (!finite) {
      return fail(ErrorKind::corrupt,
                  "tensor {}: rows {} to {} hold NaN, infinity or weights too large for {}",
                  info.name, first, first + rows - 1, info.format->name);
    }
    CB_TRY_STATUS(writer.append(index, slab));
    progress.advance(rows * info.columns());
  }
  return {};
}

}  // namespace

Result<GgufWriter> write_interpolated(const ModelFile& older, const ModelFile& newer, double share,
                                      const Format& format, const std::string& path,
                                      ThreadPool& pool) {
  if (!(share >= 0 && share <= 1))
    return fail(ErrorKind::invalid, "a share of {} of the older weights is not in 0..1", share);
  CB_CHECK(format.encode != nullptr && !format.own);
  CB_TRY_STATUS(check_pair(older, newer));
  CB_TRY(GgufWriter writer, GgufWriter::create(path, header_of(newer, format)));
  std::uint64_t elements = 0;
  for (const ModelTensor& tensor : newer.tensors()) elements += tensor.info.elements();
  Progress progress("interpolating", elements, "weights");
  for (std::size_t i = 0; i < newer.tensors().size(); ++i) {
    const ModelTensor& tensor = newer.tensors()[i];
    const Blender blender(*older.find(tensor.info.name), tensor, *writer.header().tensors[i].format,
                          share);
    CB_TRY_STATUS(write_tensor(blender, i, writer, pool, progress));
    newer.drop_pages(tensor);
    older.drop_pages(*older.find(tensor.info.name));
  }
  return writer;
}

}  // namespace checkbit
