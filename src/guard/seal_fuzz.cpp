// Fuzz target: whatever bytes stand where a seal or a journal ought to, opening, verifying and
// listing damage is safe, and nothing is repaired to what the seal does not vouch for.
//
// The first byte chooses: bit 0: the CRCs of the first and last sectors are made right, so that
// hostile fields are reached; bit 1: the bytes are a journal; bit 2: the whole head is made right.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "base/bytes.h"
#include "guard/seal_damage.h"
#include "guard/seal_repair.h"

using namespace checkbit;

namespace {

using Bytes = std::vector<std::uint8_t>;

void write_bytes(const std::string& path, std::span<const std::uint8_t> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

void mend_sector(Bytes& bytes, std::size_t start, std::uint64_t number) {
  const auto* place = reinterpret_cast<const std::uint8_t*>(&number);
  store_unaligned(bytes.data() + start + 504,
                  crc64({place, 8}, crc64({bytes.data() + start, 504})));
}

struct Folder {
  Folder()
      : path(std::filesystem::temp_directory_path() / fmt::format("seal-fuzz-{}", ::getpid())) {
    std::filesystem::create_directories(path);
    model = (path / "m.gguf").string();
    Bytes bytes(20'000);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * i >> 3);
    write_bytes(model, bytes);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
  std::string model;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  static ThreadPool pool(1);
  if (size == 0) return 0;
  Bytes bytes(data + 1, data + size);
  if ((data[0] & 2) != 0) {
    const auto journal = parse_journal(bytes, "fuzz");
    if (!journal.ok() && journal.error().message.find('\n') != std::string::npos) std::abort();
    if (bytes.size() >= 8)
      store_unaligned(bytes.data() + bytes.size() - 8,
                      crc64(std::span(bytes).first(bytes.size() - 8)));
    (void)parse_journal(bytes, "fuzz");
    return 0;
  }
  if ((data[0] & 5) != 0 && bytes.size() >= kSealSectorBytes) {
    const std::size_t sectors = (data[0] & 4) != 0 ? bytes.size() / kSealSectorBytes : 1;
    for (std::size_t i = 0; i < std::min<std::size_t>(sectors, 16); ++i)
      mend_sector(bytes, i * kSealSectorBytes, i);
  }
  write_bytes(sidecar_path(folder.model), bytes);
  const auto seal = Seal::open(folder.model);
  if (!seal.ok()) {
    if (seal.error().message.find('\n') != std::string::npos) std::abort();
    return 0;
  }
  const auto model = SpanFile::open(folder.model, SpanFile::Mode::read);
  const auto report = verify_seal(*seal, *model, {}, pool);
  if (report.ok()) (void)list_damage(*seal, *model, *report, 10);
  return 0;
}
