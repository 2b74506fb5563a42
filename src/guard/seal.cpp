#include "guard/seal.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace checkbit {
namespace {

/// Fills a buffer from the file; what is missing stays zeros.
void read_what_is_there(const SpanFile& file, std::uint64_t offset, std::span<std::uint8_t> out) {
  constexpr std::size_t kPiece = 64 * kCodeBlockBytes;
  for (std::size_t at = 0; at < out.size(); at += kPiece) {
    const auto piece = out.subspan(at, std::min(kPiece, out.size() - at));
    if (file.read(offset + at, piece)) continue;
    for (std::size_t part = 0; part < piece.size(); part += kCodeBlockBytes) {
      const auto block = piece.subspan(part, std::min(kCodeBlockBytes, piece.size() - part));
      if (!file.read(offset + at + part, block)) std::ranges::fill(block, std::uint8_t{0});
    }
  }
}

SectorReader sectors_of(const SpanFile& file) {
  return [&file](std::uint64_t offset, std::span<std::uint8_t> sector) {
    return file.read(offset, sector);
  };
}

/// Where a seal inside this file begins: named by its last sector, or, when the end is gone, found
/// by its first, which stands at a multiple of the block size in the last eighth of what is left.
std::optional<std::uint64_t> find_inside(const SpanFile& file) {
  const std::uint64_t size = file.size_bytes();
  std::array<std::uint8_t, kSealSectorBytes> sector;
  if (size >= sector.size() && file.read(size - sector.size(), sector) && is_first_sector(sector)) {
    const auto header = parse_seal_header(sector, file.path());
    if (header.ok()) {
      const std::uint64_t begin = seal_offset_in_file(header->sealed_bytes);
      if (begin + SealLayout(header->sealed_bytes, header->shape).seal_bytes() == size)
        return begin;
    }
  }
  for (std::uint64_t at = seal_offset_in_file(size - size / 8); at + sector.size() <= size;
       at += kCodeBlockBytes) {
    if (!file.read(at, sector) || !is_first_sector(sector)) continue;
    const auto header = parse_seal_header(sector, file.path());
    if (header.ok() && seal_offset_in_file(header->sealed_bytes) == at) return at;
  }
  return std::nullopt;
}

}  // namespace

std::string sidecar_path(const std::string& model_path) { return model_path + ".seal"; }

Result<Seal> Seal::open(const std::string& model_path) {
  CB_TRY(SpanFile model, SpanFile::open(model_path, SpanFile::Mode::read));
  const std::uint64_t model_bytes = model.size_bytes();
  const std::string beside = sidecar_path(model_path);
  auto sidecar = SpanFile::open(beside, SpanFile::Mode::read);
  if (!sidecar.ok() && sidecar.error().kind != ErrorKind::not_found) return sidecar.error();
  const bool in_file = !sidecar.ok();
  std::uint64_t begin = 0;
  if (in_file) {
    const auto found = find_inside(model);
    if (!found) {
      return fail(
          ErrorKind::not_found,
          "{}: has no seal ({} is not there, and none is inside); `checkbit guard seal` makes one",
          model_path, beside);
    }
    begin = *found;
  }
  CB_TRY(Seal seal, open_at(in_file ? std::move(model) : std::move(*sidecar), begin, in_file));
  // A model may have lost its tail, not most of itself: what is left bounds all that follows.
  const std::uint64_t sealed = seal.header_.sealed_bytes;
  if (sealed / 2 > model_bytes) {
    return fail(ErrorKind::corrupt,
                "{}: has {} bytes where {} were sealed: too little is left, or {} is the seal of "
                "another file",
                model_path, model_bytes, sealed, seal.path_);
  }
  CB_TRY_STATUS(seal.load_table());
  seal.find_head_damage();
  return seal;
}

Result<Seal> Seal::open_at(SpanFile file, std::uint64_t begin, bool in_file) {
  CB_TRY(SealHead head, read_seal_head(sectors_of(file), begin, file.size_bytes(), file.path()));
  Seal seal(head.header);
  seal.path_ = file.path();
  seal.file_ = std::make_unique<SpanFile>(std::move(file));
  seal.begin_ = begin;
  seal.in_file_ = in_file;
  seal.root_ = std::move(head.root);
  return seal;
}

Status Seal::load_table() {
  const CodeGeometry& geometry = layout_.table();
  const auto bytes = static_cast<std::size_t>(geometry.span_bytes());
  CB_TRY(AlignedBuffer table, AlignedBuffer::allocate(bytes, "table of the seal"));
  CB_TRY(AlignedBuffer parity,
         AlignedBuffer::allocate(static_cast<std::size_t>(geometry.parity_bytes()),
                                 "parity of the seal's table"));
  const std::span<std::uint8_t> all(table.data(), bytes);
  read_what_is_there(*file_, begin_ + layout_.table_offset(), all);
  read_what_is_there(*file_, begin_ + layout_.table_parity_offset(),
                     {parity.data(), parity.size()});
  const auto middle = root_.begin() + static_cast<std::ptrdiff_t>(geometry.blocks());
  SpanCode code =
      SpanCode::adopt(geometry, {root_.begin(), middle}, {middle, root_.end()}, std::move(parity));
  const std::uint32_t data_blocks = geometry.shape().data_blocks;
  for (std::uint64_t stripe = 0; stripe < geometry.stripes(); ++stripe) {
    for (const MendedBlock& one : code.mend_stripe(all, stripe)) {
      const bool is_data = one.position < data_blocks;
      const std::uint64_t block = is_data ? geometry.block_at(stripe, one.position)
                                          : geometry.parity_at(stripe, one.position - data_blocks);
      const std::uint64_t offset =
          begin_ + (is_data ? layout_.table_offset() : layout_.table_parity_offset()) +
          block * kCodeBlockBytes;
      if (one.mend == Mend::impossible) {
        return fail(ErrorKind::corrupt,
                    "{}: the table of the seal is damaged at byte {} beyond what its parity mends; "
                    "seal the model again when it is known to be right",
                    path_, offset);
      }
      if (one.bytes == nullptr) continue;
      const std::size_t length = is_data ? geometry.block_bytes(block) : kCodeBlockBytes;
      own_damage_.push_back({offset, {one.bytes->begin(), one.bytes->begin() + length}});
    }
  }
  if (crc64(all) != header_.seal_id) {
    return fail(ErrorKind::corrupt, "{}: the seal's table is not the one its head names", path_);
  }
  for (std::size_t at = 0; at + kBlockCheckBytes <= bytes; at += kBlockCheckBytes)
    checks_.push_back(check_from(all.data() + at));
  return {};
}

void Seal::find_head_damage() {
  const SealHeads right = serialize_heads(header_, root_);
  std::array<std::uint8_t, kSealSectorBytes> sector;
  const auto compare = [&](std::uint64_t offset, std::span<const std::uint8_t> head) {
    for (std::size_t at = 0; at < head.size(); at += kSealSectorBytes) {
      const auto wanted = head.subspan(at, kSealSectorBytes);
      if (file_->read(offset + at, sector) && std::ranges::equal(sector, wanted)) continue;
      own_damage_.push_back({offset + at, {wanted.begin(), wanted.end()}});
    }
  };
  compare(begin_, right.first);
  compare(begin_ + layout_.second_head_offset(), right.second);
}

bool Seal::read_parity(std::uint64_t block, std::span<std::uint8_t> out) const {
  return file_->read(parity_offset(block), out.first(kCodeBlockBytes));
}

}  // namespace checkbit
