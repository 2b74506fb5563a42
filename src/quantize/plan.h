// What a quantized file will hold: one format per tensor.
//
// What: `Plan` lists every tensor of a source file with its target format, and a note wherever a
//   request did not fit. Vectors (norms, biases) and rotary factors keep their format: they are
//   small and the result depends on them. `plan_recipe` follows a recipe: one format for every
//   matrix, or a mix that spends more bits on sensitive tensors (mixes.def).
// A recipe's format whose blocks do not divide a row is replaced by the smallest standard one of
//   32-wide blocks that is not worse, as other programs do, but said aloud; so is a format with
//   more bits than the tensor has now.
// Errors: not_found (no such recipe; lists them), unsupported (format cannot be encoded).
// Threads: values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "arch/architecture.h"
#include "base/result.h"
#include "file/model_file.h"

namespace checkbit {

struct TensorPlan {
  const ModelTensor* source = nullptr;
  const Format* format = nullptr;  ///< equal to the source's: copied
  Role role = Role::none;          ///< none for tensors that are not matrices of the family
  std::int64_t layer = 0;

  std::uint64_t file_bytes() const;
  /// In memory, as weights/packed_matrix.h holds it.
  std::uint64_t packed_bytes() const;
  /// The same in whole pages.
  std::uint64_t resident_bytes() const;
};

struct Plan {
  std::string recipe;
  std::vector<TensorPlan> tensors;  ///< in the order of the source
  std::vector<std::string> notes;   ///< one line for each request that did not fit

  std::uint64_t file_bytes() const;
  std::uint64_t resident_bytes() const;
  std::uint64_t elements() const;
  double bits_per_weight() const;
  /// "Q4_K 169, Q6_K 29, F32 141".
  std::string summary() const;
};

/// Every tensor of the file with its own format: the start of all plans. Errors: read_config's.
Result<Plan> plan_copy(const ModelFile& file);

/// True for tensors that quantization may change: two-dimensional weights of the family.
bool is_quantizable(const TensorPlan& tensor);

struct RecipeInfo {
  std::string name;
  std::string summary;
  const Format* format = nullptr;  ///< null for a mix
};
std::vector<RecipeInfo> all_recipes();

/// `force` allows ternary formats on ordinary models. `pure`: the recipe's base format everywhere.
Result<Plan> plan_recipe(const ModelFile& file, std::string_view recipe, bool pure, bool force);

/// Refuses ternary formats without `force`, and formats without encoder.
Status check_encodable(const Format& format, bool force);

/// The format itself if its blocks divide the row, else a stand-in (null when none fits).
const Format* fitting_format(const Format& format, std::uint64_t columns);

}  // namespace checkbit
