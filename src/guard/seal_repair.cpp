#include "guard/seal_repair.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <memory>
#include <utility>

#include "base/progress.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kBatchBytes = std::uint64_t{16} << 20;

/// Are these the bytes that the seal says belong there? Whatever else stands in a journal is not
/// written.
bool belongs(const Seal& seal, const RepairPiece& one) {
  const SealLayout& layout = seal.layout();
  const std::uint64_t offset = one.piece.offset;
  const std::span<const std::uint8_t> bytes = one.piece.bytes;
  if (one.target == RepairTarget::model) {
    const std::uint64_t block = offset / kCodeBlockBytes;
    return offset % kCodeBlockBytes == 0 && block < layout.data().blocks() &&
           bytes.size() == layout.data().block_bytes(block) &&
           block_check(bytes) == seal.check(block);
  }
  if (offset < seal.begin()) return false;
  const std::uint64_t at = offset - seal.begin();
  // Block `at` of a part that begins at `begin`: its number, when it is a whole block of it.
  const auto block_of = [&](std::uint64_t begin,
                            std::uint64_t end) -> std::optional<std::uint64_t> {
    if (at < begin || at >= end || (at - begin) % kCodeBlockBytes != 0) return std::nullopt;
    if (bytes.size() != std::min<std::uint64_t>(kCodeBlockBytes, end - at)) return std::nullopt;
    return (at - begin) / kCodeBlockBytes;
  };
  if (const auto block = block_of(layout.parity_offset(), layout.table_offset()))
    return block_check(bytes) == seal.parity_check(*block);
  if (const auto block = block_of(layout.table_offset(), layout.table_parity_offset()))
    return block_check(bytes) == seal.root()[*block];
  if (const auto block = block_of(layout.table_parity_offset(), layout.second_head_offset()))
    return block_check(bytes) == seal.root()[layout.table().blocks() + *block];
  const SealHeads heads = serialize_heads(seal.header(), seal.root());
  const auto in_head = [&](std::uint64_t begin, std::span<const std::uint8_t> head) {
    return at >= begin && bytes.size() <= head.size() &&
           at - begin <= head.size() - bytes.size() &&
           std::ranges::equal(bytes, head.subspan(at - begin, bytes.size()));
  };
  return in_head(0, heads.first) || in_head(layout.second_head_offset(), heads.second);
}

std::uint64_t bits_apart(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    count += static_cast<std::uint64_t>(std::popcount(static_cast<unsigned>(a[i] ^ b[i])));
  return count;
}

class Repair {
 public:
  Repair(const std::string& model_path, SpanFile model, const RepairWatcher& watcher)
      : model_path_(model_path), model_(std::move(model)), watcher_(watcher) {}

  Result<RepairReport> run(ThreadPool& pool) {
    CB_TRY_STATUS(open_seal());
    CB_TRY_STATUS(take_up_journal());
    CB_TRY(report_.before, verify_seal(*seal_, model_, {}, pool));
    if (report_.before.looks_like_another_file()) {
      return fail(
          ErrorKind::invalid,
          "{}: {} of {} blocks differ from what {} says: it seems to be the seal of another "
          "file; nothing was changed",
          model_path_, report_.before.damaged.size(), report_.before.blocks, seal_->path());
    }
    const auto start = std::chrono::steady_clock::now();
    CB_TRY_STATUS(for_damaged_stripes(*seal_, model_, report_.before,
                                      [&](const DamagedStripe& stripe) { return mend(stripe); }));
    for (const Piece& piece : seal_->own_damage()) add(RepairTarget::seal, piece);
    CB_TRY_STATUS(write_batch());
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::ranges::sort(report_.lost);
    CB_TRY_STATUS(open_seal());
    CB_TRY(report_.after, verify_seal(*seal_, model_, {}, pool));
    return std::move(report_);
  }

 private:
  Status open_seal() {
    CB_TRY(Seal seal, Seal::open(model_path_));
    seal_ = std::make_unique<Seal>(std::move(seal));
    if (seal_->in_file()) return {};
    CB_TRY(SpanFile file, SpanFile::open(seal_->path(), SpanFile::Mode::write));
    seal_file_ = std::make_unique<SpanFile>(std::move(file));
    return {};
  }

  void tell(RepairMoment moment, const RepairPiece* piece = nullptr) const {
    if (watcher_) watcher_(moment, piece);
  }

  Status take_up_journal() {
    CB_TRY(std::optional<Journal> journal, read_journal(model_path_));
    if (!journal) return {};
    if (journal->seal_id == seal_->header().seal_id) {
      // One of an older seal is of no use any more; of this one's pieces each is asked again.
      std::erase_if(journal->pieces,
                    [&](const RepairPiece& piece) { return !belongs(*seal_, piece); });
      report_.taken_up = journal->pieces.size();
      CB_TRY_STATUS(write_pieces(journal->pieces));
    }
    CB_TRY_STATUS(remove_journal(model_path_));
    return open_seal();
  }

  void add(RepairTarget target, Piece piece) {
    batch_bytes_ += piece.bytes.size();
    report_.seal_pieces += target == RepairTarget::seal ? 1 : 0;
    batch_.push_back({target, std::move(piece)});
  }

  Status mend(const DamagedStripe& damaged) {
    const CodeGeometry& geometry = seal_->layout().data();
    const std::uint32_t data_blocks = geometry.shape().data_blocks;
    for (const MendedBlock& one : damaged.blocks) {
      const bool is_data = one.position < data_blocks;
      const std::uint64_t block =
          is_data ? geometry.block_at(damaged.stripe, one.position)
                  : geometry.parity_at(damaged.stripe, one.position - data_blocks);
      if (one.mend == Mend::impossible && is_data) report_.lost.push_back(block);
      if (one.bytes == nullptr) continue;
      const std::size_t length = is_data ? geometry.block_bytes(block) : kCodeBlockBytes;
      Piece piece{is_data ? block * kCodeBlockBytes : seal_->parity_offset(block),
                  {one.bytes->begin(), one.bytes->begin() + static_cast<std::ptrdiff_t>(length)}};
      if (is_data) {
        (one.mend == Mend::bit ? report_.by_bit : report_.by_parity) += 1;
        if (const std::uint8_t* now = damaged.now[one.position])
          report_.bits_changed += bits_apart(piece.bytes, {now, length});
      }
      add(is_data ? RepairTarget::model : RepairTarget::seal, std::move(piece));
    }
    // Between stripes, so that what belongs together is written together.
    if (batch_bytes_ >= kBatchBytes) CB_TRY_STATUS(write_batch());
    return {};
  }

  Status write_batch() {
    if (batch_.empty()) return {};
    tell(RepairMoment::journal_to_be_written);
    CB_TRY_STATUS(write_journal(model_path_, seal_->header().seal_id, batch_));
    tell(RepairMoment::journal_written);
    CB_TRY_STATUS(write_pieces(batch_));
    CB_TRY_STATUS(remove_journal(model_path_));
    tell(RepairMoment::journal_removed);
    batch_.clear();
    batch_bytes_ = 0;
    return {};
  }

  Status write_pieces(const std::vector<RepairPiece>& pieces) {
    for (const RepairPiece& one : pieces) {
      tell(RepairMoment::piece_to_be_written, &one);
      const bool beside = one.target == RepairTarget::seal && seal_file_ != nullptr;
      const SpanFile& file = beside ? *seal_file_ : model_;
      CB_TRY_STATUS(file.write(one.piece.offset, one.piece.bytes));
    }
    tell(RepairMoment::pieces_written);
    CB_TRY_STATUS(model_.flush());
    if (seal_file_ != nullptr) CB_TRY_STATUS(seal_file_->flush());
    tell(RepairMoment::pieces_flushed);
    return {};
  }

  std::string model_path_;
  SpanFile model_;
  const RepairWatcher& watcher_;
  std::unique_ptr<Seal> seal_;
  std::unique_ptr<SpanFile> seal_file_;  ///< for writing; null when the seal is in the model
  std::vector<RepairPiece> batch_;
  std::uint64_t batch_bytes_ = 0;
  RepairReport report_;
};

}  // namespace

Result<RepairReport> repair_model(const std::string& model_path, ThreadPool& pool,
                                  const RepairWatcher& watcher) {
  CB_TRY(SpanFile model, SpanFile::open(model_path, SpanFile::Mode::write));
  CB_TRY_STATUS(model.lock(SpanFile::Lock::exclusive));
  return Repair(model_path, std::move(model), watcher).run(pool);
}

}  // namespace checkbit
