#include "guard/guarded_rows.h"

#include <sys/mman.h>

#include <array>
#include <cstring>

namespace checkbit {

Result<std::unique_ptr<GuardedRows>> GuardedRows::create(const MappedFile& part,
                                                         const ModelTensor& tensor,
                                                         RepairTally& tally,
                                                         std::function<void(Error)> on_failure,
                                                         ThreadPool* pool) {
  CB_CHECK(tensor.info.row_bytes() <= kMostRowBytes);
  if (reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % sizeof(std::uint64_t) != 0)
    return fail(ErrorKind::unsupported, "tensor {} does not begin at a multiple of 8 bytes",
                tensor.info.name);
  CB_TRY(AlignedBuffer view, part.private_view());
  const auto offset = static_cast<std::size_t>(tensor.bytes.data() - part.bytes().data());
  CB_TRY(SpanCode code, SpanCode::compute({view.data() + offset, tensor.bytes.size()},
                                          {.data_blocks = 64, .parity_blocks = 2}, pool));
  // Nothing was written there yet: its pages come back from the file when they are touched.
  (void)::madvise(view.data(), view.size(), MADV_DONTNEED);
  return std::unique_ptr<GuardedRows>(new GuardedRows(part, tensor, tally, std::move(on_failure),
                                                      std::move(view), std::move(code)));
}

GuardedRows::GuardedRows(const MappedFile& part, const ModelTensor& tensor, RepairTally& tally,
                         std::function<void(Error)> on_failure, AlignedBuffer view, SpanCode code)
    : part_(&part),
      tensor_(&tensor),
      tally_(tally),
      on_failure_(std::move(on_failure)),
      view_(std::move(view)),
      code_(std::move(code)),
      mended_(code_.geometry().blocks()) {}

std::span<std::uint8_t> GuardedRows::viewed() const {
  const auto offset = static_cast<std::size_t>(tensor_->bytes.data() - part_->bytes().data());
  return {view_.data() + offset, tensor_->bytes.size()};
}

void GuardedRows::copy(std::span<const std::uint8_t> source, std::uint8_t* out) {
  std::array<std::uint8_t, kMostRowBytes + 2 * kCodeBlockBytes> around;
  const auto from = static_cast<std::size_t>(source.data() - tensor_->bytes.data());
  const std::size_t first = from / kCodeBlockBytes;
  const std::size_t last = (from + source.size() - 1) / kCodeBlockBytes;
  const std::size_t begin = first * kCodeBlockBytes;
  const std::size_t end = std::min((last + 1) * kCodeBlockBytes, tensor_->bytes.size());
  if (!part_->copy(tensor_->bytes.subspan(begin, end - begin), around.data())) {
    on_failure_(fail(ErrorKind::io, "tensor {}: its rows cannot be read from the file any more",
                     tensor_->info.name));
    std::memset(out, 0, source.size());
    return;
  }
  verified_.fetch_add(last - first + 1, std::memory_order_relaxed);
  for (std::size_t block = first; block <= last; ++block) {
    std::uint8_t* const bytes = around.data() + (block * kCodeBlockBytes - begin);
    const std::size_t size = code_.geometry().block_bytes(block);
    {
      const std::shared_lock lock(mutex_);
      if (block_crc({bytes, size}) == code_.checks()[block].crc) continue;
    }
    const std::unique_lock lock(mutex_);
    if (!mended_[block]) mend(block);
    std::memcpy(bytes, viewed().data() + block * kCodeBlockBytes, size);
  }
  std::memcpy(out, around.data() + (from - begin), source.size());
}

void GuardedRows::mend(std::uint64_t block) {
  const double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  std::size_t mended = 0;
  for (const MendedBlock& one : code_.mend_stripe(viewed(), code_.geometry().stripe_of(block))) {
    const bool is_data = one.position < code_.geometry().shape().data_blocks;
    const std::uint64_t index =
        code_.geometry().block_at(code_.geometry().stripe_of(block), one.position);
    if (one.mend != Mend::impossible) {
      tally_.add(one.mend, one.flipped_bits);
      if (is_data) mended_[index] = true;
      ++mended;
    } else if (is_data) {
      tally_.add_unrepaired();
      on_failure_(
          fail(ErrorKind::corrupt,
               "tensor {}: the 4 KiB at its byte {} are damaged in the file or its cache in "
               "memory, beyond what parity can mend; fetch the model again",
               tensor_->info.name, index * kCodeBlockBytes));
    }
  }
  if (mended > 0)
    tally_.add_seconds((seconds_of(CLOCK_THREAD_CPUTIME_ID) - start) / static_cast<double>(mended));
}

}  // namespace checkbit
