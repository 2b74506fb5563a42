#include "guard/seal_format.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/bytes.h"

namespace checkbit {
namespace {

constexpr std::array<std::uint8_t, 8> kMagic = {0x89, 'C', 'B', 'S', 'E', 'A', 'L', '\n'};
constexpr std::size_t kPayloadBytes = kSealSectorBytes - sizeof(std::uint64_t);
constexpr std::uint32_t kFlagKeyed = 1;
/// Bytes of the head before the root.
constexpr std::size_t kHeaderBytes = 96;

void append(std::vector<std::uint8_t>& bytes, const auto& value) {
  const auto* first = reinterpret_cast<const std::uint8_t*>(&value);
  bytes.insert(bytes.end(), first, first + sizeof(value));
}

std::uint64_t table_entries(const CodeGeometry& data) {
  return data.blocks() + data.parity_blocks();
}

std::uint64_t root_entries(const CodeGeometry& table) {
  return table.blocks() + table.parity_blocks();
}

/// The number of the sector is part of what is checked: a sector in another's place is not right.
std::uint64_t sector_crc(std::span<const std::uint8_t> sector, std::uint64_t number) {
  const auto* place = reinterpret_cast<const std::uint8_t*>(&number);
  return crc64({place, sizeof(number)}, crc64(sector.first(kPayloadBytes)));
}

bool is_right(std::span<const std::uint8_t> sector, std::uint64_t number) {
  return load_unaligned<std::uint64_t>(sector.data() + kPayloadBytes) == sector_crc(sector, number);
}

}  // namespace

SealLayout::SealLayout(std::uint64_t sealed_bytes, CodeShape shape)
    : data_(sealed_bytes, shape),
      table_(table_entries(data_) * kBlockCheckBytes, shape),
      sectors_((kHeaderBytes + root_entries(table_) * kBlockCheckBytes + kPayloadBytes - 1) /
               kPayloadBytes) {}

std::uint64_t SealLayout::sector_offset(std::uint64_t sector, int copy) const {
  return copy == 0 ? sector * kSealSectorBytes : seal_bytes() - (sector + 1) * kSealSectorBytes;
}

std::uint64_t seal_offset_in_file(std::uint64_t sealed_bytes) {
  return (sealed_bytes + kCodeBlockBytes - 1) / kCodeBlockBytes * kCodeBlockBytes;
}

void append_checks(std::vector<std::uint8_t>& bytes, std::span<const BlockCheck> checks) {
  for (const BlockCheck& check : checks) {
    append(bytes, check.crc);
    append(bytes, check.second);
  }
}

BlockCheck check_from(const std::uint8_t* bytes) {
  return {load_unaligned<std::uint64_t>(bytes), load_unaligned<std::uint16_t>(bytes + 8)};
}

SealHeads serialize_heads(const SealHeader& header, std::span<const BlockCheck> root) {
  const SealLayout layout(header.sealed_bytes, header.shape);
  CB_CHECK(root.size() == root_entries(layout.table()));
  std::vector<std::uint8_t> payload(kMagic.begin(), kMagic.end());
  append(payload, kSealVersion);
  append(payload, header.keyed ? kFlagKeyed : 0U);
  append(payload, header.shape.data_blocks);
  append(payload, header.shape.parity_blocks);
  append(payload, header.sealed_bytes);
  append(payload, layout.seal_bytes());
  append(payload, header.seal_id);
  append(payload, header.keyed_hash);
  payload.resize(kHeaderBytes);
  append_checks(payload, root);
  payload.resize(layout.sectors() * kPayloadBytes);
  SealHeads heads;
  heads.second.resize(layout.head_bytes());
  for (std::uint64_t sector = 0; sector < layout.sectors(); ++sector) {
    const std::size_t start = heads.first.size();
    const auto first = payload.begin() + static_cast<std::ptrdiff_t>(sector * kPayloadBytes);
    heads.first.insert(heads.first.end(), first, first + kPayloadBytes);
    append(heads.first, sector_crc(std::span(heads.first).subspan(start, kPayloadBytes), sector));
    std::copy_n(heads.first.begin() + static_cast<std::ptrdiff_t>(start), kSealSectorBytes,
                heads.second.end() - static_cast<std::ptrdiff_t>((sector + 1) * kSealSectorBytes));
  }
  return heads;
}

bool is_first_sector(std::span<const std::uint8_t> sector) {
  return sector.size() == kSealSectorBytes &&
         std::equal(kMagic.begin(), kMagic.end(), sector.begin()) && is_right(sector, 0);
}

Result<SealHeader> parse_seal_header(std::span<const std::uint8_t> sector,
                                     const std::string& path) {
  ByteReader reader(sector.subspan(kMagic.size()));
  const auto version = *reader.read<std::uint32_t>();
  if (version != kSealVersion) {
    return fail(ErrorKind::unsupported, "{}: a seal of version {}; this program reads version {}",
                path, version, kSealVersion);
  }
  const auto flags = *reader.read<std::uint32_t>();
  SealHeader header;
  header.shape.data_blocks = *reader.read<std::uint32_t>();
  header.shape.parity_blocks = *reader.read<std::uint32_t>();
  header.sealed_bytes = *reader.read<std::uint64_t>();
  const auto seal_bytes = *reader.read<std::uint64_t>();
  header.seal_id = *reader.read<std::uint64_t>();
  header.keyed_hash = *reader.read<KeyedHash>();
  header.keyed = (flags & kFlagKeyed) != 0;
  if ((flags & ~kFlagKeyed) != 0 || !check_shape(header.shape).ok() ||
      header.sealed_bytes > kMostSealedBytes ||
      SealLayout(header.sealed_bytes, header.shape).seal_bytes() != seal_bytes) {
    return fail(
        ErrorKind::corrupt,
        "{}: the seal's header contradicts itself ({}+{} blocks, {} bytes sealed, {} of seal)",
        path, header.shape.data_blocks, header.shape.parity_blocks, header.sealed_bytes,
        seal_bytes);
  }
  return header;
}

Result<SealHead> read_seal_head(const SectorReader& read, std::uint64_t begin, std::uint64_t end,
                                const std::string& path) {
  std::array<std::uint8_t, kSealSectorBytes> sector;
  const auto first_at = [&](std::uint64_t offset) {
    return read(offset, sector) && is_first_sector(sector);
  };
  if (!first_at(begin) && (end < begin + kSealSectorBytes || !first_at(end - kSealSectorBytes))) {
    return fail(
        ErrorKind::corrupt,
        "{}: no readable head of a seal at either end; seal the model again when it is known "
        "to be right",
        path);
  }
  SealHead head;
  CB_TRY(head.header, parse_seal_header(sector, path));
  const SealLayout layout(head.header.sealed_bytes, head.header.shape);
  // The table must be there before memory is set aside for it, and the head is smaller.
  if (end < begin || end - begin < layout.table().span_bytes()) {
    return fail(ErrorKind::corrupt, "{}: {} bytes are left of a seal of {}: too little to use",
                path, end < begin ? 0 : end - begin, layout.seal_bytes());
  }
  std::vector<std::uint8_t> payload;
  for (std::uint64_t number = 0; number < layout.sectors(); ++number) {
    bool found = false;
    std::array<std::uint8_t, kSealSectorBytes> good{};
    for (const int copy : {0, 1}) {
      const bool right =
          read(begin + layout.sector_offset(number, copy), sector) && is_right(sector, number);
      if (right) good = sector;
      found = found || right;
      head.bad_sectors += right ? 0 : 1;
    }
    if (!found) {
      return fail(ErrorKind::corrupt, "{}: sector {} of the seal's head is damaged in both copies",
                  path, number);
    }
    payload.insert(payload.end(), good.begin(), good.begin() + kPayloadBytes);
  }
  for (std::uint64_t i = 0; i < root_entries(layout.table()); ++i)
    head.root.push_back(check_from(payload.data() + kHeaderBytes + i * kBlockCheckBytes));
  return head;
}

}  // namespace checkbit
