// Checks and parity of a span in memory (block_code.h).

#include <cstring>
#include <utility>

#include "base/thread_pool.h"
#include "base/word_store.h"
#include "protect/block_code.h"

namespace checkbit {
namespace {

constexpr std::size_t kWordBytes = sizeof(std::uint64_t);

}  // namespace

SpanCode SpanCode::adopt(const CodeGeometry& geometry, std::vector<BlockCheck> checks,
                         std::vector<BlockCheck> parity_checks, AlignedBuffer parity) {
  CB_CHECK(checks.size() == geometry.blocks() && parity.size() == geometry.parity_bytes() &&
           parity_checks.size() == geometry.parity_blocks());
  SpanCode code(geometry.span_bytes(), geometry.shape());
  code.checks_ = std::move(checks);
  code.parity_checks_ = std::move(parity_checks);
  code.parity_ = std::move(parity);
  return code;
}

Result<SpanCode> SpanCode::compute(std::span<const std::uint8_t> span, CodeShape shape,
                                   ThreadPool* pool) {
  CB_TRY_STATUS(check_shape(shape));
  SpanCode code(span.size(), shape);
  const CodeGeometry& geometry = code.geometry_;
  code.checks_.resize(geometry.blocks());
  code.parity_checks_.resize(geometry.parity_blocks());
  CB_TRY(code.parity_,
         AlignedBuffer::allocate(static_cast<std::size_t>(geometry.parity_bytes()), "parity"));
  const auto some_stripes = [&](std::int64_t begin, std::int64_t end) {
    alignas(64) BlockBytes last{};
    for (auto stripe = static_cast<std::uint64_t>(begin); stripe < static_cast<std::uint64_t>(end);
         ++stripe) {
      const auto places = code.locate(span, stripe, last);
      std::array<BlockCheck, kMostDataBlocks> checks;
      const std::uint64_t first = geometry.parity_at(stripe, 0);
      compute_stripe(code.code_, places.data, checks, code.parity_.data() + first * kCodeBlockBytes,
                     std::span(code.parity_checks_).subspan(first, shape.parity_blocks));
      for (std::uint32_t position = 0; position < places.count; ++position)
        code.checks_[geometry.block_at(stripe, position)] = checks[position];
    }
  };
  const auto stripes = static_cast<std::int64_t>(geometry.stripes());
  if (pool == nullptr) {
    some_stripes(0, stripes);
  } else {
    pool->for_ranges(stripes, some_stripes);
  }
  return code;
}

SpanCode::Places SpanCode::locate(std::span<const std::uint8_t> span, std::uint64_t stripe,
                                  BlockBytes& last) const {
  Places places;
  for (; places.count < geometry_.shape().data_blocks; ++places.count) {
    const std::uint64_t block = geometry_.block_at(stripe, places.count);
    const std::size_t bytes = geometry_.block_bytes(block);
    if (bytes == 0) break;
    places.data[places.count] = span.data() + block * kCodeBlockBytes;
    places.last_bytes = bytes;
    if (bytes == kCodeBlockBytes) continue;
    std::memcpy(last.data(), places.data[places.count], bytes);
    places.data[places.count] = last.data();
  }
  return places;
}

std::uint64_t SpanCode::extra_bytes() const {
  return parity_.size() + (checks_.size() + parity_checks_.size()) * sizeof(BlockCheck);
}

bool SpanCode::agrees(std::span<const std::uint8_t> span, std::uint64_t block) const {
  const auto bytes =
      span.subspan(static_cast<std::size_t>(block * kCodeBlockBytes), geometry_.block_bytes(block));
  return block_crc(bytes) == checks_[block].crc;
}

bool SpanCode::parity_agrees(std::uint64_t parity_block) const {
  return block_crc({parity_.data() + parity_block * kCodeBlockBytes, kCodeBlockBytes}) ==
         parity_checks_[parity_block].crc;
}

std::vector<std::uint64_t> SpanCode::damaged(std::span<const std::uint8_t> span,
                                             std::uint64_t begin, std::uint64_t end) const {
  std::vector<std::uint64_t> found;
  for (std::uint64_t block = begin; block < end; ++block) {
    if (!agrees(span, block)) found.push_back(block);
  }
  return found;
}

std::vector<MendedBlock> SpanCode::mend_stripe(std::span<std::uint8_t> span, std::uint64_t stripe) {
  CB_CHECK(span.size() == geometry_.span_bytes() && stripe < geometry_.stripes() &&
           reinterpret_cast<std::uintptr_t>(span.data()) % kWordBytes == 0);
  alignas(64) BlockBytes last{};
  const CodeShape& shape = geometry_.shape();
  const Places places = locate(span, stripe, last);
  StripeView view;
  view.data = places.data;
  view.data_count = places.count;
  view.last_bytes = places.last_bytes;
  for (std::uint32_t position = 0; position < places.count; ++position)
    view.data_checks[position] = checks_[geometry_.block_at(stripe, position)];
  for (std::uint32_t row = 0; row < shape.parity_blocks; ++row) {
    const std::uint64_t block = geometry_.parity_at(stripe, row);
    view.parity[row] = parity_.data() + block * kCodeBlockBytes;
    view.parity_checks[row] = parity_checks_[block];
  }
  auto mended = checkbit::mend_stripe(code_, view);
  for (MendedBlock& one : mended) {
    if (one.mend == Mend::impossible) continue;
    const bool is_data = one.position < shape.data_blocks;
    const std::uint64_t block = is_data
                                    ? geometry_.block_at(stripe, one.position)
                                    : geometry_.parity_at(stripe, one.position - shape.data_blocks);
    (is_data ? checks_ : parity_checks_)[block] = one.check;
    if (one.bytes == nullptr) continue;
    const auto whole = is_data ? span : parity();
    const std::size_t bytes = is_data ? geometry_.block_bytes(block) : kCodeBlockBytes;
    one.flipped_bits = store_differences(
        whole.subspan(static_cast<std::size_t>(block * kCodeBlockBytes), bytes), one.bytes->data());
  }
  return mended;
}

Mend SpanCode::mend(std::span<std::uint8_t> span, std::uint64_t block) {
  CB_CHECK(block < geometry_.blocks());
  const std::uint32_t position = geometry_.position_of(block);
  for (const MendedBlock& one : mend_stripe(span, geometry_.stripe_of(block))) {
    if (one.position == position) return one.mend;
  }
  return Mend::intact;
}

}  // namespace checkbit
