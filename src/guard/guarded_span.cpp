#include "guard/guarded_span.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "base/word_store.h"

namespace checkbit {
namespace {
constexpr std::size_t kMostTimes = 1u << 16;
}  // namespace

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void RepairTally::add(Mend mend, std::uint64_t bits) {
  const std::lock_guard lock(mutex_);
  ++counts_.damaged_blocks;
  counts_.repaired_bits += bits;
  if (mend == Mend::bit) ++counts_.repaired_by_bit;
  if (mend == Mend::parity) ++counts_.repaired_by_parity;
  if (mend == Mend::check) ++counts_.repaired_checks;
}

void RepairTally::add_from_source(std::uint64_t bits) {
  const std::lock_guard lock(mutex_);
  ++counts_.damaged_blocks;
  ++counts_.repaired_from_file;
  counts_.repaired_bits += bits;
}

void RepairTally::add_unrepaired() {
  const std::lock_guard lock(mutex_);
  ++counts_.damaged_blocks;
  ++counts_.unrepaired;
}

void RepairTally::add_seconds(double seconds) {
  const std::lock_guard lock(mutex_);
  if (seconds_.size() < kMostTimes) seconds_.push_back(static_cast<float>(seconds));
  counts_.repair_longest_seconds = std::max(counts_.repair_longest_seconds, seconds);
}

void RepairTally::fill(LiveCounters& counters) const {
  const std::lock_guard lock(mutex_);
  counters.damaged_blocks = counts_.damaged_blocks;
  counters.repaired_bits = counts_.repaired_bits;
  counters.repaired_by_bit = counts_.repaired_by_bit;
  counters.repaired_by_parity = counts_.repaired_by_parity;
  counters.repaired_checks = counts_.repaired_checks;
  counters.repaired_from_file = counts_.repaired_from_file;
  counters.unrepaired = counts_.unrepaired;
  counters.repair_longest_seconds = counts_.repair_longest_seconds;
  if (seconds_.empty()) return;
  std::vector<float> sorted = seconds_;
  const auto at = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() * 99 - 1) / 100);
  std::ranges::nth_element(sorted, at);
  counters.repair_p99_seconds = *at;
}

Result<std::unique_ptr<GuardedSpan>> GuardedSpan::create(Description description,
                                                         RepairTally& tally, ThreadPool* pool,
                                                         CodeShape shape) {
  CB_TRY(SpanCode code, SpanCode::compute(description.bytes, shape, pool));
  return std::unique_ptr<GuardedSpan>(
      new GuardedSpan(std::move(description), tally, std::move(code)));
}

std::uint64_t GuardedSpan::verify(std::uint64_t begin, std::uint64_t end) {
  const std::lock_guard lock(mutex_);
  const CodeGeometry& geometry = code_.geometry();
  std::uint64_t wrong = 0;
  for (std::uint64_t unit = begin; unit < end; ++unit) {
    const bool is_data = unit < geometry.blocks();
    const std::uint64_t parity = unit - geometry.blocks();
    if (is_data ? code_.agrees(bytes(), unit) : code_.parity_agrees(parity)) continue;
    ++wrong;
    mend(is_data ? geometry.stripe_of(unit) : geometry.stripe_of_parity(parity));
  }
  return wrong;
}

std::uint64_t GuardedSpan::verify_bytes(std::span<const std::uint8_t> part) {
  if (part.empty()) return 0;
  const auto from = static_cast<std::uint64_t>(part.data() - bytes().data());
  return verify(from / kCodeBlockBytes, (from + part.size() - 1) / kCodeBlockBytes + 1);
}

void GuardedSpan::mend(std::uint64_t stripe) {
  const double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  const CodeGeometry& geometry = code_.geometry();
  if (!open_pages(true)) {
    tally_.add_unrepaired();
    return give_up(stripe);
  }
  std::size_t mended = 0;
  bool again = false;
  for (const MendedBlock& block : code_.mend_stripe(description_.bytes, stripe)) {
    const bool is_data = block.position < geometry.shape().data_blocks;
    if (block.mend != Mend::impossible) {
      tally_.add(block.mend, block.flipped_bits);
      ++mended;
    } else if (is_data) {
      const std::uint64_t index = geometry.block_at(stripe, block.position);
      const bool read = read_again(index);
      again = again || read;
      if (!read) give_up(index);
    }
  }
  // With its data whole again, parity that was lost with them can be made anew.
  if (again) {
    for (const MendedBlock& block : code_.mend_stripe(description_.bytes, stripe))
      if (block.mend != Mend::impossible) tally_.add(block.mend, block.flipped_bits);
  }
  open_pages(false);
  if (mended == 0) return;
  tally_.add_seconds((seconds_of(CLOCK_THREAD_CPUTIME_ID) - start) / static_cast<double>(mended));
}

/// From the source, when that agrees with the check.
bool GuardedSpan::read_again(std::uint64_t block) {
  const auto target = description_.bytes.subspan(static_cast<std::size_t>(block * kCodeBlockBytes),
                                                 code_.geometry().block_bytes(block));
  BlockBytes right{};
  const bool found = description_.source && description_.source(target, right.data()) &&
                     block_crc(std::span(right).first(target.size())) == code_.checks()[block].crc;
  if (!found) {
    tally_.add_unrepaired();
    return false;
  }
  tally_.add_from_source(store_differences(target, right.data()));
  return true;
}

void GuardedSpan::give_up(std::uint64_t block) {
  if (!description_.on_failure) return;
  const std::uint64_t offset = block * kCodeBlockBytes;
  const std::string place =
      description_.place_of ? fmt::format(" ({})", description_.place_of(offset)) : "";
  description_.on_failure(fail(
      ErrorKind::corrupt,
      "{}: the 4 KiB at byte {}{} are damaged beyond what parity can mend, and the model's file "
      "does not give them back; load the model again",
      name(), offset, place));
}

/// True when the pages can be written to.
bool GuardedSpan::open_pages(bool open) const {
  if (description_.writable) return true;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto from = reinterpret_cast<std::uintptr_t>(bytes().data()) / page * page;
  const auto to = reinterpret_cast<std::uintptr_t>(bytes().data() + bytes().size());
  const int usual = PROT_READ | (description_.executable ? PROT_EXEC : 0);
  return mprotect(reinterpret_cast<void*>(from), to - from, usual | (open ? PROT_WRITE : 0)) == 0;
}

}  // namespace checkbit
