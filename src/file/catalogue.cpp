#include "file/catalogue.h"

#include <algorithm>
#include <array>

namespace checkbit {
namespace {

constexpr std::array kModels = {
#define CHECKBIT_MODEL(name, package, version, parts, member, bytes, sha256, licence, summary) \
  CatalogueModel{name, package, version, parts, member, bytes, sha256, licence, summary},
#include "file/catalogue.def"
#undef CHECKBIT_MODEL
};

}  // namespace

std::span<const CatalogueModel> catalogue() { return kModels; }

const CatalogueModel* find_in_catalogue(std::string_view name) {
  const auto found = std::ranges::find(kModels, name, &CatalogueModel::name);
  return found == kModels.end() ? nullptr : &*found;
}

}  // namespace checkbit
