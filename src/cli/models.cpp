#include "cli/models.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace checkbit {
namespace {

std::filesystem::path models_folder() {
  if (const char* home = std::getenv("CHECKBIT_HOME"))
    return std::filesystem::path(home) / "models";
  if (const char* cache = std::getenv("XDG_CACHE_HOME"))
    return std::filesystem::path(cache) / "checkbit" / "models";
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home == nullptr ? "." : home) / ".cache" / "checkbit" / "models";
}

}  // namespace

std::vector<std::string> pulled_models() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(models_folder(), ignored)) {
    if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> catalogue_models() { return {}; }

Result<std::string> resolve_model(const std::string& model) {
  std::error_code ignored;
  if (std::filesystem::exists(model, ignored)) return model;
  const auto pulled = models_folder() / (model + ".gguf");
  if (model.find('/') == std::string::npos && std::filesystem::exists(pulled, ignored))
    return pulled.string();
  return fail(ErrorKind::not_found, "{}: no such file, and no model of that name is pulled", model);
}

}  // namespace checkbit
