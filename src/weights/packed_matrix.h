// A weight matrix ready for products.
//
// What: W [rows, columns] row-major in the file becomes panels of 16 interleaved rows in memory
//   (kernels/panel_layout.h for integer formats, [column][16] for float ones). With `repack` off
//   the matrix stays in the file's map and every panel is packed into a scratch buffer when it is
//   used: slower, the same bits, no memory.
// Kinds of product, decided once per matrix and stated by `path()`:
//   integer  the format's own packed structure
//   widened  8-bit generic structure (slower: more bytes per weight)
//   float    float weights with float activations; also every matrix under float activations
// Rows of the last panel beyond `rows` are zero.
// Threads: const after creation; multiply may run on several threads with disjoint panel ranges.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "file/model_file.h"
#include "kernels/kernels.h"
#include "weights/product_check.h"

namespace checkbit {

enum class ActivationMode { int8, f32 };

struct PackOptions {
  bool repack = true;
  ActivationMode activations = ActivationMode::int8;
  bool checks = false;           ///< make the sums that exact checks of products need
  std::uint64_t check_seed = 0;  ///< of their weights: secret, not twice the same
};

/// Float rows and, once asked for, their 8-bit forms. Owned by the executor, one per layer input.
struct ActivationRows {
  const float* values = nullptr;  ///< [n_tokens][stride]
  std::int64_t stride = 0;
  std::int64_t n_tokens = 0;
  QuantizedActivations
      quantized;  ///< for matrices with quantizes() true, of their activation_form()
};

/// The file under a tensor's map; either may be empty.
struct TensorSource {
  /// Takes source bytes that are not needed for now: packed, or without repack used in a product.
  /// They are read again from the file when they are.
  std::function<void(std::span<const std::uint8_t>)> drop;
  /// Copies source bytes without making their pages resident; false when it cannot.
  std::function<bool(std::span<const std::uint8_t>, std::uint8_t*)> copy;
};

class PackedMatrix {
 public:
  /// `tensor` must outlive the matrix (its map is read again for row look-ups and without repack).
  /// Errors: unsupported or corrupt, naming the tensor; memory.
  /// `place`, if given, holds packed_bytes_for(tensor, options) zeroed bytes and outlives the
  /// matrix: a model keeps all its matrices in one stretch of large pages.
  static Result<PackedMatrix> create(const ModelTensor& tensor, const PackOptions& options,
                                     ThreadPool& pool, const TensorSource& source = {},
                                     std::uint8_t* place = nullptr);
  /// The same with its panels still to be packed: pack() before the first product.
  static Result<PackedMatrix> prepare(const ModelTensor& tensor, const PackOptions& options,
                                      const TensorSource& source = {},
                                      std::uint8_t* place = nullptr);
  /// Products can be checked: pack() then makes the column sums of the rows, whose weights are
  /// those of the panels from first_panel on. `weights` outlives the matrix. Precondition:
  /// quantizes(), pack() still to come.
  void enable_check(const CheckWeights& weights, std::int64_t first_panel);
  void pack(ThreadPool& pool);

  /// What a matrix of this format and shape takes in memory when repacked.
  static std::uint64_t packed_bytes_for(const Format& format, std::int64_t rows,
                                        std::int64_t columns);
  /// What `create` will pack: 0 for a matrix that stays in the map.
  static std::uint64_t packed_bytes_for(const ModelTensor& tensor, const PackOptions& options);

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  std::int64_t panels() const { return (rows_ + kPanelRows - 1) / kPanelRows; }
  const std::string& name() const { return tensor_->info.name; }
  const Format& format() const { return *tensor_->info.format; }
  std::size_t packed_bytes() const { return packed_ == nullptr ? 0 : all_panels_bytes(); }
  /// The packed bytes from a panel on; empty for a matrix that stays in the map.
  std::span<const std::uint8_t> packed_from(std::int64_t panel) const {
    const std::size_t first = panel_bytes_ * static_cast<std::size_t>(panel);
    return packed_ == nullptr ? std::span<const std::uint8_t>{}
                              : std::span(packed_ + first, all_panels_bytes() - first);
  }
  std::size_t panel_bytes() const { return panel_bytes_; }
  /// What the file says that a panel ought to be: out [panel_bytes()].
  void pack_again(std::int64_t panel, std::uint8_t* out) const { pack_panel(panel, out); }
  /// Another way to copy source bytes: one that verifies them.
  void set_copy(std::function<bool(std::span<const std::uint8_t>, std::uint8_t*)> copy) {
    source_.copy = std::move(copy);
  }
  const ModelTensor& tensor() const { return *tensor_; }
  std::string_view path() const;
  /// The product line that multiplies with it ("k32_b4_min"), or "float".
  std::string_view kernel_name() const { return integer_ ? product_line(kind_).name : "float"; }
  /// True when products take 8-bit activations of activation_form().
  bool quantizes() const { return integer_; }
  ActivationForm activation_form() const { return checkbit::activation_form(form_); }
  /// A panel packed when it is used, and one unpacked for a prompt.
  std::size_t scratch_bytes() const {
    return (packed_ == nullptr ? panel_bytes_ : 0) +
           (integer_ ? product_scratch_bytes(columns_) : 0);
  }

  /// What the file's bytes say about checked products; empty unless they can be checked.
  const ColumnSums& check_sums() const { return check_sums_; }
  /// The same, made again from the file.
  ColumnSums sum_columns(std::int64_t begin_panel, std::int64_t end_panel) const;

  /// y[t][16 p + lane] for panels [begin, end); y has a row stride of whole panels. `scratch` holds
  /// scratch_bytes() and belongs to the calling thread.
  void multiply(const Kernels& kernels, const ActivationRows& x, std::int64_t begin,
                std::int64_t end, float* y, std::int64_t y_stride, std::uint8_t* scratch) const {
    multiply_checked(kernels, x, begin, end, y, y_stride, scratch, nullptr);
  }
  /// The same; with check_sums not null, adds to check_sums[n_tokens][16] what the check compares
  /// (kernels.h, ProductCheck). Precondition then: enable_check().
  void multiply_checked(const Kernels& kernels, const ActivationRows& x, std::int64_t begin,
                        std::int64_t end, float* y, std::int64_t y_stride, std::uint8_t* scratch,
                        std::int32_t* check_sums) const;

  /// Panels [begin, end) once more: how many rows of tokens have not the bits that stand in y.
  /// `again` holds n_tokens * kPanelRows floats.
  std::int64_t count_different(const Kernels& kernels, const ActivationRows& x, std::int64_t begin,
                               std::int64_t end, const float* y, std::int64_t y_stride,
                               std::uint8_t* scratch, float* again) const;

  /// One row decoded from the file (embedding look-up): out [columns]. Precondition: row < rows().
  void decode_row(std::int64_t row, float* out) const;
  /// The same, leaving none of the file's pages around the row resident: the look-ups of one prompt
  /// would else leave a small model's whole table there.
  void look_up_row(std::int64_t row, float* out) const;

 private:
  /// Without a tensor: what depends on format and shape alone.
  static PackedMatrix shaped(const Format& format, std::int64_t rows, std::int64_t columns,
                             ActivationMode activations);
  std::size_t all_panels_bytes() const { return panel_bytes_ * static_cast<std::size_t>(panels()); }
  std::span<const std::uint8_t> row_source(std::int64_t row) const;
  void decode(const std::uint8_t* source, float* out) const;  ///< one row's bytes
  void choose_path(const Format& format, ActivationMode activations);
  bool packs(const Format& format, const PackOptions& options) const;
  void drop_rows(const TensorSource& source, std::int64_t first_panel,
                 std::int64_t last_panel) const;
  void pack_panel(std::int64_t panel, std::uint8_t* out) const;
  void pack_integer_panel(std::int64_t panel, std::uint8_t* out) const;
  void pack_float_panel(std::int64_t panel, std::uint8_t* out) const;
  void multiply_packed(const Kernels& kernels, const ActivationRows& x, const std::uint8_t* panels,
                       std::int64_t n_panels, float* y, std::int64_t y_stride,
                       std::uint8_t* scratch, const ProductCheck& check) const;

  const ModelTensor* tensor_ = nullptr;
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
  bool integer_ = false;
  bool widened_ = false;
  ProductKind kind_ = ProductKind::count;
  IntegerForm form_;
  PanelLayout layout_;
  FloatStorage storage_ = FloatStorage::f32;
  std::size_t panel_bytes_ = 0;
  std::uint8_t* packed_ = nullptr;  ///< null: panels are packed from the map when used
  AlignedBuffer own_;               ///< holds packed_ unless a place was given
  TensorSource source_;
  const CheckWeights* check_weights_ = nullptr;  ///< null: products are not checked
  std::int64_t check_panel_ = 0;
  ColumnSums check_sums_;
};

}  // namespace checkbit
