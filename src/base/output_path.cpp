#include "base/output_path.h"

#include <filesystem>
#include <system_error>

namespace checkbit {

Status check_output_path(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    return fail(ErrorKind::invalid, "{}: is a folder; name a file", path);
  const fs::path folder = fs::path(path).parent_path();
  if (!folder.empty() && !fs::is_directory(folder, ignored)) {
    return fail(ErrorKind::not_found, "{}: there is no folder {}; create it first", path,
                folder.string());
  }
  return {};
}

}  // namespace checkbit
