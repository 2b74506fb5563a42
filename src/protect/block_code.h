// Checks and parity of a span of bytes: finds damaged 4 KiB blocks and mends them.
//
// What: the span is cut into blocks; block b stands in stripe b mod `stripes` at position
//   b / stripes. A stripe has up to `data_blocks` (64) blocks, stripes * 4 KiB apart, and
//   `parity_blocks` (2 or 4) of Reed-Solomon parity, so any run of stripes * parity_blocks blocks
//   (64+2: 3.1 % of the span) can be lost whole and come back. Positions behind the end are zeros.
// Code: over GF(256) with polynomial 0x11d. Parity row p of a stripe is the sum over positions j of
//   block[j] / ((data_blocks + p) xor j), a Cauchy matrix: any parity_blocks losses are solvable.
//   Decoding solves the few lost positions directly; the library's expanded tables are made at run
//   time and never stored (ISA-L 2.31 changed their layout).
// Mending order of one block: as it is, when its check agrees; one flipped bit, located by the CRC
//   and confirmed by the second check; Reed-Solomon from the rest of its stripe, confirmed by both.
//   What does not agree with its checks afterwards is never written.
// Shapes: checks [blocks]; parity [stripes * parity_blocks] blocks of 4 KiB, stripe by stripe: row
// p
//   of stripe s is block s * parity_blocks + p, so that a file is sealed front to back.
// Threads: const functions may run at once; those that write, on different stripes.
// Reference: Reed & Solomon 1960; Bloemer et al., "An XOR-Based Erasure-Resilient Coding Scheme",
//   1995 (Cauchy matrices).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/result.h"
#include "protect/block_check.h"

namespace checkbit {

class ThreadPool;

struct CodeShape {
  std::uint32_t data_blocks = 64;   ///< of a stripe, 1 to 128
  std::uint32_t parity_blocks = 2;  ///< of a stripe, 1 to kMostParityBlocks
  bool operator==(const CodeShape&) const = default;
};
inline constexpr std::uint32_t kMostParityBlocks = 4;
inline constexpr std::uint32_t kMostDataBlocks = 128;

/// Where blocks of a span lie. Precondition of both classes: a valid shape (check_shape).
class CodeGeometry {
 public:
  CodeGeometry(std::uint64_t span_bytes, CodeShape shape);

  std::uint64_t span_bytes() const { return span_bytes_; }
  const CodeShape& shape() const { return shape_; }
  std::uint64_t blocks() const { return blocks_; }
  std::uint64_t stripes() const { return stripes_; }
  std::uint64_t parity_blocks() const { return stripes_ * shape_.parity_blocks; }
  std::uint64_t parity_bytes() const { return parity_blocks() * kCodeBlockBytes; }

  std::uint64_t stripe_of(std::uint64_t block) const { return block % stripes_; }
  std::uint32_t position_of(std::uint64_t block) const {
    return static_cast<std::uint32_t>(block / stripes_);
  }
  /// May be >= blocks(): a position behind the end.
  std::uint64_t block_at(std::uint64_t stripe, std::uint32_t position) const {
    return position * stripes_ + stripe;
  }
  std::uint64_t parity_at(std::uint64_t stripe, std::uint32_t row) const {
    return stripe * shape_.parity_blocks + row;
  }
  std::uint64_t stripe_of_parity(std::uint64_t parity_block) const {
    return parity_block / shape_.parity_blocks;
  }
  /// Bytes of this block inside the span: 4 KiB, less for the last, 0 behind the end.
  std::size_t block_bytes(std::uint64_t block) const;

 private:
  std::uint64_t span_bytes_;
  CodeShape shape_;
  std::uint64_t blocks_;
  std::uint64_t stripes_;
};

/// Errors: invalid, for a shape outside the limits above.
Status check_shape(CodeShape shape);

/// The arithmetic of one stripe.
class StripeCode {
 public:
  explicit StripeCode(CodeShape shape);

  const CodeShape& shape() const { return shape_; }
  /// What parity row `row` multiplies position `position` with.
  std::uint8_t coefficient(std::uint32_t row, std::uint32_t position) const;

  /// data [data_blocks], null for zeros; parity [parity_blocks]: written.
  void encode(std::span<const std::uint8_t* const> data,
              std::span<std::uint8_t* const> parity) const;

  /// Adds what one block contributes to its stripe's parity [parity_blocks * 4 KiB], zeros at
  /// first: once each block has been read, in whatever order, that is what encode gives.
  void add(std::uint32_t position, const std::uint8_t* block, std::uint8_t* parity) const;

  /// Computes the positions `lost` of a stripe into out [lost.size()], from the other positions and
  /// the first lost.size() of `rows`, whose blocks stand in parity (null elsewhere).
  /// Preconditions: `lost` differ, no more of them than `rows`; entries of data at lost positions
  /// are not read.
  void solve(std::span<const std::uint8_t* const> data, std::span<const std::uint8_t* const> parity,
             std::span<const std::uint32_t> lost, std::span<const std::uint32_t> rows,
             std::span<std::uint8_t* const> out) const;

 private:
  CodeShape shape_;
  std::vector<std::uint8_t> matrix_;  ///< [parity_blocks, data_blocks]
  std::vector<std::uint8_t> tables_;  ///< of the matrix, expanded by the library
};

/// One stripe: checks of its blocks and parity with its checks. data [data_blocks], each a whole
/// block, null behind the end; checks [data_blocks] and parity_checks [parity_blocks] are written
/// as far as there are blocks, parity [parity_blocks * 4 KiB] whole.
void compute_stripe(const StripeCode& code, std::span<const std::uint8_t* const> data,
                    std::span<BlockCheck> checks, std::uint8_t* parity,
                    std::span<BlockCheck> parity_checks);

/// How a block came out of mending.
enum class Mend : std::uint8_t {
  intact,      ///< agreed with its checks
  bit,         ///< one flipped bit, put back
  parity,      ///< from the other blocks of its stripe
  check,       ///< the block is right, its check was hit: the right check stands in `check`
  impossible,  ///< too much of the stripe is lost
};
const char* to_string(Mend mend);

using BlockBytes = std::array<std::uint8_t, kCodeBlockBytes>;

/// What a stripe has: blocks as they are now, null where they cannot be read or are behind the end.
struct StripeView {
  std::array<const std::uint8_t*, kMostDataBlocks> data{};
  std::array<const std::uint8_t*, kMostParityBlocks> parity{};
  std::array<BlockCheck, kMostDataBlocks> data_checks{};
  std::array<BlockCheck, kMostParityBlocks> parity_checks{};
  /// Positions at and after this are behind the end: zeros, never lost.
  std::uint32_t data_count = 0;
  /// Of the last position: its bytes inside the span; a flip behind them is no flip.
  std::size_t last_bytes = kCodeBlockBytes;
};

/// One block that was not intact, and what it ought to be.
struct MendedBlock {
  std::uint32_t position = 0;  ///< in its stripe; parity row p is data_blocks + p
  Mend mend = Mend::impossible;
  BlockCheck check;                   ///< the right one, unless impossible
  std::unique_ptr<BlockBytes> bytes;  ///< the right ones for Mend::bit and Mend::parity, else null
  std::uint64_t flipped_bits = 0;     ///< that SpanCode::mend_stripe put back
};

/// Finds out what is wrong with a stripe and what its blocks ought to be, data first; writes
/// nothing.
std::vector<MendedBlock> mend_stripe(const StripeCode& code, const StripeView& stripe);

/// Checks and parity of a span in memory, kept beside it: for what is read often and written never.
/// The checks and the parity lie in memory too and may be hit: mending says so and puts them right.
class SpanCode {
 public:
  /// Computes both. Errors: invalid (shape), memory.
  static Result<SpanCode> compute(std::span<const std::uint8_t> span, CodeShape shape,
                                  ThreadPool* pool = nullptr);

  /// Takes up what `compute` once gave, however damaged since. Preconditions: a valid shape; checks
  /// [blocks], parity_checks [parity_blocks], parity [parity_bytes] of that geometry.
  static SpanCode adopt(const CodeGeometry& geometry, std::vector<BlockCheck> checks,
                        std::vector<BlockCheck> parity_checks, AlignedBuffer parity);

  const CodeGeometry& geometry() const { return geometry_; }
  /// Bytes that checks and parity take.
  std::uint64_t extra_bytes() const;
  /// Does the block agree with its check? One read of 4 KiB.
  bool agrees(std::span<const std::uint8_t> span, std::uint64_t block) const;
  bool parity_agrees(std::uint64_t parity_block) const;
  /// Blocks in [begin, end) that do not.
  std::vector<std::uint64_t> damaged(std::span<const std::uint8_t> span, std::uint64_t begin,
                                     std::uint64_t end) const;
  /// Mends a stripe in place, its checks and its parity too, and says what was not intact. Words
  /// that differ are written with aligned stores of 8 bytes (base/word_store.h), so that others may
  /// go on reading.
  /// Precondition: the span has the size it was computed for and begins at a multiple of 8; nobody
  /// else mends this stripe.
  std::vector<MendedBlock> mend_stripe(std::span<std::uint8_t> span, std::uint64_t stripe);
  /// The same for the stripe of this block; how the block itself came out.
  Mend mend(std::span<std::uint8_t> span, std::uint64_t block);

  /// What lies in memory beside the span: for fault injection.
  std::span<BlockCheck> checks() { return checks_; }
  std::span<BlockCheck> parity_checks() { return parity_checks_; }
  std::span<std::uint8_t> parity() { return {parity_.data(), parity_.size()}; }
  std::span<const BlockCheck> checks() const { return checks_; }
  std::span<const BlockCheck> parity_checks() const { return parity_checks_; }

 private:
  SpanCode(std::uint64_t span_bytes, CodeShape shape)
      : geometry_(span_bytes, shape), code_(shape) {}

  /// Where a stripe's blocks lie; a short one is copied to `last` with zeros behind it, which
  /// `last` holds already.
  struct Places {
    std::array<const std::uint8_t*, kMostDataBlocks> data{};
    std::uint32_t count = 0;
    std::size_t last_bytes = kCodeBlockBytes;
  };
  Places locate(std::span<const std::uint8_t> span, std::uint64_t stripe, BlockBytes& last) const;

  CodeGeometry geometry_;
  StripeCode code_;
  std::vector<BlockCheck> checks_;
  std::vector<BlockCheck> parity_checks_;
  AlignedBuffer parity_;
};

}  // namespace checkbit
