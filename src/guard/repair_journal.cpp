#include "guard/repair_journal.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/atomic_file.h"
#include "base/bytes.h"

namespace checkbit {
namespace {

constexpr std::array<std::uint8_t, 8> kMagic = {'C', 'B', 'R', 'E', 'P', 'A', 'I', 'R'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kCrcBytes = 8;
/// A repair writes journals of some 16 MiB; a file of quite another size is none of them.
constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;

void append(std::vector<std::uint8_t>& bytes, const auto& value) {
  const auto* first = reinterpret_cast<const std::uint8_t*>(&value);
  bytes.insert(bytes.end(), first, first + sizeof(value));
}

}  // namespace

std::string journal_path(const std::string& model_path) { return model_path + ".repair"; }

Status write_journal(const std::string& model_path, std::uint64_t seal_id,
                     const std::vector<RepairPiece>& pieces) {
  std::vector<std::uint8_t> bytes(kMagic.begin(), kMagic.end());
  append(bytes, kVersion);
  append(bytes, static_cast<std::uint32_t>(pieces.size()));
  append(bytes, seal_id);
  for (const RepairPiece& one : pieces) {
    append(bytes, static_cast<std::uint32_t>(one.target));
    append(bytes, static_cast<std::uint32_t>(one.piece.bytes.size()));
    append(bytes, one.piece.offset);
    bytes.insert(bytes.end(), one.piece.bytes.begin(), one.piece.bytes.end());
  }
  append(bytes, crc64(bytes));
  CB_TRY(AtomicFile file, AtomicFile::create(journal_path(model_path)));
  CB_TRY_STATUS(file.reserve(bytes.size()));
  CB_TRY_STATUS(file.write(bytes));
  return file.commit();
}

Result<Journal> parse_journal(std::span<const std::uint8_t> bytes, const std::string& path) {
  const auto broken = [&](std::size_t at) {
    return fail(
        ErrorKind::corrupt,
        "{}: not the journal of a repair (byte {}); move it away to repair from the seal alone",
        path, at);
  };
  if (bytes.size() < kMagic.size() + kCrcBytes ||
      !std::equal(kMagic.begin(), kMagic.end(), bytes.begin()))
    return broken(0);
  const auto body = bytes.first(bytes.size() - kCrcBytes);
  if (load_unaligned<std::uint64_t>(body.data() + body.size()) != crc64(body))
    return broken(body.size());
  ByteReader reader(body.subspan(kMagic.size()));
  const auto version = reader.read<std::uint32_t>();
  const auto count = reader.read<std::uint32_t>();
  const auto seal_id = reader.read<std::uint64_t>();
  if (!version || *version != kVersion || !count || !seal_id) return broken(kMagic.size());
  Journal journal{*seal_id, {}};
  for (std::uint32_t i = 0; i < *count; ++i) {
    const auto target = reader.read<std::uint32_t>();
    const auto size = reader.read<std::uint32_t>();
    const auto offset = reader.read<std::uint64_t>();
    const auto piece = size && offset ? reader.take(*size) : std::nullopt;
    if (!piece || *target > static_cast<std::uint32_t>(RepairTarget::seal))
      return broken(kMagic.size() + reader.position());
    journal.pieces.push_back(
        {static_cast<RepairTarget>(*target), {*offset, {piece->begin(), piece->end()}}});
  }
  if (reader.remaining() != 0) return broken(kMagic.size() + reader.position());
  return journal;
}

Result<std::optional<Journal>> read_journal(const std::string& model_path) {
  const std::string path = journal_path(model_path);
  auto file = SpanFile::open(path, SpanFile::Mode::read);
  if (!file.ok()) {
    if (file.error().kind == ErrorKind::not_found) return std::optional<Journal>();
    return file.error();
  }
  const std::uint64_t size = file->size_bytes();
  if (size > kMostBytes)
    return fail(ErrorKind::corrupt, "{}: {} bytes are no journal of a repair", path, size);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  if (!file->read(0, bytes)) return fail(ErrorKind::io, "{}: cannot be read", path);
  CB_TRY(Journal journal, parse_journal(bytes, path));
  return std::optional<Journal>(std::move(journal));
}

Status remove_journal(const std::string& model_path) {
  const std::string path = journal_path(model_path);
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail(ErrorKind::io, "{}: cannot remove: {}", path, std::strerror(errno));
}

}  // namespace checkbit
