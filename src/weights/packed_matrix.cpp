#include "weights/packed_matrix.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>

#include "base/bytes.h"
#include "base/float16.h"
#include "kernels/isa_choice.h"

namespace checkbit {
namespace {

void store_scale(std::uint8_t* base, int index, bool half, float value) {
  if (half) {
    store_unaligned(base + 2 * index, float_to_half(value));
  } else {
    store_unaligned(base + 4 * index, value);
  }
}

/// Spreads 32 columns of one row over the bit planes, four columns (one slice) at a time; `q` are
/// unsigned, below 2^kBits. The row's lane of every vector is written whole.
template <int kBits>
void pack_unit_row(const std::uint8_t* q, int row, std::uint8_t* unit) {
  std::uint32_t slices[8];
  std::memcpy(slices, q, sizeof slices);
  const auto put = [&](int vector, std::uint32_t bits) {
    store_unaligned(unit + 64 * vector + 4 * row, bits);
  };
  // Bits [from, from + width) of the slices from `first` on, side by side in one lane.
  const auto plane = [&](int first, int from, int width) {
    const std::uint32_t mask = 0x01010101u * ((1u << width) - 1u);
    std::uint32_t bits = 0;
    for (int s = 0; s < 8 / width; ++s) bits |= (slices[first + s] >> from & mask) << (s * width);
    return bits;
  };
  if constexpr (kBits == 8) {
    for (int slice = 0; slice < 8; ++slice) put(slice, slices[slice]);
  } else if constexpr (kBits <= 3) {
    for (int v = 0; v < 2; ++v) put(v, plane(4 * v, 0, 2));
    if constexpr (kBits == 3) put(2, plane(0, 2, 1));
  } else {
    for (int v = 0; v < 4; ++v) put(v, plane(2 * v, 0, 4));
    if constexpr (kBits == 5) put(4, plane(0, 4, 1));
    if constexpr (kBits == 6) {
      for (int v = 0; v < 2; ++v) put(4 + v, plane(4 * v, 4, 2));
    }
  }
}

using PackUnitRow = void (*)(const std::uint8_t*, int, std::uint8_t*);

PackUnitRow unit_packer(int bits) {
  switch (bits) {
    case 2:
      return pack_unit_row<2>;
    case 3:
      return pack_unit_row<3>;
    case 4:
      return pack_unit_row<4>;
    case 5:
      return pack_unit_row<5>;
    case 6:
      return pack_unit_row<6>;
    default:
      return pack_unit_row<8>;
  }
}

FloatStorage storage_of(const Format& format) {
  if (format.name == "F16") return FloatStorage::f16;
  if (format.name == "BF16") return FloatStorage::bf16;
  return FloatStorage::f32;
}

}  // namespace

Result<PackedMatrix> PackedMatrix::create(const ModelTensor& tensor, const PackOptions& options,
                                          ThreadPool& pool, const TensorSource& source,
                                          std::uint8_t* place) {
  CB_TRY(PackedMatrix m, prepare(tensor, options, source, place));
  m.pack(pool);
  return m;
}

Result<PackedMatrix> PackedMatrix::prepare(const ModelTensor& tensor, const PackOptions& options,
                                           const TensorSource& source, std::uint8_t* place) {
  const Format& format = *tensor.info.format;
  if (format.decode == nullptr) {
    return fail(ErrorKind::unsupported, "tensor {}: type {} cannot be read as weights",
                tensor.info.name, format.name);
  }
  PackedMatrix m = shaped(format, static_cast<std::int64_t>(tensor.info.rows()),
                          static_cast<std::int64_t>(tensor.info.columns()), options.activations);
  m.tensor_ = &tensor;
  if (m.packs(format, options)) {
    if (place == nullptr) {
      CB_TRY(m.own_, AlignedBuffer::allocate(m.all_panels_bytes(), m.name().c_str()));
      place = m.own_.data();
    }
    m.packed_ = place;
  }
  m.source_ = source;
  return m;
}

void PackedMatrix::choose_path(const Format& format, ActivationMode activations) {
  if (activations == ActivationMode::int8 && format.unpack != nullptr) {
    if (auto choice = find_product(format.integer)) {
      const PanelLayout layout = panel_layout(choice->form);
      // A record or an activation group must not run over the end of a row (NVFP4 in odd widths).
      if (columns_ % layout.record_columns == 0 &&
          columns_ % choice->form.activation_elements == 0) {
        integer_ = true;
        widened_ = choice->widened;
        kind_ = choice->kind;
        form_ = choice->form;
        layout_ = layout;
        panel_bytes_ =
            layout.record_bytes * static_cast<std::size_t>(columns_ / layout.record_columns);
        return;
      }
    }
  }
  storage_ = storage_of(format);
  const std::size_t element = storage_ == FloatStorage::f32 ? 4 : 2;
  panel_bytes_ = element * kPanelRows * static_cast<std::size_t>(columns_);
}

/// Under float activations a quantized matrix is decoded panel by panel: packed it would take 4
/// bytes a weight.
bool PackedMatrix::packs(const Format& format, const PackOptions& options) const {
  return options.repack && (integer_ || format.block_elements == 1);
}

PackedMatrix PackedMatrix::shaped(const Format& format, std::int64_t rows, std::int64_t columns,
                                  ActivationMode activations) {
  PackedMatrix m;
  m.rows_ = rows;
  m.columns_ = columns;
  m.choose_path(format, activations);
  return m;
}

std::uint64_t PackedMatrix::packed_bytes_for(const ModelTensor& tensor,
                                             const PackOptions& options) {
  const Format& format = *tensor.info.format;
  const PackedMatrix m =
      shaped(format, static_cast<std::int64_t>(tensor.info.rows()),
             static_cast<std::int64_t>(tensor.info.columns()), options.activations);
  return m.packs(format, options) ? m.all_panels_bytes() : 0;
}

std::uint64_t PackedMatrix::packed_bytes_for(const Format& format, std::int64_t rows,
                                             std::int64_t columns) {
  return shaped(format, rows, columns, ActivationMode::int8).all_panels_bytes();
}

void PackedMatrix::enable_check(const CheckWeights& weights, std::int64_t first_panel) {
  CB_CHECK(integer_);
  check_weights_ = &weights;
  check_panel_ = first_panel;
  check_sums_.columns.assign(static_cast<std::size_t>(columns_), 0);
}

ColumnSums PackedMatrix::sum_columns(std::int64_t begin_panel, std::int64_t end_panel) const {
  const Kernels& kernels = kernels_for(best_isa());
  ColumnSums sums{std::vector<std::int32_t>(static_cast<std::size_t>(columns_)), 0};
  for (std::int64_t row = begin_panel * kPanelRows; row < end_panel * kPanelRows; ++row) {
    const CheckedRow at{*check_weights_, check_panel_ + row / kPanelRows,
                        static_cast<int>(row % kPanelRows)};
    if (row < rows_) {
      add_row(kernels, format(), form_, row_source(row), at, sums);
    } else {
      add_padding_row(form_, at, sums);
    }
  }
  return sums;
}

/// In slabs, so that source pages and packed panels of the whole matrix are never resident
/// together.
void PackedMatrix::pack(ThreadPool& pool) {
  if (packed_ == nullptr && check_weights_ == nullptr) return;
  std::mutex adding;
  constexpr std::size_t kSlabBytes = 8u << 20;
  const std::size_t row_bytes = tensor_->info.row_bytes();
  const auto slab = static_cast<std::int64_t>(
      std::max<std::size_t>(1, kSlabBytes / (row_bytes * kPanelRows + 1)));
  for (std::int64_t first = 0; first < panels(); first += slab) {
    const std::int64_t last = std::min(first + slab, panels());
    pool.for_ranges(last - first, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t panel = first + begin; packed_ != nullptr && panel < first + end; ++panel)
        pack_panel(panel, packed_ + static_cast<std::size_t>(panel) * panel_bytes_);
      if (check_weights_ == nullptr) return;
      const ColumnSums sums = sum_columns(first + begin, first + end);
      const std::lock_guard lock(adding);
      check_sums_.add(sums);
    });
    drop_rows(source_, first, last);
  }
}

void PackedMatrix::drop_rows(const TensorSource& source, std::int64_t first_panel,
                             std::int64_t last_panel) const {
  if (!source.drop) return;
  const std::size_t panel_source_bytes = tensor_->info.row_bytes() * kPanelRows;
  const std::size_t from = static_cast<std::size_t>(first_panel) * panel_source_bytes;
  const std::size_t to =
      std::min(static_cast<std::size_t>(last_panel) * panel_source_bytes, tensor_->bytes.size());
  source.drop(tensor_->bytes.subspan(from, to - from));
}

std::string_view PackedMatrix::path() const {
  return integer_ ? (widened_ ? "widened" : "integer") : "float";
}

void PackedMatrix::pack_panel(std::int64_t panel, std::uint8_t* out) const {
  if (integer_) {
    pack_integer_panel(panel, out);
  } else {
    pack_float_panel(panel, out);
  }
}

void PackedMatrix::pack_integer_panel(std::int64_t panel, std::uint8_t* out) const {
  const Format& format = *tensor_->info.format;
  const std::size_t row_bytes = tensor_->info.row_bytes();
  const bool looks_up =
      form_.table != nullptr && form_.bits == 8;  // widened: the table is applied here
  const int n_lanes =
      static_cast<int>(std::min<std::int64_t>(kPanelRows, rows_ - panel * kPanelRows));
  if (n_lanes < kPanelRows) std::memset(out, 0, panel_bytes_);  // else every byte is written below
  // A block may span several records (NVFP4) or a record several blocks.
  const int piece = std::min(format.block_elements, layout_.record_columns);
  const int scales_per_piece = piece / form_.scale_elements;
  const int subs_per_piece = piece / form_.sub_elements;
  const PackUnitRow pack_unit = unit_packer(layout_.bits);
  IntegerBlock block;
  for (int lane = 0; lane < n_lanes; ++lane) {
    const std::uint8_t* source =
        tensor_->bytes.data() + static_cast<std::size_t>(panel * kPanelRows + lane) * row_bytes;
    for (std::int64_t column = 0; column < columns_; column += piece) {
      const int at = static_cast<int>(column % format.block_elements);
      if (at == 0) {
        format.unpack(source, block);
        source += format.block_bytes;
        if (looks_up) {
          for (int i = 0; i < format.block_elements; ++i) block.q[i] = form_.table[block.q[i]];
        }
        if (form_.window > 1) {
          // The codes are the highest bits of the windows.
          const int below = form_.bits - form_.bits / form_.window;
          for (int i = 0; i < format.block_elements; ++i)
            block.q[i] = static_cast<std::uint8_t>(block.q[i] >> below);
        }
      }
      std::uint8_t* record =
          out + static_cast<std::size_t>(column / layout_.record_columns) * layout_.record_bytes;
      const int inside = static_cast<int>(column % layout_.record_columns);
      for (int s = 0; s < scales_per_piece; ++s) {
        const int index = (inside / form_.scale_elements + s) * kPanelRows + lane;
        const int from = at / form_.scale_elements + s;
        store_scale(record, index, form_.half_scales, block.scale[from]);
        if (stores_min_scales(form_))
          store_scale(record + layout_.min_offset, index, form_.half_scales, block.min_scale[from]);
      }
      for (int s = 0; s < subs_per_piece; ++s) {
        const int index = (inside / form_.sub_elements + s) * kPanelRows + lane;
        const int from = at / form_.sub_elements + s;
        if (form_.has_sub_scale)
          record[layout_.sub_offset + index] = static_cast<std::uint8_t>(block.sub_scale[from]);
        if (form_.has_sub_min) {
          const int at_min = sub_min_index(form_, inside / form_.sub_elements + s, lane);
          record[layout_.sub_min_offset + at_min] = static_cast<std::uint8_t>(block.sub_min[from]);
        }
      }
      for (int u = 0; u < piece / kUnitColumns; ++u) {
        std::uint8_t* unit =
            record + layout_.quant_offset + (inside / kUnitColumns + u) * layout_.unit_bytes;
        pack_unit(block.q.data() + at + u * kUnitColumns, lane, unit);
      }
    }
  }
}

void PackedMatrix::pack_float_panel(std::int64_t panel, std::uint8_t* out) const {
  const std::size_t row_bytes = tensor_->info.row_bytes();
  const int n_lanes =
      static_cast<int>(std::min<std::int64_t>(kPanelRows, rows_ - panel * kPanelRows));
  if (n_lanes < kPanelRows) std::memset(out, 0, panel_bytes_);
  const auto row = std::make_unique<float[]>(static_cast<std::size_t>(columns_));
  for (int lane = 0; lane < n_lanes; ++lane) {
    const std::int64_t index = panel * kPanelRows + lane;
    if (storage_ == FloatStorage::f32) {
      decode_row(index, row.get());
      for (std::int64_t c = 0; c < columns_; ++c)
        store_unaligned(out + 4 * (16 * c + lane), row[c]);
    } else {
      const std::uint8_t* source =
          tensor_->bytes.data() + static_cast<std::size_t>(index) * row_bytes;
      for (std::int64_t c = 0; c < columns_; ++c)
        std::memcpy(out + 2 * (16 * c + lane), source + 2 * c, 2);
    }
  }
}

void PackedMatrix::multiply_checked(const Kernels& kernels, const ActivationRows& x,
                                    std::int64_t begin, std::int64_t end, float* y,
                                    std::int64_t y_stride, std::uint8_t* scratch,
                                    std::int32_t* check_sums) const {
  y += begin * kPanelRows;
  ProductCheck check;
  if (check_sums != nullptr) check = check_weights_->product(check_panel_ + begin, check_sums);
  if (packed_ != nullptr) {
    multiply_packed(kernels, x, packed_ + static_cast<std::size_t>(begin) * panel_bytes_,
                    end - begin, y, y_stride, scratch, check);
    return;
  }
  for (std::int64_t panel = begin; panel < end; ++panel, y += kPanelRows) {
    pack_panel(panel, scratch);
    multiply_packed(kernels, x, scratch, 1, y, y_stride, scratch + panel_bytes_, check);
    ++check.panel;
  }
  drop_rows(source_, begin, end);
}

std::int64_t PackedMatrix::count_different(const Kernels& kernels, const ActivationRows& x,
                                           std::int64_t begin, std::int64_t end, const float* y,
                                           std::int64_t y_stride, std::uint8_t* scratch,
                                           float* again) const {
  std::int64_t different = 0;
  for (std::int64_t panel = begin; panel < end; ++panel) {
    if (packed_ != nullptr) {
      multiply_packed(kernels, x, packed_ + static_cast<std::size_t>(panel) * panel_bytes_, 1,
                      again, kPanelRows, scratch, {});
    } else {
      pack_panel(panel, scratch);
      multiply_packed(kernels, x, scratch, 1, again, kPanelRows, scratch + panel_bytes_, {});
    }
    for (std::int64_t t = 0; t < x.n_tokens; ++t) {
      const float* first = y + t * y_stride + panel * kPanelRows;
      different += std::memcmp(first, again + t * kPanelRows, kPanelRows * sizeof(float)) != 0;
    }
  }
  return different;
}

void PackedMatrix::multiply_packed(const Kernels& kernels, const ActivationRows& x,
                                   const std::uint8_t* panels, std::int64_t n_panels, float* y,
                                   std::int64_t y_stride, std::uint8_t* scratch,
                                   const ProductCheck& check) const {
  if (integer_) {
    ProductArguments a;
    a.panels = panels;
    a.panel_bytes = panel_bytes_;
    a.n_panels = n_panels;
    a.columns = columns_;
    a.table = form_.table;
    a.q_offset = form_.q_offset;
    a.x = x.quantized;
    a.n_tokens = x.n_tokens;
    a.y = y;
    a.y_stride = y_stride;
    a.scratch = scratch;
    a.check = check;
    kernels.products[static_cast<int>(kind_)](a);
    return;
  }
  FloatProductArguments a;
  a.storage = storage_;
  a.panels = panels;
  a.panel_bytes = panel_bytes_;
  a.n_panels = n_panels;
  a.columns = columns_;
  a.x = x.values;
  a.x_stride = x.stride;
  a.n_tokens = x.n_tokens;
  a.y = y;
  a.y_stride = y_stride;
  kernels.float_product(a);
}

std::span<const std::uint8_t> PackedMatrix::row_source(std::int64_t row) const {
  CB_CHECK(row >= 0 && row < rows_);
  const std::size_t row_bytes = tensor_->info.row_bytes();
  return tensor_->bytes.subspan(static_cast<std::size_t>(row) * row_bytes, row_bytes);
}

void PackedMatrix::decode_row(std::int64_t row, float* out) const {
  decode(row_source(row).data(), out);
}

void PackedMatrix::decode(const std::uint8_t* source, float* out) const {
  const Format& format = *tensor_->info.format;
  format.decode(source, static_cast<std::size_t>(columns_ / format.block_elements), out);
}

void PackedMatrix::look_up_row(std::int64_t row, float* out) const {
  constexpr std::size_t kCopyBytes = 16u << 10;
  const std::span<const std::uint8_t> source = row_source(row);
  std::array<std::uint8_t, kCopyBytes> copy;
  if (source_.copy && source.size() <= copy.size() && source_.copy(source, copy.data())) {
    return decode(copy.data(), out);
  }
  decode(source.data(), out);
  if (source_.drop) source_.drop(source);
}

}  // namespace checkbit
