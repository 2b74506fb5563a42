// Finds out what each block of a stripe ought to be (block_code.h).

#include <algorithm>
#include <bit>
#include <utility>

#include "protect/block_code.h"

namespace checkbit {
namespace {

bool one_bit_apart(std::uint64_t a, std::uint64_t b) { return std::has_single_bit(a ^ b); }

/// Is `right` the content that `stored` was computed from? The check may itself have lost a bit or
/// its shorter half; what is left of it must still agree.
bool vouches(const BlockCheck& stored, const BlockCheck& right) {
  if (stored.crc == right.crc) return true;
  return stored.second == right.second && one_bit_apart(stored.crc, right.crc);
}

class StripeMender {
 public:
  StripeMender(const StripeCode& code, const StripeView& stripe)
      : code_(code), stripe_(stripe), data_blocks_(code.shape().data_blocks) {
    std::copy_n(stripe.data.begin(), stripe.data_count, data_.begin());
    std::copy_n(stripe.parity.begin(), code.shape().parity_blocks, parity_.begin());
  }

  std::vector<MendedBlock> run() {
    for (std::uint32_t position = 0; position < stripe_.data_count; ++position) examine(position);
    std::vector<std::uint32_t> rows;
    for (std::uint32_t row = 0; row < code_.shape().parity_blocks; ++row) {
      if (examine(data_blocks_ + row)) rows.push_back(row);
    }
    const std::vector<std::uint32_t> lost_rows = std::exchange(lost_parity_, {});
    if (!lost_.empty()) solve_lost(rows);
    rebuild_parity(lost_rows);
    std::ranges::sort(found_, {}, &MendedBlock::position);
    return std::move(found_);
  }

 private:
  const std::uint8_t* stored_bytes(std::uint32_t position) const {
    return position < data_blocks_ ? stripe_.data[position]
                                   : stripe_.parity[position - data_blocks_];
  }
  const BlockCheck& stored_check(std::uint32_t position) const {
    return position < data_blocks_ ? stripe_.data_checks[position]
                                   : stripe_.parity_checks[position - data_blocks_];
  }
  std::size_t bytes_of(std::uint32_t position) const {
    return position + 1 == stripe_.data_count ? stripe_.last_bytes : kCodeBlockBytes;
  }

  /// Of a block by itself: intact, a flipped check, one flipped bit, or lost. False for lost.
  bool examine(std::uint32_t position) {
    const std::uint8_t* bytes = stored_bytes(position);
    const BlockCheck& stored = stored_check(position);
    if (bytes != nullptr) {
      const BlockCheck now = block_check({bytes, kCodeBlockBytes});
      if (now == stored) return true;
      if (vouches(stored, now)) {
        found_.push_back({position, Mend::check, now, nullptr});
        return true;
      }
      if (mend_bit(position, stored.crc ^ now.crc)) return true;
    }
    (position < data_blocks_ ? lost_ : lost_parity_).push_back(position);
    return false;
  }

  bool mend_bit(std::uint32_t position, std::uint64_t syndrome) {
    const auto flip = flipped_bit(syndrome);
    if (!flip || flip->in_check || flip->index / 8 >= bytes_of(position)) return false;
    auto candidate = copy_of(stored_bytes(position));
    (*candidate)[flip->index / 8] ^= static_cast<std::uint8_t>(1 << (flip->index % 8));
    if (block_check(*candidate) != stored_check(position)) return false;
    keep(position, Mend::bit, std::move(candidate));
    return true;
  }

  static std::unique_ptr<BlockBytes> copy_of(const std::uint8_t* bytes) {
    auto copy = std::make_unique<BlockBytes>();
    std::copy_n(bytes, kCodeBlockBytes, copy->begin());
    return copy;
  }

  /// From now on this is what the block is.
  void keep(std::uint32_t position, Mend mend, std::unique_ptr<BlockBytes> bytes) {
    auto& place = position < data_blocks_ ? data_[position] : parity_[position - data_blocks_];
    place = bytes->data();
    const BlockCheck check = block_check(*bytes);
    found_.push_back({position, mend, check, std::move(bytes)});
  }

  void give_up(std::span<const std::uint32_t> positions) {
    for (const std::uint32_t position : positions)
      found_.push_back({position, Mend::impossible, {}, nullptr});
    solvable_ = solvable_ && positions.empty();
  }

  /// Tries every choice of parity rows until the blocks agree with their checks: a parity row whose
  /// check was hit in just the wrong way must not be in the way of another.
  void solve_lost(const std::vector<std::uint32_t>& rows) {
    if (lost_.size() > rows.size()) return give_up(lost_);
    std::vector<std::unique_ptr<BlockBytes>> results;
    std::vector<std::uint8_t*> out;
    for (std::size_t i = 0; i < lost_.size(); ++i) {
      results.push_back(std::make_unique<BlockBytes>());
      out.push_back(results.back()->data());
    }
    for (std::uint32_t choice = 1; choice < (1U << rows.size()); ++choice) {
      if (static_cast<std::size_t>(std::popcount(choice)) != lost_.size()) continue;
      std::vector<std::uint32_t> chosen;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if ((choice >> i & 1) != 0) chosen.push_back(rows[i]);
      }
      code_.solve(data_, parity_, lost_, chosen, out);
      bool all = true;
      for (std::size_t i = 0; i < lost_.size(); ++i) all = all && confirmed(lost_[i], *results[i]);
      if (all) return accept(results);
    }
    give_up(lost_);
  }

  /// Right when the check vouches for it, or when it is what stands there: then the check was hit.
  bool confirmed(std::uint32_t position, const BlockBytes& result) const {
    if (vouches(stored_check(position), block_check(result))) return true;
    return same(position, result);
  }
  bool same(std::uint32_t position, const BlockBytes& result) const {
    const std::uint8_t* bytes = stored_bytes(position);
    return bytes != nullptr && std::equal(result.begin(), result.end(), bytes);
  }

  void accept(std::vector<std::unique_ptr<BlockBytes>>& results) {
    for (std::size_t i = 0; i < lost_.size(); ++i) settle(lost_[i], std::move(results[i]));
  }
  void settle(std::uint32_t position, std::unique_ptr<BlockBytes> right) {
    if (!same(position, *right)) return keep(position, Mend::parity, std::move(right));
    found_.push_back({position, Mend::check, block_check(*right), nullptr});
  }

  /// Once all data are known, parity is what they give.
  void rebuild_parity(const std::vector<std::uint32_t>& lost_rows) {
    if (lost_rows.empty()) return;
    if (!solvable_) return give_up(lost_rows);
    std::array<std::unique_ptr<BlockBytes>, kMostParityBlocks> fresh;
    std::array<std::uint8_t*, kMostParityBlocks> targets{};
    for (std::size_t row = 0; row < fresh.size(); ++row) {
      fresh[row] = std::make_unique<BlockBytes>();
      targets[row] = fresh[row]->data();
    }
    code_.encode(data_, targets);
    for (const std::uint32_t position : lost_rows)
      settle(position, std::move(fresh[position - data_blocks_]));
  }

  const StripeCode& code_;
  const StripeView& stripe_;
  std::uint32_t data_blocks_;
  std::array<const std::uint8_t*, kMostDataBlocks> data_{};  ///< as far as they are known
  std::array<const std::uint8_t*, kMostParityBlocks> parity_{};
  std::vector<std::uint32_t> lost_;         ///< data positions
  std::vector<std::uint32_t> lost_parity_;  ///< positions of parity rows
  bool solvable_ = true;
  std::vector<MendedBlock> found_;
};

}  // namespace

std::vector<MendedBlock> mend_stripe(const StripeCode& code, const StripeView& stripe) {
  return StripeMender(code, stripe).run();
}

}  // namespace checkbit
