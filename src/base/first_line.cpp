#include "base/first_line.h"

#include <fstream>
#include <string_view>

namespace checkbit {

std::string first_line(const std::string& path) {
  constexpr std::size_t kLineBytes = 64u << 10;
  std::ifstream file(path);
  std::string line(kLineBytes, '\0');
  file.getline(line.data(), static_cast<std::streamsize>(line.size()));
  line.resize(file.gcount() > 0 ? std::string_view(line.c_str()).size() : 0);
  return line;
}

}  // namespace checkbit
