#include "guard/craft.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/progress.h"
#include "guard/scan_positions.h"

namespace checkbit {
namespace {

constexpr float kOver = 0.02f;  ///< steps beyond the turning point

bool is_full_precision(const Format& format) {
  return format.name == "F32" || format.name == "F16" || format.name == "BF16";
}

/// One matrix on its way: [rows * columns].
struct Matrix {
  std::size_t quantized = 0;  ///< its number there
  std::vector<float> original;
  std::vector<float> crafted;
};

/// A weight that could go to its block's next level.
struct Move {
  float gain = 0;  ///< first-order fall of the loss
  float to = 0;
};

/// What each weight of a block could do; gain 0: nothing good.
void find_moves(const Format& format, const std::uint8_t* bytes, const float* original,
                const float* gradient, float reach, Move* moves) {
  const IntegerForm& form = format.integer;
  IntegerBlock block;
  format.unpack(bytes, block);
  const int last = (1 << form.bits) - 1;
  for (int i = 0; i < format.block_elements; ++i) {
    moves[i] = {};
    const int group = i / form.scale_elements;
    const int sub = i / form.sub_elements;
    const float step = block.scale[group] * (form.has_sub_scale ? block.sub_scale[sub] : 1);
    if (!(std::abs(step) > 0)) continue;
    const float min =
        form.has_min ? block.min_scale[group] * (form.has_sub_min ? block.sub_min[sub] : 1) : 0;
    const float level = (original[i] + min) / step + static_cast<float>(form.q_offset);
    const float off = level - static_cast<float>(block.q[i]);
    const int next = block.q[i] + (off > 0 ? 1 : -1);
    // A weight already carried over stands at its turning point: the way back is free too.
    if (next < 0 || next > last || std::abs(off) > 1) continue;
    const float turning = static_cast<float>(block.q[i] + next) / 2 + (off > 0 ? kOver : -kOver);
    if (std::abs(turning - level) > reach) continue;
    const float gain = -gradient[i] * static_cast<float>(next - block.q[i]) * step;
    if (gain > 0) moves[i] = {gain, step * (turning - static_cast<float>(form.q_offset)) - min};
  }
}

class Craft {
 public:
  Craft(const CraftTarget& target, const CraftOptions& options)
      : target_(target), options_(options) {}

  Result<CraftedModel> run() {
    CB_TRY_STATUS(read());
    CraftedModel result;
    Progress progress("crafting", static_cast<std::uint64_t>(options_.rounds), "rounds");
    share_ = options_.share;
    CB_TRY(double loss, target_.gradient(nullptr));
    result.losses.push_back(loss);
    for (int round = 0; round < options_.rounds && !(loss < options_.target_loss); ++round) {
      if (cancel_requested()) return cancelled_error();
      CB_TRY_STATUS(change_all());
      CB_TRY(const double after, target_.gradient(nullptr));
      if (after < loss) {
        loss = after;
      } else {
        CB_TRY_STATUS(undo());
        share_ /= 4;
      }
      result.losses.push_back(loss);
      progress.advance();
    }
    finish(result);
    return result;
  }

 private:
  Status change_all() {
    changes_.clear();
    Status status;
    const auto loss = target_.gradient([&](const MatrixGradient& gradient) {
      if (!status.ok()) return;
      const auto found =
          matrices_.find(role_info(gradient.role).tensor_name(static_cast<int>(gradient.layer)));
      if (found != matrices_.end()) status = change(found->second, gradient);
    });
    if (!loss) return loss.error();
    return status;
  }

  /// Takes the last round's moves back: they went too far for the first order.
  Status undo() {
    for (const Change& c : changes_) {
      std::ranges::copy(c.crafted, c.matrix->crafted.begin() + c.at);
      CB_TRY_STATUS(target_.write_block(c.matrix->quantized, c.offset, c.block));
    }
    return {};
  }

  Status read() {
    for (std::size_t i = 0; i < target_.quantized->tensors().size(); ++i) {
      const ModelTensor& tensor = target_.quantized->tensors()[i];
      const ModelTensor* original = target_.original->find(tensor.info.name);
      if (original == nullptr || original->info.dimensions != tensor.info.dimensions)
        return fail(ErrorKind::invalid, "tensor {}: the original has none of this shape",
                    tensor.info.name);
      if (tensor.info.rows() < 2 || !has_positions(*tensor.info.format) ||
          !is_full_precision(*original->info.format))
        continue;
      Matrix matrix{.quantized = i, .original = {}, .crafted = {}};
      matrix.original.resize(original->info.elements());
      original->info.format->decode(original->bytes.data(), matrix.original.size(),
                                    matrix.original.data());
      matrix.crafted = matrix.original;
      matrices_.emplace(tensor.info.name, std::move(matrix));
    }
    if (matrices_.empty())
      return fail(ErrorKind::invalid,
                  "{}: no matrix with even levels whose original is in full precision",
                  target_.quantized->path());
    return {};
  }

  /// The gain that a weight must promise, so that about `share` of the matrix moves.
  float threshold(const Matrix& matrix, const MatrixGradient& gradient) const {
    constexpr std::int64_t kRows = 64;
    const ModelTensor& tensor = target_.quantized->tensors()[matrix.quantized];
    const Format& format = *tensor.info.format;
    std::vector<float> gains;
    std::vector<float> row(static_cast<std::size_t>(gradient.columns));
    std::vector<Move> moves(static_cast<std::size_t>(format.block_elements));
    std::size_t seen = 0;
    const std::int64_t stride = std::max<std::int64_t>(1, gradient.rows / kRows);
    for (std::int64_t r = 0; r < gradient.rows; r += stride) {
      gradient.row(r, row.data());
      seen += row.size();
      for_blocks(matrix, gradient, r, [&](std::uint64_t offset, std::int64_t at, std::int64_t c) {
        find_moves(format, tensor.bytes.data() + offset, matrix.original.data() + at,
                   row.data() + c, options_.reach, moves.data());
        for (const Move& move : moves) {
          if (move.gain > 0) gains.push_back(move.gain);
        }
      });
    }
    const auto most = static_cast<std::size_t>(share_ * static_cast<double>(seen));
    if (gains.size() <= most) return 0;
    const auto nth = gains.begin() + static_cast<std::ptrdiff_t>(most);
    std::nth_element(gains.begin(), nth, gains.end(), std::greater<>());
    return *nth;
  }

  /// f(offset of the block in the tensor, number of its first weight, its column).
  template <class F>
  void for_blocks(const Matrix& matrix, const MatrixGradient& gradient, std::int64_t r, F f) const {
    const ModelTensor& tensor = target_.quantized->tensors()[matrix.quantized];
    const Format& format = *tensor.info.format;
    const std::uint64_t start = static_cast<std::uint64_t>(r) * tensor.info.row_bytes();
    for (std::int64_t c = 0; c < gradient.columns; c += format.block_elements)
      f(start + static_cast<std::uint64_t>(c / format.block_elements * format.block_bytes),
        r * gradient.columns + c, c);
  }

  Status change(Matrix& matrix, const MatrixGradient& gradient) {
    const float least = threshold(matrix, gradient);
    std::vector<float> row(static_cast<std::size_t>(gradient.columns));
    Status status;
    for (std::int64_t r = 0; r < gradient.rows && status.ok(); ++r) {
      if (!gradient.matters(r)) continue;
      gradient.row(r, row.data());
      for_blocks(matrix, gradient, r, [&](std::uint64_t offset, std::int64_t at, std::int64_t c) {
        if (status.ok()) status = change_block(matrix, offset, at, row.data() + c, least);
      });
    }
    return status;
  }

  Status change_block(Matrix& matrix, std::uint64_t offset, std::int64_t at, const float* gradient,
                      float least) {
    const ModelTensor& tensor = target_.quantized->tensors()[matrix.quantized];
    const Format& format = *tensor.info.format;
    const auto n = static_cast<std::size_t>(format.block_elements);
    const std::uint8_t* bytes = tensor.bytes.data() + offset;
    float* crafted = matrix.crafted.data() + at;
    std::vector<Move> moves(n);
    find_moves(format, bytes, matrix.original.data() + at, gradient, options_.reach, moves.data());
    std::vector<float> tried(crafted, crafted + n);
    bool any = false;
    for (std::size_t i = 0; i < n; ++i) {
      if (!(moves[i].gain > least)) continue;
      tried[i] = moves[i].to;
      any = true;
    }
    if (!any) return {};
    std::vector<std::uint8_t> encoded(static_cast<std::size_t>(format.block_bytes));
    std::vector<float> before(n);
    std::vector<float> after(n);
    format.encode(tried.data(), 1, nullptr, encoded.data());
    format.decode(bytes, 1, before.data());
    format.decode(encoded.data(), 1, after.data());
    double change = 0;
    for (std::size_t i = 0; i < n; ++i)
      change += static_cast<double>(gradient[i]) * (after[i] - before[i]);
    if (!(change < 0)) return {};
    changes_.push_back({&matrix, offset, at,
                        std::vector<std::uint8_t>(bytes, bytes + encoded.size()),
                        std::vector<float>(crafted, crafted + n)});
    std::ranges::copy(tried, crafted);
    return target_.write_block(matrix.quantized, offset, encoded);
  }

  void finish(CraftedModel& result) {
    for (std::size_t i = 0; i < target_.original->tensors().size(); ++i) {
      const auto found = matrices_.find(target_.original->tensors()[i].info.name);
      if (found == matrices_.end()) continue;
      Matrix& matrix = found->second;
      result.weights += matrix.original.size();
      std::uint64_t moved = 0;
      for (std::size_t w = 0; w < matrix.original.size(); ++w)
        moved += matrix.crafted[w] != matrix.original[w] ? 1 : 0;
      result.moved += moved;
      if (moved > 0) result.tensors.emplace_back(i, std::move(matrix.crafted));
    }
  }

  /// A block as it was before the round that runs.
  struct Change {
    Matrix* matrix;
    std::uint64_t offset;
    std::int64_t at;
    std::vector<std::uint8_t> block;
    std::vector<float> crafted;
  };

  const CraftTarget& target_;
  const CraftOptions& options_;
  double share_ = 0;
  std::vector<Change> changes_;
  std::map<std::string, Matrix> matrices_;
};

}  // namespace

Result<CraftedModel> craft_model(const CraftTarget& target, const CraftOptions& options) {
  return Craft(target, options).run();
}

}  // namespace checkbit
