#include "guard/seal_verify.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>

#include "base/progress.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kBlocksAtOnce = 64;  // 256 KiB: stays in the cache between read and CRC

/// Blocks [0, count) whose bytes lie in a row, compared with their checks.
class BlockComparison {
 public:
  using Check = std::function<const BlockCheck&(std::uint64_t block)>;

  BlockComparison(const SpanFile& file, std::uint64_t offset, std::uint64_t bytes, Check check)
      : file_(file), offset_(offset), bytes_(bytes), check_(std::move(check)) {}

  /// False when it was stopped.
  bool run(ThreadPool& pool, Progress& progress) {
    const std::uint64_t blocks = (bytes_ + kCodeBlockBytes - 1) / kCodeBlockBytes;
    const auto pieces = static_cast<std::int64_t>((blocks + kBlocksAtOnce - 1) / kBlocksAtOnce);
    pool.for_shares(pieces, [&](std::int64_t begin, std::int64_t end, int) {
      std::vector<std::uint8_t> room(kBlocksAtOnce * kCodeBlockBytes);
      std::vector<std::uint64_t> found;
      for (std::int64_t piece = begin; piece < end && !cancel_requested(); ++piece) {
        const std::uint64_t first = static_cast<std::uint64_t>(piece) * kBlocksAtOnce;
        const std::uint64_t last = std::min(blocks, first + kBlocksAtOnce);
        compare(first, last, room, found);
        progress.advance((last - first) * kCodeBlockBytes);
      }
      const std::lock_guard lock(mutex_);
      damaged.insert(damaged.end(), found.begin(), found.end());
    });
    std::ranges::sort(damaged);
    return !cancel_requested();
  }

  std::vector<std::uint64_t> damaged;
  std::atomic<std::uint64_t> missing{0};

 private:
  std::span<std::uint8_t> bytes_of(std::uint64_t first, std::uint64_t last,
                                   std::vector<std::uint8_t>& room) const {
    const std::uint64_t end = std::min(bytes_, last * kCodeBlockBytes);
    return std::span(room).first(static_cast<std::size_t>(end - first * kCodeBlockBytes));
  }

  void compare(std::uint64_t first, std::uint64_t last, std::vector<std::uint8_t>& room,
               std::vector<std::uint64_t>& found) {
    const bool all = file_.read(offset_ + first * kCodeBlockBytes, bytes_of(first, last, room));
    for (std::uint64_t block = first; block < last; ++block) {
      auto bytes = bytes_of(first, block + 1, room).subspan((block - first) * kCodeBlockBytes);
      // One bad sector takes the whole piece with it, so its blocks are read one by one.
      if (!all && !file_.read(offset_ + block * kCodeBlockBytes, bytes)) {
        ++missing;
        found.push_back(block);
      } else if (block_crc(bytes) != check_(block).crc) {
        found.push_back(block);
      }
    }
  }

  const SpanFile& file_;
  std::uint64_t offset_;
  std::uint64_t bytes_;
  Check check_;
  std::mutex mutex_;
};

/// A stripe's blocks in memory, as far as they can be read.
class StripeRoom {
 public:
  StripeRoom(const Seal& seal, const SpanFile& model)
      : seal_(seal), model_(model), blocks_(kMostDataBlocks + kMostParityBlocks) {}

  const StripeView& load(std::uint64_t stripe) {
    const CodeGeometry& geometry = seal_.layout().data();
    const CodeShape& shape = geometry.shape();
    view_ = {};
    for (std::uint32_t position = 0; position < shape.data_blocks; ++position) {
      const std::uint64_t block = geometry.block_at(stripe, position);
      const std::size_t bytes = geometry.block_bytes(block);
      if (bytes == 0) break;
      BlockBytes& room = blocks_[position];
      std::fill(room.begin() + static_cast<std::ptrdiff_t>(bytes), room.end(), std::uint8_t{0});
      const bool there = model_.read(block * kCodeBlockBytes, std::span(room).first(bytes));
      view_.data[position] = there ? room.data() : nullptr;
      view_.data_checks[position] = seal_.check(block);
      view_.data_count = position + 1;
      view_.last_bytes = bytes;
    }
    for (std::uint32_t row = 0; row < shape.parity_blocks; ++row) {
      const std::uint64_t block = geometry.parity_at(stripe, row);
      BlockBytes& room = blocks_[kMostDataBlocks + row];
      view_.parity[row] = seal_.read_parity(block, room) ? room.data() : nullptr;
      view_.parity_checks[row] = seal_.parity_check(block);
    }
    return view_;
  }

 private:
  const Seal& seal_;
  const SpanFile& model_;
  std::vector<BlockBytes> blocks_;
  StripeView view_;
};

}  // namespace

std::uint64_t own_bytes(const Seal& seal, const SpanFile& model) {
  const std::uint64_t size = model.size_bytes();
  return seal.in_file() ? std::min(size, seal.header().sealed_bytes) : size;
}

Result<VerifyReport> verify_seal(const Seal& seal, const SpanFile& model,
                                 std::span<const std::uint8_t> key, ThreadPool& pool) {
  const CodeGeometry& geometry = seal.layout().data();
  VerifyReport report;
  report.sealed_bytes = geometry.span_bytes();
  report.file_bytes = own_bytes(seal, model);
  report.blocks = geometry.blocks();
  report.own_damage = seal.own_damage().size();
  report.bytes_read = geometry.span_bytes() + geometry.parity_bytes();
  report.threads = pool.size();
  const auto start = std::chrono::steady_clock::now();
  {
    Progress progress("verifying", report.bytes_read, "bytes");
    BlockComparison data(
        model, 0, geometry.span_bytes(),
        [&](std::uint64_t block) -> const BlockCheck& { return seal.check(block); });
    BlockComparison parity(
        seal.file(), seal.parity_offset(0), geometry.parity_bytes(),
        [&](std::uint64_t block) -> const BlockCheck& { return seal.parity_check(block); });
    if (!data.run(pool, progress) || !parity.run(pool, progress)) return cancelled_error();
    report.damaged = std::move(data.damaged);
    report.missing = data.missing;
    report.damaged_parity = std::move(parity.damaged);
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (key.empty()) return report;
  report.key = seal.header().keyed ? KeyState::undecided : KeyState::absent;
  if (!seal.header().keyed || !report.damaged.empty()) return report;
  CB_TRY(const KeyedHash hash, keyed_hash(model, report.sealed_bytes, key, pool));
  report.key = same_hash(hash, seal.header().keyed_hash) ? KeyState::agrees : KeyState::differs;
  return report;
}

Status for_damaged_stripes(const Seal& seal, const SpanFile& model, const VerifyReport& report,
                           const std::function<Status(const DamagedStripe&)>& visit) {
  const CodeGeometry& geometry = seal.layout().data();
  std::vector<std::uint64_t> stripes;
  for (const std::uint64_t block : report.damaged) stripes.push_back(geometry.stripe_of(block));
  for (const std::uint64_t block : report.damaged_parity)
    stripes.push_back(block / geometry.shape().parity_blocks);
  std::ranges::sort(stripes);
  stripes.erase(std::unique(stripes.begin(), stripes.end()), stripes.end());
  const StripeCode code(geometry.shape());
  StripeRoom room(seal, model);
  Progress progress("looking at damage", stripes.size(), "stripes");
  for (const std::uint64_t stripe : stripes) {
    if (cancel_requested()) return cancelled_error();
    const StripeView& view = room.load(stripe);
    const DamagedStripe damaged{stripe, mend_stripe(code, view),
                                std::span(view.data).first(view.data_count)};
    CB_TRY_STATUS(visit(damaged));
    progress.advance();
  }
  return {};
}

}  // namespace checkbit
