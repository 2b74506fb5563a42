#include "protect/block_code.h"

#include <isa-l/erasure_code.h>

#include <algorithm>

namespace checkbit {
namespace {

constexpr std::size_t kTableBytes = 32;  // that the library expands a coefficient to

alignas(64) constexpr BlockBytes kZeros{};

/// The library reads its sources and does not say so.
std::uint8_t* source(const std::uint8_t* block) {
  return const_cast<std::uint8_t*>(block == nullptr ? kZeros.data() : block);
}

}  // namespace

Status check_shape(CodeShape shape) {
  if (shape.data_blocks >= 1 && shape.data_blocks <= kMostDataBlocks && shape.parity_blocks >= 1 &&
      shape.parity_blocks <= kMostParityBlocks) {
    return {};
  }
  return fail(ErrorKind::invalid, "parity {}+{}: a stripe has 1 to {} blocks and 1 to {} of parity",
              shape.data_blocks, shape.parity_blocks, kMostDataBlocks, kMostParityBlocks);
}

CodeGeometry::CodeGeometry(std::uint64_t span_bytes, CodeShape shape)
    : span_bytes_(span_bytes),
      shape_(shape),
      blocks_(span_bytes / kCodeBlockBytes + (span_bytes % kCodeBlockBytes != 0 ? 1 : 0)),
      stripes_((blocks_ + shape.data_blocks - 1) / shape.data_blocks) {
  CB_CHECK(check_shape(shape).ok());
}

std::size_t CodeGeometry::block_bytes(std::uint64_t block) const {
  if (block >= blocks_) return 0;
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(kCodeBlockBytes, span_bytes_ - block * kCodeBlockBytes));
}

StripeCode::StripeCode(CodeShape shape) : shape_(shape) {
  CB_CHECK(check_shape(shape).ok());
  for (std::uint32_t row = 0; row < shape.parity_blocks; ++row) {
    for (std::uint32_t position = 0; position < shape.data_blocks; ++position) {
      matrix_.push_back(coefficient(row, position));
    }
  }
  tables_.resize(kTableBytes * matrix_.size());
  ec_init_tables(static_cast<int>(shape.data_blocks), static_cast<int>(shape.parity_blocks),
                 matrix_.data(), tables_.data());
}

std::uint8_t StripeCode::coefficient(std::uint32_t row, std::uint32_t position) const {
  return gf_inv(static_cast<std::uint8_t>((shape_.data_blocks + row) ^ position));
}

void StripeCode::encode(std::span<const std::uint8_t* const> data,
                        std::span<std::uint8_t* const> parity) const {
  CB_CHECK(data.size() >= shape_.data_blocks && parity.size() >= shape_.parity_blocks);
  std::array<std::uint8_t*, kMostDataBlocks> sources{};
  std::array<std::uint8_t*, kMostParityBlocks> targets{};
  std::transform(data.begin(), data.begin() + shape_.data_blocks, sources.begin(), source);
  std::copy_n(parity.begin(), shape_.parity_blocks, targets.begin());
  ec_encode_data(kCodeBlockBytes, static_cast<int>(shape_.data_blocks),
                 static_cast<int>(shape_.parity_blocks), const_cast<std::uint8_t*>(tables_.data()),
                 sources.data(), targets.data());
}

void StripeCode::add(std::uint32_t position, const std::uint8_t* block,
                     std::uint8_t* parity) const {
  std::array<std::uint8_t*, kMostParityBlocks> targets{};
  for (std::uint32_t row = 0; row < shape_.parity_blocks; ++row)
    targets[row] = parity + row * kCodeBlockBytes;
  ec_encode_data_update(kCodeBlockBytes, static_cast<int>(shape_.data_blocks),
                        static_cast<int>(shape_.parity_blocks), static_cast<int>(position),
                        const_cast<std::uint8_t*>(tables_.data()), source(block), targets.data());
}

void StripeCode::solve(std::span<const std::uint8_t* const> data,
                       std::span<const std::uint8_t* const> parity,
                       std::span<const std::uint32_t> lost, std::span<const std::uint32_t> rows,
                       std::span<std::uint8_t* const> out) const {
  const std::size_t n = lost.size();
  CB_CHECK(n <= kMostParityBlocks && n <= rows.size() && n <= out.size());
  if (n == 0) return;
  std::array<const std::uint8_t*, kMostDataBlocks> known{};
  std::copy_n(data.begin(), shape_.data_blocks, known.begin());
  for (const std::uint32_t position : lost) known[position] = nullptr;

  // Parity of what is known; its difference to the stored parity is what the lost blocks add.
  alignas(64) std::array<BlockBytes, kMostParityBlocks> sums;
  std::array<std::uint8_t*, kMostParityBlocks> targets{};
  for (std::size_t i = 0; i < sums.size(); ++i) targets[i] = sums[i].data();
  encode(known, targets);
  std::array<std::uint8_t*, kMostParityBlocks> differences{};
  std::array<std::uint8_t, kMostParityBlocks * kMostParityBlocks> factors{};
  for (std::size_t i = 0; i < n; ++i) {
    BlockBytes& sum = sums[rows[i]];
    const std::uint8_t* stored = parity[rows[i]];
    for (std::size_t b = 0; b < sum.size(); ++b) sum[b] ^= stored[b];
    differences[i] = sum.data();
    for (std::size_t j = 0; j < n; ++j) factors[i * n + j] = coefficient(rows[i], lost[j]);
  }
  std::array<std::uint8_t, kMostParityBlocks * kMostParityBlocks> inverse{};
  const int size = static_cast<int>(n);
  // Every square part of a Cauchy matrix can be inverted.
  CB_CHECK(gf_invert_matrix(factors.data(), inverse.data(), size) == 0);
  std::array<std::uint8_t, kTableBytes * kMostParityBlocks * kMostParityBlocks> tables{};
  ec_init_tables(size, size, inverse.data(), tables.data());
  std::array<std::uint8_t*, kMostParityBlocks> results{};
  std::copy_n(out.begin(), n, results.begin());
  ec_encode_data(kCodeBlockBytes, size, size, tables.data(), differences.data(), results.data());
}

void compute_stripe(const StripeCode& code, std::span<const std::uint8_t* const> data,
                    std::span<BlockCheck> checks, std::uint8_t* parity,
                    std::span<BlockCheck> parity_checks) {
  const CodeShape& shape = code.shape();
  for (std::uint32_t position = 0; position < shape.data_blocks; ++position) {
    if (data[position] != nullptr)
      checks[position] = block_check({data[position], kCodeBlockBytes});
  }
  std::array<std::uint8_t*, kMostParityBlocks> rows{};
  for (std::uint32_t row = 0; row < shape.parity_blocks; ++row)
    rows[row] = parity + row * kCodeBlockBytes;
  code.encode(data, rows);
  for (std::uint32_t row = 0; row < shape.parity_blocks; ++row)
    parity_checks[row] = block_check({rows[row], kCodeBlockBytes});
}

const char* to_string(Mend mend) {
  switch (mend) {
    case Mend::intact:
      return "intact";
    case Mend::bit:
      return "bit";
    case Mend::parity:
      return "parity";
    case Mend::check:
      return "check";
    case Mend::impossible:
      return "impossible";
  }
  return "";
}

}  // namespace checkbit
