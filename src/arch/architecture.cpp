#include "arch/architecture.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "arch/config_reader.h"

namespace checkbit {

#define CHECKBIT_ARCHITECTURE(stem) extern const Architecture stem##_architecture;
#include "arch/archs.def"
#undef CHECKBIT_ARCHITECTURE

namespace {

const std::array kArchitectures = {
#define CHECKBIT_ARCHITECTURE(stem) &stem##_architecture,
#include "arch/archs.def"
#undef CHECKBIT_ARCHITECTURE
};

constexpr std::array kRoles = {
#define CHECKBIT_ROLE(name, pattern, rows, columns) \
  RoleInfo{#name, pattern, Dimension::rows, Dimension::columns},
#include "arch/roles.def"
#undef CHECKBIT_ROLE
};

/// Keys that every family may have. A key outside this list and the family's own is refused: it
/// could change what the model computes.
constexpr std::array<std::string_view, 20> kCommonKeys = {"block_count",
                                                          "context_length",
                                                          "embedding_length",
                                                          "feed_forward_length",
                                                          "attention.head_count",
                                                          "attention.head_count_kv",
                                                          "attention.key_length",
                                                          "attention.value_length",
                                                          "attention.layer_norm_rms_epsilon",
                                                          "attention.scale",
                                                          "rope.dimension_count",
                                                          "rope.freq_base",
                                                          "rope.scale_linear",
                                                          "rope.scaling.type",
                                                          "rope.scaling.factor",
                                                          "rope.scaling.original_context_length",
                                                          "rope.scaling.attn_factor",
                                                          "rope.scaling.finetuned",
                                                          "rope.scaling.yarn_beta_fast",
                                                          "rope.scaling.yarn_beta_slow"};
/// Keys with no effect on the computation here.
constexpr std::array<std::string_view, 3> kInertKeys = {"vocab_size", "expert_count",
                                                        "expert_used_count"};

Status check_keys(const Metadata& metadata, const Architecture& architecture) {
  const std::string prefix = fmt::format("{}.", architecture.name);
  for (const auto& [key, value] : metadata.entries()) {
    if (!std::string_view(key).starts_with(prefix)) continue;
    const std::string_view name = std::string_view(key).substr(prefix.size());
    const auto in = [&](const auto& list) {
      return std::ranges::find(list, name) != std::ranges::end(list);
    };
    const bool experts = name.starts_with("expert") && metadata.get_uint(key).value_or(1) != 0;
    if (experts || !(in(kCommonKeys) || in(kInertKeys) || in(architecture.keys))) {
      return fail(ErrorKind::unsupported,
                  "metadata key {} is not understood for architecture {}; it may change the result",
                  key, architecture.name);
    }
  }
  return {};
}

void read_rope(const Metadata& metadata, ConfigReader& read, Hyperparameters& h) {
  RopeParameters& rope = h.rope;
  rope.dimensions = static_cast<int>(read.size("rope.dimension_count", h.head_size));
  if (rope.dimensions % 2 != 0 || rope.dimensions > h.head_size) {
    read.note(fail(ErrorKind::corrupt,
                   "metadata key {} = {} must be even and at most the head size {}",
                   read.key("rope.dimension_count"), rope.dimensions, h.head_size));
  }
  rope.frequency_base = read.number("rope.freq_base", 10000);
  const std::string type_key = read.key("rope.scaling.type");
  const std::string type(metadata.get_string(type_key).value_or("none"));
  if (metadata.find(type_key) != nullptr && !metadata.get_string(type_key))
    read.note(fail(ErrorKind::corrupt, "metadata key {} is not a string", type_key));
  const double factor = read.number("rope.scaling.factor", read.number("rope.scale_linear", 1));
  rope.original_context =
      read.number("rope.scaling.original_context_length", static_cast<double>(h.context_length));
  rope.attention_factor = read.number("rope.scaling.attn_factor", 1);
  rope.beta_fast = read.number("rope.scaling.yarn_beta_fast", 32);
  rope.beta_slow = read.number("rope.scaling.yarn_beta_slow", 1);
  if (factor <= 0) {
    const std::string_view name =
        read.has("rope.scaling.factor") ? "rope.scaling.factor" : "rope.scale_linear";
    read.note(
        fail(ErrorKind::corrupt, "metadata key {} = {} is not positive", read.key(name), factor));
  }
  if (rope.frequency_base <= 1) {
    read.note(fail(ErrorKind::corrupt, "metadata key {} = {} is not over 1",
                   read.key("rope.freq_base"), rope.frequency_base));
  }
  if (type == "yarn") {
    rope.yarn = true;
    rope.yarn_factor = factor;
  } else if (type == "linear" || (type == "none" && metadata.find(type_key) == nullptr)) {
    rope.linear_factor = factor;
  } else if (type != "none") {
    read.note(fail(ErrorKind::unsupported,
                   "metadata key {} = \"{}\" is not supported (none, linear, yarn)", type_key,
                   type));
  }
}

}  // namespace

std::string RoleInfo::tensor_name(int layer) const {
  return per_layer() ? fmt::format(fmt::runtime(pattern), layer) : std::string(pattern);
}

const RoleInfo& role_info(Role role) {
  CB_CHECK(role != Role::none);
  return kRoles[static_cast<std::size_t>(role)];
}

std::int64_t Hyperparameters::size_of(Dimension dimension) const {
  switch (dimension) {
    case Dimension::one:
      return 1;
    case Dimension::vocabulary:
      return vocabulary;
    case Dimension::embedding:
      return embedding;
    case Dimension::queries:
      return heads * head_size;
    case Dimension::keys:
      return key_value_heads * head_size;
    case Dimension::values:
      return key_value_heads * value_size;
    case Dimension::attended:
      return heads * value_size;
    case Dimension::feed_forward:
      return feed_forward;
    case Dimension::head:
      return head_size;
    case Dimension::rope_pairs:
      return rope.dimensions / 2;
  }
  return 0;
}

std::span<const Architecture* const> all_architectures() { return kArchitectures; }

std::size_t linear_group(std::span<const Step> steps, std::size_t first) {
  std::size_t end = first + 1;
  if (steps[first].kind != StepKind::linear) return 1;
  while (end < steps.size() && steps[end].kind == StepKind::linear &&
         steps[end].in == steps[first].in && steps[end].out != steps[first].in) {
    ++end;
  }
  return end - first;
}

const Architecture* find_architecture(std::string_view name) {
  const auto found = std::ranges::find_if(kArchitectures, [&](auto* a) { return a->name == name; });
  return found == kArchitectures.end() ? nullptr : *found;
}

Result<ModelConfig> read_config(const Metadata& metadata) {
  const auto name = metadata.get_string("general.architecture");
  if (!name) return fail(ErrorKind::corrupt, "metadata key general.architecture is missing");
  ModelConfig config;
  config.architecture = find_architecture(*name);
  if (config.architecture == nullptr) {
    std::string known;
    for (const Architecture* a : all_architectures()) known += fmt::format(" {}", a->name);
    return fail(ErrorKind::unsupported, "architecture \"{}\" is not supported; known:{}", *name,
                known);
  }
  CB_TRY_STATUS(check_keys(metadata, *config.architecture));
  Hyperparameters& h = config.hyperparameters;
  ConfigReader read(metadata, *name);
  h.layers = read.size("block_count");
  h.embedding = read.size("embedding_length");
  h.feed_forward = read.size("feed_forward_length");
  h.context_length = read.size("context_length");
  h.heads = read.size("attention.head_count");
  h.key_value_heads = read.size("attention.head_count_kv", h.heads);
  h.head_size = read.size("attention.key_length", std::max<std::int64_t>(1, h.embedding / h.heads));
  h.value_size = read.size("attention.value_length", h.head_size);
  h.norm_epsilon = static_cast<float>(read.number("attention.layer_norm_rms_epsilon", 1e-5));
  h.attention_scale = static_cast<float>(read.number("attention.scale", 0));
  if (h.attention_scale == 0) h.attention_scale = 1.0f / std::sqrt(static_cast<float>(h.head_size));
  if (h.heads % h.key_value_heads != 0) {
    read.note(fail(ErrorKind::unsupported,
                   "metadata keys {} = {} and {} = {}: heads must divide evenly over key-value "
                   "heads",
                   read.key("attention.head_count"), h.heads, read.key("attention.head_count_kv"),
                   h.key_value_heads));
  }
  if (h.value_size % 16 != 0) {
    const std::string_view cause = read.has("attention.value_length") ? "attention.value_length"
                                   : read.has("attention.key_length") ? "attention.key_length"
                                                                      : "attention.head_count";
    read.note(fail(ErrorKind::unsupported,
                   "metadata key {} makes heads with values of size {}: only multiples of 16 are "
                   "supported",
                   read.key(cause), h.value_size));
  }
  read_rope(metadata, read, h);
  h.local_rope = h.rope;
  CB_TRY_STATUS(read.status());
  if (config.architecture->refine != nullptr)
    CB_TRY_STATUS(config.architecture->refine(metadata, h));
  return config;
}

}  // namespace checkbit
