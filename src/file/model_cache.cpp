// Where pulled models are: models_folder, cached_models, resolve_model of pull.h.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "file/catalogue.h"
#include "file/gguf_layout.h"
#include "file/pull.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".gguf";

/// The variable's value, or empty when unset or not absolute (the XDG specification says to ignore
/// those).
std::string absolute_from_environment(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && value[0] == '/' ? value : "";
}

std::string names_of(const std::vector<CachedModel>& models) {
  std::string names;
  for (const CachedModel& model : models) names += (names.empty() ? "" : ", ") + model.name;
  return names.empty() ? "none" : names;
}

std::string catalogue_names() {
  std::string names;
  for (const CatalogueModel& model : catalogue()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", model.name);
  }
  return names;
}

}  // namespace

Result<std::string> models_folder() {
  if (const char* const home = std::getenv("CHECKBIT_HOME"); home != nullptr && home[0] != '\0') {
    return std::string(home) + "/models";
  }
  if (const auto cache = absolute_from_environment("XDG_CACHE_HOME"); !cache.empty()) {
    return cache + "/checkbit/models";
  }
  if (const auto home = absolute_from_environment("HOME"); !home.empty()) {
    return home + "/.cache/checkbit/models";
  }
  return fail(ErrorKind::not_found,
              "no cache folder: none of CHECKBIT_HOME, XDG_CACHE_HOME and HOME is set");
}

std::vector<CachedModel> cached_models() {
  std::vector<CachedModel> models;
  const auto folder = models_folder();
  if (!folder.ok()) return models;
  std::error_code error;
  for (fs::directory_iterator entry(*folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string file_name = entry->path().filename().string();
    std::error_code ignored;
    if (!file_name.ends_with(kExtension) || file_name.starts_with('.') ||
        !entry->is_regular_file(ignored)) {
      continue;
    }
    models.push_back({file_name.substr(0, file_name.size() - kExtension.size()),
                      entry->path().string(), entry->file_size(ignored)});
  }
  std::ranges::sort(models, {}, &CachedModel::name);
  return models;
}

Result<std::string> resolve_model(std::string_view name_or_path) {
  const std::string wanted(name_or_path);
  std::error_code ignored;
  if (wanted.find('/') != std::string::npos || wanted.ends_with(kExtension)) {
    if (fs::exists(wanted, ignored)) return wanted;
    return fail(ErrorKind::not_found, "{}: no such file", wanted);
  }
  const auto models = cached_models();
  const auto found = std::ranges::find(models, wanted, &CachedModel::name);
  if (found != models.end()) return found->path;
  if (find_in_catalogue(wanted) != nullptr) {
    return fail(ErrorKind::not_found, "{}: not pulled yet; run: checkbit pull {}", wanted, wanted);
  }
  if (fs::exists(wanted, ignored)) return wanted;
  return fail(ErrorKind::not_found,
              "{}: no such model (pulled: {}; checkbit pull NAME fetches: {}; no file of "
              "that name)",
              gguf_layout::quoted(wanted), names_of(models), catalogue_names());
}

}  // namespace checkbit
