// What a model file says about itself, gathered for `inspect`.
//
// Errors: none: what cannot be understood becomes a warning, so that `inspect` shows every file
//   that parses, also those that Checkbit cannot run.
// Memory: the weights stay in the file; a session is opened on its map to see whether the model
//   runs and which buffers it takes.
// Threads: pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arch/architecture.h"
#include "file/model_file.h"
#include "kernels/cache_layout.h"

namespace checkbit {

struct TypeUse {
  const Format* format = nullptr;
  std::uint64_t tensors = 0;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
  std::string kernel;  ///< that multiplies its matrices; empty for vectors and without a session
};

/// What `run` takes, counted as `quantize --fit` counts it.
struct MemoryNeed {
  std::int64_t context_tokens = 0;
  CacheType cache_type = CacheType::f16;
  std::uint64_t weights_bytes = 0;  ///< as they lie in memory
  std::uint64_t kv_cache_bytes = 0;
  std::uint64_t buffer_bytes = 0;   ///< activations, logits, sampler
  std::uint64_t program_bytes = 0;  ///< code, tokenizer and header
  std::uint64_t most_bytes = 0;     ///< all of it, or the peak of loading where that is more
};

struct InspectedModel {
  std::string architecture;
  std::string name;
  std::uint64_t parameters = 0;
  std::uint64_t tensor_bytes = 0;
  std::vector<TypeUse> types;                      ///< largest share of the bytes first
  std::optional<Hyperparameters> hyperparameters;  ///< only for architectures that Checkbit runs
  std::optional<MemoryNeed> memory;                ///< only for models that open
  std::string isa;                                 ///< "avx512_vnni", what `run` uses here
  std::string tokenizer;                           ///< "gpt2 (smollm), 49,152 tokens"
  std::optional<std::string> chat_template;
  std::vector<std::string> warnings;

  double bits_per_weight() const {
    return parameters == 0
               ? 0
               : 8.0 * static_cast<double>(tensor_bytes) / static_cast<double>(parameters);
  }
};

/// `context_tokens` 0: the model's own, at most 4096.
InspectedModel inspect_model(const ModelFile& file, std::int64_t context_tokens,
                             CacheType cache_type);

/// Arrays longer than `longest_array` become {"kind", "length", "first": [...]}.
nlohmann::ordered_json metadata_json(const Metadata& metadata, std::size_t longest_array);
nlohmann::ordered_json tensors_json(const ModelFile& file);
/// One value on one line, cut to `width`.
std::string metadata_text(const GgufValue& value, std::size_t width);

}  // namespace checkbit
