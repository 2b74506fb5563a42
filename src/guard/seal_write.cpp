// Sealing a model: one pass over it, front to back in every position of the stripes (seal.h).

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/atomic_file.h"
#include "base/progress.h"
#include "guard/seal.h"

namespace checkbit {
namespace {

/// Stripes that one thread codes together: 64 KiB are read from each of 64 places in turn, and
/// stay, with the parity that they go into, in the nearest caches.
constexpr std::uint64_t kStripesAtOnce = 16;
constexpr std::size_t kPieceBytes = kStripesAtOnce * kCodeBlockBytes;

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
  /// Every thread reads its stripes and writes their parity itself, so that reading, computing and
  /// writing overlap.
  Status write_parity(AtomicFile& out) {
    const CodeGeometry& geometry = layout_.data();
    const std::uint64_t stripe_bytes = geometry.shape().parity_blocks * kCodeBlockBytes;
    const std::uint64_t begin = out.size_bytes();
    CB_TRY_STATUS(out.extend(geometry.parity_bytes()));
    const auto threads = static_cast<std::size_t>(pool_.size());
    CB_TRY(AlignedBuffer room, AlignedBuffer::allocate(threads * kPieceBytes, "what is sealed"));
    CB_TRY(AlignedBuffer parity,
           AlignedBuffer::allocate(threads * kStripesAtOnce * stripe_bytes, "parity"));
    const std::uint64_t whole_stripe = geometry.shape().data_blocks * kCodeBlockBytes;
    Progress progress("sealing", geometry.stripes() * whole_stripe, "bytes");
    std::mutex mutex;
    Status status;
    std::atomic<bool> failed{false};
    const std::uint64_t pieces = (geometry.stripes() + kStripesAtOnce - 1) / kStripesAtOnce;
    const auto seal_pieces = [&](std::int64_t from, std::int64_t to, int thread) {
      const auto at = static_cast<std::size_t>(thread);
      const std::span own_room =
          std::span(room.data(), room.size()).subspan(at * kPieceBytes, kPieceBytes);
      std::uint8_t* own_parity = parity.data() + at * kStripesAtOnce * stripe_bytes;
      for (std::int64_t piece = from; piece < to && !failed && !cancel_requested(); ++piece) {
        const std::uint64_t first = static_cast<std::uint64_t>(piece) * kStripesAtOnce;
        const std::uint64_t count = std::min(kStripesAtOnce, geometry.stripes() - first);
        const auto bytes = static_cast<std::size_t>(count * stripe_bytes);
        Status done = code_stripes(first, count, own_room, {own_parity, bytes});
        if (done.ok()) done = out.overwrite(begin + first * stripe_bytes, {own_parity, bytes});
        if (!done.ok()) {
          const std::lock_guard lock(mutex);
          status = std::move(done);
          failed = true;
        }
        progress.advance(count * whole_stripe);
      }
    };
    pool_.for_shares(static_cast<std::int64_t>(pieces), seal_pieces);
    return cancel_requested() ? cancelled_error() : status;
  }

  /// Stripes [first, first + count): their neighbours in every position lie side by side.
  Status code_stripes(std::uint64_t first, std::uint64_t count, std::span<std::uint8_t> room,
                      std::span<std::uint8_t> parity) {
    const CodeGeometry& geometry = layout_.data();
    const CodeShape& shape = geometry.shape();
    std::ranges::fill(parity, std::uint8_t{0});
    for (std::uint32_t position = 0; position < shape.data_blocks; ++position) {
      const std::uint64_t block = geometry.block_at(first, position);
      const std::uint64_t offset = block * kCodeBlockBytes;
      if (offset >= geometry.span_bytes()) break;
      const auto wanted = room.first(static_cast<std::size_t>(count * kCodeBlockBytes));
      const auto there = wanted.first(static_cast<std::size_t>(
          std::min<std::uint64_t>(wanted.size(), geometry.span_bytes() - offset)));
      if (!model_.read(offset, there)) {
        return fail(ErrorKind::io, "{}: cannot be read whole: it changed, or the disk is failing",
                    model_.path());
      }
      std::ranges::fill(wanted.subspan(there.size()), std::uint8_t{0});
      for (std::uint64_t i = 0; i < count && block + i < geometry.blocks(); ++i) {
        const auto one = wanted.subspan(i * kCodeBlockBytes, kCodeBlockBytes);
        checks_[block + i] = block_check(one);
        code_.add(position, one.data(), parity.data() + i * shape.parity_blocks * kCodeBlockBytes);
      }
    }
    const std::uint64_t own = geometry.blocks() + geometry.parity_at(first, 0);
    for (std::size_t i = 0; i < count * shape.parity_blocks; ++i)
      checks_[own + i] = block_check(parity.subspan(i * kCodeBlockBytes, kCodeBlockBytes));
    return {};
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
