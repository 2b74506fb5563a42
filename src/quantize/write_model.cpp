#include "quantize/write_model.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>

#include "base/output_path.h"
#include "base/progress.h"
#include "file/metadata_keys.h"
#include "file/sha256.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kSlabElements = 1u << 20;

/// Rows [begin, end) of a tensor in their new format.
class SlabEncoder {
 public:
  SlabEncoder(const TensorPlan& plan, const Calibration* calibration, const RowChange& change)
      : plan_(plan), change_(change) {
    if (calibration == nullptr) return;
    const auto uses = calibration->uses.find(plan.source->info.name);
    if (uses != calibration->uses.end()) importance_ = column_importance(uses->second);
  }

  /// False when a weight of the row is not finite.
  bool encode_row(std::uint64_t row, std::uint8_t* out) const {
    const GgufTensor& info = plan_.source->info;
    const auto columns = static_cast<std::size_t>(info.columns());
    std::vector<float> values(columns);
    info.format->decode(plan_.source->bytes.data() + row * info.row_bytes(),
                        columns / static_cast<std::size_t>(info.format->block_elements),
                        values.data());
    if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); })) return false;
    if (change_) change_(values);
    plan_.format->encode(values.data(),
                         columns / static_cast<std::size_t>(plan_.format->block_elements),
                         importance_.empty() ? nullptr : importance_.data(), out);
    return true;
  }

 private:
  const TensorPlan& plan_;
  const RowChange& change_;
  std::vector<float> importance_;  ///< [columns], or empty
};

Status write_encoded(const TensorPlan& plan, const SlabEncoder& encoder, std::size_t index,
                     GgufWriter& writer, const ModelFile& source, ThreadPool& pool,
                     Progress& progress) {
  const GgufTensor& info = plan.source->info;
  const std::uint64_t rows = info.rows();
  const std::uint64_t row_bytes = plan.file_bytes() / rows;
  const std::uint64_t slab_rows = std::max<std::uint64_t>(1, kSlabElements / info.columns());
  std::vector<std::uint8_t> slab;
  for (std::uint64_t first = 0; first < rows; first += slab_rows) {
    if (cancel_requested()) return cancelled_error();
    const std::uint64_t count = std::min(slab_rows, rows - first);
    slab.resize(count * row_bytes);
    std::atomic<std::uint64_t> bad_row{rows};
    pool.for_ranges(static_cast<std::int64_t>(count), [&](std::int64_t begin, std::int64_t end) {
      for (auto r = static_cast<std::uint64_t>(begin); r < static_cast<std::uint64_t>(end); ++r) {
        if (encoder.encode_row(first + r, slab.data() + r * row_bytes)) continue;
        std::uint64_t known = bad_row;
        while (first + r < known && !bad_row.compare_exchange_weak(known, first + r)) {
        }
      }
    });
    if (bad_row < rows) {
      return fail(ErrorKind::corrupt,
                  "{}: tensor {}: a weight in row {} is not finite; the source is damaged",
                  source.path(), info.name, bad_row.load());
    }
    CB_TRY_STATUS(writer.append(index, slab));
    source.parts()[plan.source->part].drop_pages(
        plan.source->bytes.subspan(first * info.row_bytes(), count * info.row_bytes()));
    progress.advance(count * info.columns());
  }
  return {};
}

/// Copies in pieces, so that dropping pages keeps up; blocks with NaN or infinite scales are
/// refused.
Status write_copied(const TensorPlan& plan, std::size_t index, GgufWriter& writer,
                    const ModelFile& source, Progress& progress) {
  const GgufTensor& info = plan.source->info;
  const auto block_bytes = static_cast<std::size_t>(info.format->block_bytes);
  const std::size_t piece = std::max<std::size_t>(1, (4u << 20) / block_bytes) * block_bytes;
  for (std::size_t at = 0; at < plan.source->bytes.size(); at += piece) {
    if (cancel_requested()) return cancelled_error();
    const auto bytes =
        plan.source->bytes.subspan(at, std::min(piece, plan.source->bytes.size() - at));
    for (std::size_t b = 0; info.format->is_finite != nullptr && b < bytes.size();
         b += block_bytes) {
      if (info.format->is_finite(bytes.data() + b)) continue;
      return fail(ErrorKind::corrupt,
                  "{}: tensor {}: block {} holds NaN or infinity; the source is damaged",
                  source.path(), info.name, (at + b) / block_bytes);
    }
    CB_TRY_STATUS(writer.append(index, bytes));
    source.parts()[plan.source->part].drop_pages(bytes);
  }
  progress.advance(info.elements());
  return {};
}

GgufHeader planned_header(const ModelFile& source, const Plan& plan, const Receipt& receipt) {
  GgufHeader header;
  header.metadata = source.metadata();
  for (const std::string_view key :
       {kKeySplitNumber, kKeySplitCount, kKeySplitTensors, kKeyReceiptLoss, kKeyReceiptRounding,
        kKeyReceiptCalibration}) {
    header.metadata.erase(key);  // of the source, not of this file
  }
  header.metadata.set("general.quantization_version", GgufValue::of(std::uint32_t{2}));
  header.metadata.erase("general.file_type");  // names one type for the whole file
  header.metadata.set(std::string(kKeyReceiptSource), GgufValue::of(receipt.source_sha256));
  header.metadata.set(std::string(kKeyReceiptCommand), GgufValue::of(receipt.command));
  header.metadata.set(std::string(kKeyReceiptAllocation), GgufValue::of(plan.summary()));
  if (!receipt.rounding.empty())
    header.metadata.set(std::string(kKeyReceiptRounding), GgufValue::of(receipt.rounding));
  if (!receipt.calibration_sha256.empty())
    header.metadata.set(std::string(kKeyReceiptCalibration),
                        GgufValue::of(receipt.calibration_sha256));
  if (!receipt.loss.empty())
    header.metadata.set(std::string(kKeyReceiptLoss), GgufValue::of(receipt.loss));
  for (const TensorPlan& t : plan.tensors) {
    GgufTensor info = t.source->info;
    info.format = t.format;
    info.size_bytes = t.file_bytes();
    header.tensors.push_back(std::move(info));
  }
  return header;
}

/// Files that the source consists of.
std::vector<std::string> part_paths(const ModelFile& source) {
  const std::size_t count = source.parts().size();
  if (count < 2) return {source.path()};
  constexpr std::size_t kSuffix = std::string_view("-00001-of-00001.gguf").size();
  const std::string stem = source.path().substr(0, source.path().size() - kSuffix);
  std::vector<std::string> paths;
  for (std::size_t n = 1; n <= count; ++n)
    paths.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", stem, n, count));
  return paths;
}

}  // namespace

std::string loss_text(double divergence, std::uint64_t tokens) {
  constexpr std::size_t kDigits = 8;  // of a number that may have any count of them
  return fmt::format("KL divergence {} nats per token over {} tokens of the calibration text",
                     fmt::format("{:.6f}", divergence).substr(0, kDigits), tokens);
}

Result<std::string> source_sha256(const ModelFile& source) {
  std::string all;
  for (const std::string& path : part_paths(source)) {
    CB_TRY(const std::string one, sha256_of_file(path));
    all += (all.empty() ? "" : " ") + one;
  }
  return all;
}

Status check_output_path(const ModelFile& source, const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  for (const std::string& part : part_paths(source)) {
    if (fs::equivalent(part, path, ignored)) {
      return fail(ErrorKind::invalid,
                  "{}: the output would overwrite the source {}; choose another name", path, part);
    }
  }
  if (is_named_like_a_part(path)) {
    return fail(ErrorKind::invalid,
                "{}: is named like one part of a split model, so it would not open alone; choose "
                "another name",
                path);
  }
  return check_output_path(path);
}

Result<GgufWriter> write_unnamed(const ModelFile& source, const Plan& plan, const Receipt& receipt,
                                 const Calibration* calibration, const std::string& path,
                                 ThreadPool& pool, const RowChange& change,
                                 const EncodedTensors* encoded) {
  CB_TRY_STATUS(check_output_path(source, path));
  CB_TRY(GgufWriter writer, GgufWriter::create(path, planned_header(source, plan, receipt)));
  Progress progress("writing", plan.elements(), "weights");
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const TensorPlan& t = plan.tensors[i];
    const RowChange changed = is_quantizable(t) ? change : nullptr;
    const auto ready =
        encoded == nullptr ? EncodedTensors::const_iterator{} : encoded->find(t.source->info.name);
    if (encoded != nullptr && ready != encoded->end()) {
      CB_TRY_STATUS(writer.append(i, ready->second));
      progress.advance(t.source->info.elements());
    } else if (t.format == t.source->info.format && !changed) {
      CB_TRY_STATUS(write_copied(t, i, writer, source, progress));
    } else {
      const SlabEncoder encoder(t, calibration, changed);
      CB_TRY_STATUS(write_encoded(t, encoder, i, writer, source, pool, progress));
    }
  }
  return writer;
}

Status write_model(const ModelFile& source, const Plan& plan, const Receipt& receipt,
                   const Calibration* calibration, const std::string& path, ThreadPool& pool,
                   const RowChange& change, const EncodedTensors* encoded) {
  CB_TRY(GgufWriter writer,
         write_unnamed(source, plan, receipt, calibration, path, pool, change, encoded));
  return writer.finish();
}

}  // namespace checkbit
