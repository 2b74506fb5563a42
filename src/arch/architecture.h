// A model family as data: a list of steps over named buffers, with the role of each tensor.
//
// What: `Architecture` says what a family computes; executor.h runs any of them. Rewrites and
//   observers (calibration, profiling, guarding) work on these lists, never on a family's code.
// Steps: `prologue` once per batch, `layer` once per layer, `epilogue` once for the tokens whose
//   logits are wanted.
// Reference: llama (arXiv 2302.13971), Qwen2 (2407.10671), Qwen3 (2505.09388), Gemma 3
// (2503.19786). Threads: constant data.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "file/gguf.h"

namespace checkbit {

enum class Role {
#define CHECKBIT_ROLE(name, pattern, rows, columns) name,
#include "arch/roles.def"
#undef CHECKBIT_ROLE
  none
};
inline constexpr int kRoleCount = static_cast<int>(Role::none);

/// Sizes that follow from the hyperparameters.
enum class Dimension {
  one,
  vocabulary,
  embedding,
  queries,
  keys,
  values,
  attended,
  feed_forward,
  head,
  rope_pairs
};

struct RoleInfo {
  std::string_view name;
  std::string_view pattern;  ///< "blk.{}.attn_q.weight"
  Dimension rows;
  Dimension columns;
  bool per_layer() const { return pattern.find('{') != std::string_view::npos; }
  std::string tensor_name(int layer) const;
};
const RoleInfo& role_info(Role role);

/// The buffers that steps read and write, each [tokens][size].
enum class Slot { residual, normed, query, key, value, attended, branch, gate, up, logits, none };
inline constexpr int kSlotCount = static_cast<int>(Slot::none);

enum class StepKind {
  embed,          ///< out = rows of `weight` by token id
  scale,          ///< out *= constant named by `factor`
  rms_norm,       ///< out = in / rms(in) * weight
  head_norm,      ///< the same per attention head, in place on `out`
  linear,         ///< out = weight in (+ bias)
  rope,           ///< rotates `out` (query or key) by position, in place
  attention,      ///< stores key and value, out = attention of query
  silu_multiply,  ///< out = silu(in) * second
  gelu_multiply,  ///< out = gelu(in) * second
  add,            ///< out += in
  softcap         ///< out = cap tanh(out / cap), if the model has a final cap
};

struct Step {
  StepKind kind;
  Slot in = Slot::none;
  Slot out = Slot::none;
  Role weight = Role::none;
  Role bias = Role::none;
  Slot second = Slot::none;
};

enum class RopePairing { adjacent, halves };  ///< (2i, 2i+1) or (i, i + n/2)

struct RopeParameters {
  int dimensions = 0;  ///< rotated elements of a head, even
  double frequency_base = 10000;
  double linear_factor = 1;  ///< positions are divided by it
  bool yarn = false;         ///< YaRN (arXiv 2309.00071)
  double yarn_factor = 1;
  double original_context = 0;
  double attention_factor = 1;
  double beta_fast = 32;
  double beta_slow = 1;
};

struct Hyperparameters {
  std::int64_t vocabulary = 0;
  std::int64_t embedding = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t key_value_heads = 0;
  std::int64_t head_size = 0;   ///< of queries and keys
  std::int64_t value_size = 0;  ///< of values, per head
  std::int64_t feed_forward = 0;
  std::int64_t context_length = 0;  ///< the model was trained for
  float norm_epsilon = 1e-5f;
  float attention_scale = 0;
  float embedding_scale = 1;
  float final_softcap = 0;
  float attention_softcap = 0;
  RopeParameters rope;
  RopeParameters local_rope;        ///< of sliding-window layers
  std::int64_t sliding_window = 0;  ///< 0: every layer sees everything
  std::int64_t global_every = 0;    ///< layer l is global when (l + 1) % global_every == 0

  bool is_sliding(std::int64_t layer) const {
    return sliding_window > 0 && (global_every == 0 || (layer + 1) % global_every != 0);
  }
  /// The first position that a token at `position` attends to.
  std::int64_t first_seen(std::int64_t layer, std::int64_t position) const {
    return is_sliding(layer) && position >= sliding_window ? position - sliding_window + 1 : 0;
  }
  std::int64_t size_of(Dimension dimension) const;
};

struct Architecture {
  std::string_view name;  ///< general.architecture
  RopePairing pairing = RopePairing::adjacent;
  std::span<const Step> prologue;
  std::span<const Step> layer;
  std::span<const Step> epilogue;
  std::span<const Role>
      optional;  ///< roles whose tensors may be missing (output: tied to the embedding)
  /// Keys beyond the common ones that the family understands, without the "name." prefix.
  std::span<const std::string_view> keys;
  /// Adjusts what the common reader found (scales, windows). May be null.
  Status (*refine)(const Metadata& metadata, Hyperparameters& h) = nullptr;
};

/// How many steps from `first` on run as one: linear steps that read the same buffer and stand
/// together share one barrier and one quantization of their input.
std::size_t linear_group(std::span<const Step> steps, std::size_t first);

/// f(steps, layer) for every group of linear steps, layer by layer (0 outside the layers).
template <class F>
void for_linear_groups(const Architecture& architecture, std::int64_t layers, F&& f) {
  const auto walk = [&](std::span<const Step> steps, std::int64_t layer) {
    for (std::size_t i = 0; i < steps.size();) {
      const std::size_t count = linear_group(steps, i);
      if (steps[i].kind == StepKind::linear) f(steps.subspan(i, count), layer);
      i += count;
    }
  };
  walk(architecture.prologue, 0);
  for (std::int64_t layer = 0; layer < layers; ++layer) walk(architecture.layer, layer);
  walk(architecture.epilogue, 0);
}

std::span<const Architecture* const> all_architectures();
const Architecture* find_architecture(std::string_view name);

/// Reads and checks `general.architecture` and its keys. Errors: unsupported (unknown family, a key
/// it does not know, by name), corrupt (missing or impossible values, by key).
struct ModelConfig {
  const Architecture* architecture = nullptr;
  Hyperparameters hyperparameters;
};
Result<ModelConfig> read_config(const Metadata& metadata);

}  // namespace checkbit
