#include "cli/read_input.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "report/text.h"

namespace checkbit {
namespace {

Result<std::string> read_stream(std::istream& stream, const std::string& name) {
  constexpr std::size_t kChunkBytes = 1u << 16;
  std::string text;
  std::string chunk(kChunkBytes, '\0');
  while (stream) {
    stream.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    text.append(chunk, 0, static_cast<std::size_t>(stream.gcount()));
    if (text.size() > kMaxTextInputBytes) {
      return fail(ErrorKind::budget, "{}: more than {} bytes of text", name, kMaxTextInputBytes);
    }
  }
  if (stream.bad()) return fail(ErrorKind::io, "{}: cannot be read", name);
  return text;
}

}  // namespace

Result<std::string> read_text_input(const std::string& path, Console& console) {
  if (path == "-") return read_stream(console.in, "standard input");
  std::error_code code;
  if (std::filesystem::is_directory(path, code))
    return fail(ErrorKind::io, "{}: is a directory", path);
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const int reason = errno;
    return fail(reason == ENOENT ? ErrorKind::not_found : ErrorKind::io, "{}: {}", path,
                std::strerror(reason));
  }
  return read_stream(file, path);
}

Status check_text(std::string_view text, std::string_view name) {
  if (text.empty()) return fail(ErrorKind::invalid, "{}: the text is empty", name);
  if (const auto bad = first_invalid_utf8(text)) {
    return fail(ErrorKind::invalid, "{}: not valid UTF-8 at byte {}; convert it to UTF-8 first",
                name, *bad);
  }
  return {};
}

}  // namespace checkbit
