// Gemma 3: norms before and after each branch, query and key norms, five sliding-window layers to
// each global one, scaled embedding, tanh GELU (arXiv 2503.19786).

#include <array>
#include <cmath>

#include "arch/steps.h"

namespace checkbit {
namespace {

constexpr auto kPrologue = steps::join(steps::kEmbed, steps::kScaleEmbedding);
constexpr auto kLayer = steps::join(
    steps::kQueryKeyValue, steps::kHeadNorms, steps::kAttend,
    steps::one(steps::norm(Slot::branch, Slot::branch, Role::attention_post_norm)),
    steps::kAddBranch, steps::gated_feed_forward(StepKind::gelu_multiply),
    steps::one(steps::norm(Slot::branch, Slot::branch, Role::ffn_post_norm)), steps::kAddBranch);
constexpr auto kEpilogue =
    steps::join(steps::kLogits, steps::one({.kind = StepKind::softcap, .out = Slot::logits}));
constexpr std::array kOptional = {Role::output};
constexpr std::array<std::string_view, 5> kKeys = {
    "attention.sliding_window", "attention.sliding_window_pattern", "rope.freq_base_swa",
    "rope.local.freq_base", "final_logit_softcapping"};

/// The 27B model scales queries by its embedding per head, not by the head size.
constexpr std::int64_t kLayersOf27B = 62;

Status refine(const Metadata& metadata, Hyperparameters& h) {
  h.embedding_scale = std::sqrt(static_cast<float>(h.embedding));
  h.sliding_window =
      static_cast<std::int64_t>(metadata.get_uint("gemma3.attention.sliding_window").value_or(0));
  h.global_every = static_cast<std::int64_t>(
      metadata.get_uint("gemma3.attention.sliding_window_pattern").value_or(6));
  if (metadata.find("gemma3.attention.sliding_window_pattern") != nullptr &&
      !metadata.get_uint("gemma3.attention.sliding_window_pattern")) {
    return fail(ErrorKind::unsupported,
                "gemma3.attention.sliding_window_pattern: only a number is supported");
  }
  h.final_softcap =
      static_cast<float>(metadata.get_float("gemma3.final_logit_softcapping").value_or(0));
  h.local_rope = RopeParameters{.dimensions = h.rope.dimensions};
  const auto local_base = metadata.get_float("gemma3.rope.freq_base_swa");
  h.local_rope.frequency_base =
      local_base ? *local_base : metadata.get_float("gemma3.rope.local.freq_base").value_or(10000);
  if (!(h.local_rope.frequency_base > 1 && h.local_rope.frequency_base < 1e12)) {
    return fail(ErrorKind::corrupt, "gemma3.rope.freq_base_swa = {} is not in 1..1e12",
                h.local_rope.frequency_base);
  }
  if (h.sliding_window < 0 || h.global_every < 0) {
    return fail(ErrorKind::corrupt,
                "gemma3.attention.sliding_window or its pattern is out of range");
  }
  if (h.layers == kLayersOf27B) {
    h.attention_scale =
        1.0f / std::sqrt(static_cast<float>(h.embedding) / static_cast<float>(h.heads));
  }
  return {};
}

}  // namespace

extern const Architecture gemma3_architecture;
const Architecture gemma3_architecture = {.name = "gemma3",
                                          .pairing = RopePairing::halves,
                                          .prologue = kPrologue,
                                          .layer = kLayer,
                                          .epilogue = kEpilogue,
                                          .optional = kOptional,
                                          .keys = kKeys,
                                          .refine = refine};

}  // namespace checkbit
