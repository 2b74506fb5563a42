// Sealing a model: one pass over it, front to back in every position of the stripes (seal.h).

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/atomic_file.h"
#include "base/progress.h"
#include "guard/seal.h"

namespace checkbit {
namespace {

/// Stripes that one thread reads together: 32 KiB in each of 64 places.
constexpr std::uint64_t kStripesAtOnce = 8;
/// Between the same stripe's blocks in a thread's room: three lines more than a multiple of the
/// page, or all 64 would fall into the same few sets of the caches.
constexpr std::size_t kPositionBytes = kStripesAtOnce * kCodeBlockBytes + 192;
/// Stripes whose parity is written together.
constexpr std::uint64_t kStripesAtOnceWritten = 2048;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Sealer {
 public:
  Sealer(const SpanFile& model, const SealLayout& layout, ThreadPool& pool)
      : model_(model),
        layout_(layout),
        pool_(pool),
        code_(layout.data().shape()),
        checks_(layout.data().blocks() + layout.data().parity_blocks()) {}

  /// Head with zeros in place of the checks, parity, table, its parity, second head; then the head.
  Result<SealHeader> write(AtomicFile& out, SealHeader header) {
    const std::uint64_t begin = out.size_bytes();
    CB_TRY_STATUS(out.write(std::vector<std::uint8_t>(layout_.head_bytes())));
    CB_TRY_STATUS(write_parity(out));
    std::vector<std::uint8_t> table;
    append_checks(table, checks_);
    header.seal_id = crc64(table);
    CB_TRY(SpanCode table_code, SpanCode::compute(table, layout_.data().shape(), &pool_));
    CB_TRY_STATUS(out.write(table));
    CB_TRY_STATUS(out.write(table_code.parity()));
    std::vector<BlockCheck> root(table_code.checks().begin(), table_code.checks().end());
    root.insert(root.end(), table_code.parity_checks().begin(), table_code.parity_checks().end());
    const SealHeads heads = serialize_heads(header, root);
    CB_TRY_STATUS(out.write(heads.second));
    CB_TRY_STATUS(out.overwrite(begin, heads.first));
    CB_CHECK(out.size_bytes() - begin == layout_.seal_bytes());
    return header;
  }

 private:
  Status write_parity(AtomicFile& out) {
    const CodeGeometry& geometry = layout_.data();
    const std::uint64_t stripe_bytes = geometry.shape().parity_blocks * kCodeBlockBytes;
    const std::uint64_t most = std::min(geometry.stripes(), kStripesAtOnceWritten);
    CB_TRY(AlignedBuffer parity,
           AlignedBuffer::allocate(static_cast<std::size_t>(most * stripe_bytes), "parity"));
    CB_TRY(AlignedBuffer room,
           AlignedBuffer::allocate(static_cast<std::size_t>(pool_.size()) * room_bytes(),
                                   "blocks to be sealed"));
    const std::uint64_t whole_stripe = geometry.shape().data_blocks * kCodeBlockBytes;
    Progress progress("sealing", geometry.stripes() * whole_stripe, "bytes");
    for (std::uint64_t first = 0; first < geometry.stripes(); first += most) {
      const std::uint64_t count = std::min(most, geometry.stripes() - first);
      const auto pieces = static_cast<std::int64_t>((count + kStripesAtOnce - 1) / kStripesAtOnce);
      std::atomic<bool> failed{false};
      pool_.run([&](int thread, int threads) {
        std::uint8_t* blocks = room.data() + static_cast<std::size_t>(thread) * room_bytes();
        for (std::int64_t piece = pieces * thread / threads;
             piece < pieces * (thread + 1) / threads; ++piece) {
          if (failed || cancel_requested()) return;
          const std::uint64_t from = static_cast<std::uint64_t>(piece) * kStripesAtOnce;
          const std::uint64_t some = std::min(kStripesAtOnce, count - from);
          if (!code_stripes(first + from, some, blocks, parity.data() + from * stripe_bytes))
            failed = true;
          progress.advance(some * whole_stripe);
        }
      });
      if (cancel_requested()) return cancelled_error();
      if (failed) {
        return fail(ErrorKind::io, "{}: cannot be read whole: it changed, or the disk is failing",
                    model_.path());
      }
      CB_TRY_STATUS(out.write({parity.data(), static_cast<std::size_t>(count * stripe_bytes)}));
    }
    return {};
  }

  std::size_t room_bytes() const { return layout_.data().shape().data_blocks * kPositionBytes; }

  /// Stripes [first, first + count): their neighbours in every position lie side by side.
  bool code_stripes(std::uint64_t first, std::uint64_t count, std::uint8_t* room,
                    std::uint8_t* parity) {
    const CodeGeometry& geometry = layout_.data();
    const CodeShape& shape = geometry.shape();
    std::uint32_t positions = 0;
    for (; positions < shape.data_blocks; ++positions) {
      const std::uint64_t offset = geometry.block_at(first, positions) * kCodeBlockBytes;
      if (offset >= geometry.span_bytes()) break;
      const auto wanted = static_cast<std::size_t>(count * kCodeBlockBytes);
      const auto there =
          static_cast<std::size_t>(std::min<std::uint64_t>(wanted, geometry.span_bytes() - offset));
      std::uint8_t* blocks = room + positions * kPositionBytes;
      if (!model_.read(offset, {blocks, there})) return false;
      std::memset(blocks + there, 0, wanted - there);
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      std::array<const std::uint8_t*, kMostDataBlocks> data{};
      std::array<BlockCheck, kMostDataBlocks> checks;
      std::uint32_t there = 0;
      for (; there < positions && geometry.block_at(first + i, there) < geometry.blocks(); ++there)
        data[there] = room + there * kPositionBytes + i * kCodeBlockBytes;
      const std::uint64_t parity_first = geometry.parity_at(first + i, 0);
      compute_stripe(
          code_, data, checks, parity + i * shape.parity_blocks * kCodeBlockBytes,
          std::span(checks_).subspan(geometry.blocks() + parity_first, shape.parity_blocks));
      for (std::uint32_t position = 0; position < there; ++position)
        checks_[geometry.block_at(first + i, position)] = checks[position];
    }
    return true;
  }

  const SpanFile& model_;
  const SealLayout& layout_;
  ThreadPool& pool_;
  StripeCode code_;
  std::vector<BlockCheck> checks_;
};

/// The model's bytes and zeros up to where the seal begins.
Status copy_model(const SpanFile& model, std::uint64_t bytes, AtomicFile& out) {
  std::vector<std::uint8_t> buffer(std::size_t{4} << 20);
  Progress progress("copying", bytes, "bytes");
  for (std::uint64_t at = 0; at < bytes; at += buffer.size()) {
    if (cancel_requested()) return cancelled_error();
    const auto piece = std::span(buffer).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), bytes - at)));
    if (!model.read(at, piece))
      return fail(ErrorKind::io, "{}: cannot be read at byte {}", model.path(), at);
    CB_TRY_STATUS(out.write(piece));
    progress.advance(piece.size());
  }
  return out.write(std::vector<std::uint8_t>(seal_offset_in_file(bytes) - bytes));
}

}  // namespace

Result<SealMade> make_seal(const std::string& model_path, const SealOptions& options,
                           ThreadPool& pool) {
  CB_TRY_STATUS(check_shape(options.shape));
  CB_TRY(const SpanFile model, SpanFile::open(model_path, SpanFile::Mode::read));
  CB_TRY_STATUS(model.lock(SpanFile::Lock::shared));
  SealHeader header;
  header.shape = options.shape;
  header.sealed_bytes = model.size_bytes();
  if (header.sealed_bytes > kMostSealedBytes) {
    return fail(ErrorKind::unsupported, "{}: more than {} bytes cannot be sealed", model_path,
                kMostSealedBytes);
  }
  std::array<std::uint8_t, kSealSectorBytes> last;
  if (header.sealed_bytes >= last.size() && model.read(header.sealed_bytes - last.size(), last) &&
      is_first_sector(last)) {
    CB_TRY(const SealHeader inside, parse_seal_header(last, model_path));
    return fail(
        ErrorKind::invalid,
        "{}: has a seal inside already; take it out with `truncate -s {} {}` to seal it anew",
        model_path, inside.sealed_bytes, model_path);
  }
  const bool has_sidecar = SpanFile::open(sidecar_path(model_path), SpanFile::Mode::read).ok();
  if (options.in_file && has_sidecar) {
    return fail(ErrorKind::invalid, "{}: has a seal beside it, {}; remove that first", model_path,
                sidecar_path(model_path));
  }
  SealMade made{.model_bytes = header.sealed_bytes};
  if (options.key) {
    const auto start = Clock::now();
    header.keyed = true;
    CB_TRY(header.keyed_hash, keyed_hash(model, header.sealed_bytes, *options.key, pool));
    made.hash_seconds = seconds_since(start);
  }
  const SealLayout layout(header.sealed_bytes, header.shape);
  made.seal_bytes = layout.seal_bytes();
  made.path = options.in_file ? model_path : sidecar_path(model_path);
  CB_TRY(AtomicFile out, AtomicFile::create(made.path));
  const std::uint64_t before = options.in_file ? seal_offset_in_file(header.sealed_bytes) : 0;
  CB_TRY_STATUS(out.reserve(before + made.seal_bytes));
  if (options.in_file) CB_TRY_STATUS(copy_model(model, header.sealed_bytes, out));
  const auto start = Clock::now();
  Sealer sealer(model, layout, pool);
  CB_TRY(const SealHeader written, sealer.write(out, header));
  made.code_seconds = seconds_since(start);
  if (model.size_bytes() != written.sealed_bytes)
    return fail(ErrorKind::io, "{}: changed while it was sealed", model_path);
  CB_TRY_STATUS(out.commit());
  return made;
}

}  // namespace checkbit
