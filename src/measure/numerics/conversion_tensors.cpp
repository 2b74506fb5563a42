#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>

#include "base/progress.h"
#include "measure/numerics/conversion.h"

namespace checkbit {
namespace {

constexpr std::size_t kPlainUnit = 64;  // values of a format without blocks
constexpr double kSlack = 4;
/// Relative to the tensor: below it a difference is no damage.
constexpr double kNothing = 1e-6;
/// Share of the energy that a format without an encoder is taken to lose.
constexpr double kUnknownRounding = 1.0 / 16;

struct UnitSums {
  double error = 0;     ///< squared difference from the source
  double rounding = 0;  ///< the same of plain rounding
  double energy = 0;    ///< squares of the source
  bool same = true;
  bool finite = true;
};

struct RowSums {
  double error = 0;
  double rounding = 0;
  double energy = 0;
};

/// Compares one tensor of both files, row by row.
class TensorComparison {
 public:
  TensorComparison(const ModelTensor& source, const ModelTensor& converted)
      : source_(source), converted_(converted), format_(*converted.info.format) {
    unit_ =
        format_.block_elements > 1 ? static_cast<std::size_t>(format_.block_elements) : kPlainUnit;
    same_format_ = source.info.format == converted.info.format;
  }

  void compare(ThreadPool& pool, TensorCheck& check) {
    const auto rows = static_cast<std::int64_t>(source_.info.rows());
    std::vector<RowSums> sums(static_cast<std::size_t>(rows));
    pool.for_ranges(rows, [&](std::int64_t begin, std::int64_t end) {
      Buffers buffers(columns());
      for (std::int64_t r = begin; r < end; ++r)
        compare_row(static_cast<std::uint64_t>(r), buffers, sums[static_cast<std::size_t>(r)]);
    });
    RowSums total;
    for (const RowSums& row : sums) {
      total.error += row.error;
      total.rounding += row.rounding;
      total.energy += row.energy;
    }
    finish(total, check);
  }

 private:
  struct Buffers {
    explicit Buffers(std::size_t columns) : source(columns), converted(columns), rounded(columns) {}
    std::vector<float> source;
    std::vector<float> converted;
    std::vector<float> rounded;
    std::vector<std::uint8_t> encoded;
  };

  std::size_t columns() const { return static_cast<std::size_t>(source_.info.columns()); }

  static std::span<const std::uint8_t> row_bytes(const ModelTensor& tensor, std::uint64_t row) {
    const std::size_t bytes = tensor.info.row_bytes();
    return tensor.bytes.subspan(row * bytes, bytes);
  }

  static void decode(const ModelTensor& tensor, std::uint64_t row, std::vector<float>& out) {
    const Format& format = *tensor.info.format;
    format.decode(row_bytes(tensor, row).data(),
                  out.size() / static_cast<std::size_t>(format.block_elements), out.data());
  }

  void compare_row(std::uint64_t row, Buffers& b, RowSums& sums) {
    const auto bytes = row_bytes(converted_, row);
    decode(source_, row, b.source);
    if (same_format_ && std::ranges::equal(row_bytes(source_, row), bytes)) {
      for (const float value : b.source) sums.energy += square(value);
      return;
    }
    decode(converted_, row, b.converted);
    const bool encodes = !same_format_ && format_.encode != nullptr &&
                         std::ranges::all_of(b.source, [](float v) { return std::isfinite(v); });
    b.encoded.assign(encodes ? bytes.size() : 0, 0);
    if (encodes) {
      const std::size_t blocks = columns() / static_cast<std::size_t>(format_.block_elements);
      format_.encode(b.source.data(), blocks, nullptr, b.encoded.data());
      format_.decode(b.encoded.data(), blocks, b.rounded.data());
    } else {
      b.rounded = b.source;
    }
    for (std::size_t first = 0; first < columns(); first += unit_)
      compare_unit(row, first, std::min(unit_, columns() - first), bytes, b, sums);
  }

  static double square(float value) {
    return static_cast<double>(value) * static_cast<double>(value);
  }

  void compare_unit(std::uint64_t row, std::size_t first, std::size_t count,
                    std::span<const std::uint8_t> bytes, const Buffers& b, RowSums& sums) {
    UnitSums unit;
    for (std::size_t i = first; i < first + count; ++i) {
      unit.same = unit.same && (b.source[i] == b.converted[i] ||
                                (std::isnan(b.source[i]) && std::isnan(b.converted[i])));
      unit.finite = unit.finite && (std::isfinite(b.converted[i]) || !std::isfinite(b.source[i]));
      unit.error += square(b.converted[i] - b.source[i]);
      unit.rounding += square(b.rounded[i] - b.source[i]);
      unit.energy += square(b.source[i]);
    }
    // No encoder says what rounding leaves: only gross damage can be told.
    if (b.encoded.empty() && !same_format_) unit.rounding = kUnknownRounding * unit.energy;
    sums.energy += unit.energy;
    sums.rounding += unit.rounding;
    if (unit.same) return;
    all_same_ = false;
    if (unit.finite) sums.error += unit.error;
    if (!b.encoded.empty()) {
      const std::size_t from = first * static_cast<std::size_t>(format_.block_bytes) /
                               static_cast<std::size_t>(format_.block_elements);
      const std::size_t size = count * static_cast<std::size_t>(format_.block_bytes) /
                               static_cast<std::size_t>(format_.block_elements);
      if (std::memcmp(bytes.data() + from, b.encoded.data() + from, size) == 0) return;
    }
    const bool rounded =
        !same_format_ && unit.finite &&
        unit.error <= kSlack * kSlack * unit.rounding + kNothing * kNothing * unit.energy;
    if (!rounded) note_damage(row, first, count, unit);
  }

  void note_damage(std::uint64_t row, std::size_t first, std::size_t count, const UnitSums& unit) {
    const std::uint64_t units_of_row = (columns() + unit_ - 1) / unit_;
    const DamagedUnit damage{.unit = row * units_of_row + first / unit_,
                             .row = row,
                             .column = first,
                             .error = std::sqrt(unit.error / static_cast<double>(count)),
                             .expected = std::sqrt(unit.rounding / static_cast<double>(count))};
    const std::scoped_lock lock(mutex_);
    damaged_ += 1;
    if (!first_ || damage.unit < first_->unit) first_ = damage;
  }

  void finish(const RowSums& total, TensorCheck& check) const {
    const double energy = std::max(total.energy, 1e-300);
    check.relative_error = std::sqrt(total.error / energy);
    check.rounding_error = same_format_ ? 0 : std::sqrt(total.rounding / energy);
    check.damaged_units = damaged_;
    check.first_damage = first_;
    check.state = damaged_ > 0 ? TensorState::damaged
                  : all_same_  ? TensorState::same
                               : TensorState::rounded;
  }

  const ModelTensor& source_;
  const ModelTensor& converted_;
  const Format& format_;
  std::size_t unit_;
  bool same_format_;
  std::atomic<bool> all_same_{true};
  std::mutex mutex_;
  std::uint64_t damaged_ = 0;
  std::optional<DamagedUnit> first_;
};

}  // namespace

std::string_view to_string(TensorState state) {
  constexpr std::string_view kNames[] = {"same",    "rounded", "damaged",
                                         "missing", "added",   "of another shape"};
  return kNames[static_cast<int>(state)];
}

Result<std::vector<TensorCheck>> check_tensors(const ModelFile& source, const ModelFile& converted,
                                               ThreadPool& pool) {
  std::vector<TensorCheck> checks;
  Progress progress("comparing tensors", source.tensors().size(), "tensors");
  for (const ModelTensor& tensor : source.tensors()) {
    if (cancel_requested()) return cancelled_error();
    TensorCheck check{.name = tensor.info.name,
                      .source_format = std::string(tensor.info.format->name)};
    const ModelTensor* other = converted.find(tensor.info.name);
    if (other == nullptr) {
      check.state = TensorState::missing;
    } else {
      check.converted_format = std::string(other->info.format->name);
      if (other->info.dimensions != tensor.info.dimensions) {
        check.state = TensorState::reshaped;
      } else {
        TensorComparison(tensor, *other).compare(pool, check);
      }
      converted.drop_pages(*other);
    }
    source.drop_pages(tensor);
    checks.push_back(std::move(check));
    progress.advance();
  }
  for (const ModelTensor& tensor : converted.tensors()) {
    if (source.find(tensor.info.name) != nullptr) continue;
    checks.push_back({.name = tensor.info.name,
                      .state = TensorState::added,
                      .source_format = "",
                      .converted_format = std::string(tensor.info.format->name)});
  }
  return checks;
}

}  // namespace checkbit
