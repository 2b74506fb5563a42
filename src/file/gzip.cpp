#include "file/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

namespace checkbit {
namespace {

constexpr int kGzipWindow = 15 + 16;  // the largest window, gzip headers only

struct Inflater {
  Inflater() { ready = inflateInit2(&stream, kGzipWindow) == Z_OK; }
  ~Inflater() {
    if (ready) inflateEnd(&stream);
  }
  z_stream stream{};
  bool ready = false;
};

}  // namespace

bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

Result<std::string> gunzip(std::string_view bytes, const std::string& path,
                           std::uint64_t most_bytes) {
  Inflater inflater;
  if (!inflater.ready) return fail(ErrorKind::memory, "{}: no memory to unpack it", path);
  z_stream& stream = inflater.stream;
  std::array<char, 1 << 16> buffer;
  std::string text;
  std::size_t taken = 0;
  int code = Z_OK;
  while (code != Z_STREAM_END || taken < bytes.size()) {
    if (code == Z_STREAM_END && inflateReset(&stream) != Z_OK) break;
    const std::size_t piece = std::min<std::size_t>(bytes.size() - taken, 1 << 30);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data() + taken));
    stream.avail_in = static_cast<uInt>(piece);
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = buffer.size();
    code = inflate(&stream, Z_NO_FLUSH);
    taken += piece - stream.avail_in;
    if (code != Z_OK && code != Z_STREAM_END) {
      return fail(ErrorKind::corrupt, "{}: gzip data damaged or cut short at byte {}", path, taken);
    }
    text.append(buffer.data(), buffer.size() - stream.avail_out);
    if (text.size() > most_bytes) {
      return fail(ErrorKind::budget, "{}: more than {} bytes when unpacked", path, most_bytes);
    }
  }
  return text;
}

}  // namespace checkbit
