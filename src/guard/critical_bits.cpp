#include "guard/critical_bits.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "base/progress.h"
#include "base/random.h"
#include "formats/integer_form.h"

namespace checkbit {
namespace {

constexpr std::size_t kBlocksKept = 16;     ///< a tensor and field, for the second look
constexpr std::size_t kTriesPerTensor = 2;  ///< of one round
constexpr std::size_t kLargestBlock = 256;  ///< bytes, any format

struct Candidate {
  CriticalBit bit;
  double score = 0;
};

bool wanted(BitFields fields, BitField field) {
  return fields == BitFields::any || (field == BitField::levels) == (fields == BitFields::levels);
}

/// The best few of many.
template <class T>
class Best {
 public:
  explicit Best(std::size_t most) : most_(most) {}
  template <class Make>
  void offer(double score, Make make) {
    if (kept_.size() == most_ && !(score > kept_.front().first)) return;
    const auto worse = [](const auto& a, const auto& b) { return a.first > b.first; };
    if (kept_.size() == most_) {
      std::ranges::pop_heap(kept_, worse);
      kept_.pop_back();
    }
    kept_.emplace_back(score, make());
    std::ranges::push_heap(kept_, worse);
  }
  const std::vector<std::pair<double, T>>& kept() const { return kept_; }

 private:
  std::size_t most_;
  std::vector<std::pair<double, T>> kept_;
};

/// A block and the gradient of its weights.
struct Suspect {
  std::uint64_t offset = 0;  ///< in the tensor, bytes
  std::vector<float> gradient;
};

/// What the levels of a block could do with one flip: the largest |g| times half the range of its
/// step; and what its scale could do: the change of all weights together.
struct Reach {
  double levels = 0;
  double scales = 0;
};

Reach reach_of(const Format& format, const std::uint8_t* bytes, const float* gradient) {
  const IntegerForm& form = format.integer;
  IntegerBlock block;
  format.unpack(bytes, block);
  float weights[256];
  decode_integer_block(form, format.block_elements, block, weights);
  Reach reach;
  double along = 0;
  for (int i = 0; i < format.block_elements; ++i) {
    along += static_cast<double>(gradient[i]) * weights[i];
    const float step = block.scale[i / form.scale_elements] *
                       (form.has_sub_scale ? block.sub_scale[i / form.sub_elements] : 1);
    reach.levels = std::max(reach.levels, std::abs(static_cast<double>(gradient[i]) * step));
  }
  reach.levels *= std::exp2(form.bits - 1);
  reach.scales = std::abs(along);
  return reach;
}

/// Every bit of a block by the first-order change of the loss.
template <class Take>
void rank_bits(const Format& format, const std::uint8_t* block, const float* gradient, Take take) {
  const auto n = static_cast<std::size_t>(format.block_elements);
  std::uint8_t flipped[kLargestBlock];
  std::memcpy(flipped, block, static_cast<std::size_t>(format.block_bytes));
  float before[256];
  float after[256];
  format.decode(block, 1, before);
  for (std::uint64_t bit = 0; bit < 8u * static_cast<std::uint64_t>(format.block_bytes); ++bit) {
    const auto field = field_of_bit(format, block, bit);
    if (!field) continue;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    format.decode(flipped, 1, after);
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    double change = 0;
    for (std::size_t i = 0; i < n; ++i)
      change += static_cast<double>(gradient[i]) * (after[i] - before[i]);
    take(bit, *field, change);
  }
}

class Search {
 public:
  Search(const AttackTarget& target, const AttackOptions& options)
      : target_(target), options_(options) {}

  Result<std::vector<CriticalBit>> run() {
    Progress progress("searching", options_.most_flips, "flips");
    while (found_.size() < options_.most_flips) {
      CB_TRY(const std::vector<Candidate> candidates, rank());
      CB_TRY(const CriticalBit worst, try_each(candidates));
      CB_TRY_STATUS(target_.flip(worst.site));
      found_.push_back(worst);
      progress.advance();
      if (!(worst.loss < options_.target_loss)) break;
    }
    return std::move(found_);
  }

 private:
  std::optional<std::size_t> tensor_of(const MatrixGradient& gradient) const {
    const auto named = [&](Role role) {
      const std::string name = role_info(role).tensor_name(static_cast<int>(gradient.layer));
      const ModelTensor* tensor = target_.file->find(name);
      return tensor == nullptr ? std::optional<std::size_t>()
                               : static_cast<std::size_t>(tensor - target_.file->tensors().data());
    };
    const auto own = named(gradient.role);
    return own || gradient.role != Role::output ? own : named(Role::token_embedding);
  }

  Result<std::vector<Candidate>> rank() {
    std::vector<Candidate> all;
    CB_TRY_STATUS(target_.gradient([&](const MatrixGradient& gradient) {
      const auto index = tensor_of(gradient);
      if (index && is_attackable(target_.file->tensors()[*index]))
        rank_tensor(*index, gradient, all);
    }));
    std::ranges::stable_sort(all, [](const auto& a, const auto& b) { return a.score > b.score; });
    std::vector<Candidate> chosen;
    for (const Candidate& candidate : all) {
      const auto same = std::ranges::count_if(chosen, [&](const Candidate& c) {
        return c.bit.site.tensor == candidate.bit.site.tensor;
      });
      if (static_cast<std::size_t>(same) >= kTriesPerTensor) continue;
      chosen.push_back(candidate);
      if (chosen.size() == options_.tries) break;
    }
    if (chosen.empty()) return fail(ErrorKind::invalid, "no bit is left that could be flipped");
    return chosen;
  }

  void rank_tensor(std::size_t index, const MatrixGradient& gradient, std::vector<Candidate>& all) {
    const ModelTensor& tensor = target_.file->tensors()[index];
    const Format& format = *tensor.info.format;
    Best<Suspect> by_levels(kBlocksKept);
    Best<Suspect> by_scales(kBlocksKept);
    std::vector<float> row(static_cast<std::size_t>(gradient.columns));
    for (std::int64_t r = 0; r < gradient.rows; ++r) {
      if (!gradient.matters(r)) continue;
      gradient.row(r, row.data());
      const std::uint64_t start = static_cast<std::uint64_t>(r) * tensor.info.row_bytes();
      for (std::int64_t c = 0; c < gradient.columns; c += format.block_elements) {
        const std::uint64_t offset =
            start + static_cast<std::uint64_t>(c / format.block_elements * format.block_bytes);
        const float* g = row.data() + c;
        const Reach reach = reach_of(format, tensor.bytes.data() + offset, g);
        const auto suspect = [&] {
          return Suspect{offset, std::vector<float>(g, g + format.block_elements)};
        };
        if (wanted(options_.fields, BitField::levels)) by_levels.offer(reach.levels, suspect);
        if (wanted(options_.fields, BitField::scales)) by_scales.offer(reach.scales, suspect);
      }
    }
    for (const auto* best : {&by_levels, &by_scales}) {
      for (const auto& [reach, suspect] : best->kept()) rank_block(index, suspect, all);
    }
  }

  void rank_block(std::size_t index, const Suspect& suspect, std::vector<Candidate>& all) {
    const ModelTensor& tensor = target_.file->tensors()[index];
    rank_bits(*tensor.info.format, tensor.bytes.data() + suspect.offset, suspect.gradient.data(),
              [&](std::uint64_t bit, BitField field, double change) {
                const BitSite site{index, suspect.offset + bit / 8, static_cast<int>(bit % 8)};
                const bool taken = std::ranges::any_of(
                    found_, [&](const CriticalBit& f) { return f.site == site; });
                if (taken || !wanted(options_.fields, field)) return;
                // So large a change of a scale hurts whatever the sign of the gradient.
                const double score = field == BitField::scales ? std::abs(change) : change;
                all.push_back({{site, field, change, 0}, score});
              });
  }

  Result<CriticalBit> try_each(const std::vector<Candidate>& candidates) {
    std::optional<CriticalBit> worst;
    for (const Candidate& candidate : candidates) {
      if (cancel_requested()) return cancelled_error();
      CriticalBit bit = candidate.bit;
      CB_TRY_STATUS(target_.flip(bit.site));
      const Result<double> loss = target_.loss();
      CB_TRY_STATUS(target_.flip(bit.site));
      CB_TRY(bit.loss, Result<double>(loss));
      if (!worst || bit.loss > worst->loss) worst = bit;
    }
    return *worst;
  }

  const AttackTarget& target_;
  const AttackOptions& options_;
  std::vector<CriticalBit> found_;
};

}  // namespace

Result<std::vector<CriticalBit>> find_critical_bits(const AttackTarget& target,
                                                    const AttackOptions& options) {
  return Search(target, options).run();
}

bool is_attackable(const ModelTensor& tensor) {
  const Format& format = *tensor.info.format;
  return format.unpack != nullptr && format.block_elements <= 256 &&
         static_cast<std::size_t>(format.block_bytes) <= kLargestBlock && tensor.info.rows() > 1;
}

std::optional<BitField> field_of_bit(const Format& format, const std::uint8_t* block,
                                     std::uint64_t bit) {
  std::uint8_t flipped[kLargestBlock];
  std::memcpy(flipped, block, static_cast<std::size_t>(format.block_bytes));
  flipped[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
  if (!format.is_finite(flipped)) return std::nullopt;
  IntegerBlock a;
  IntegerBlock b;
  format.unpack(block, a);
  format.unpack(flipped, b);
  const auto n = static_cast<std::size_t>(format.block_elements);
  if (std::memcmp(a.q.data(), b.q.data(), n) != 0) return BitField::levels;
  float before[256];
  float after[256];
  decode_integer_block(format.integer, format.block_elements, a, before);
  decode_integer_block(format.integer, format.block_elements, b, after);
  if (std::equal(before, before + n, after)) return std::nullopt;
  return BitField::scales;
}

std::vector<BitSite> draw_bits(const ModelFile& file, BitFields fields, std::size_t count,
                               std::uint64_t seed, std::uint64_t trial) {
  std::vector<std::size_t> tensors;
  std::vector<std::uint64_t> ends;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < file.tensors().size(); ++i) {
    if (!is_attackable(file.tensors()[i])) continue;
    bits += 8 * file.tensors()[i].info.size_bytes;
    tensors.push_back(i);
    ends.push_back(bits);
  }
  std::vector<BitSite> drawn;
  if (bits == 0) return drawn;
  Random random(seed, trial);
  constexpr std::size_t kPatience = 100000;
  for (std::size_t draws = 0; drawn.size() < count && draws < kPatience * count; ++draws) {
    const std::uint64_t at = random.below(bits);
    const auto which = static_cast<std::size_t>(std::ranges::upper_bound(ends, at) - ends.begin());
    const ModelTensor& tensor = file.tensors()[tensors[which]];
    const std::uint64_t bit = at - (which == 0 ? 0 : ends[which - 1]);
    const Format& format = *tensor.info.format;
    const std::uint64_t block_bits = 8u * static_cast<std::uint64_t>(format.block_bytes);
    const auto field = field_of_bit(
        format, tensor.bytes.data() + bit / block_bits * format.block_bytes, bit % block_bits);
    if (!field || !wanted(fields, *field)) continue;
    drawn.push_back({tensors[which], bit / 8, static_cast<int>(bit % 8)});
  }
  return drawn;
}

}  // namespace checkbit
