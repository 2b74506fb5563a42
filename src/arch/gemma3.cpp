// Gemma 3: norms before and after each branch, query and key norms, five sliding-window layers to
// each global one, scaled embedding, tanh GELU (arXiv 2503.19786).

#include <array>
#include <cmath>

#include "arch/config_reader.h"
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
  ConfigReader read(metadata, "gemma3");
  h.embedding_scale = std::sqrt(static_cast<float>(h.embedding));
  h.sliding_window = read.count("attention.sliding_window", 0);
  h.global_every = read.count("attention.sliding_window_pattern", 6);
  h.final_softcap = static_cast<float>(read.number("final_logit_softcapping", 0));
  h.local_rope = RopeParameters{.dimensions = h.rope.dimensions};
  const std::string_view base =
      read.has("rope.freq_base_swa") ? "rope.freq_base_swa" : "rope.local.freq_base";
  h.local_rope.frequency_base = read.number(base, 10000);
  if (h.local_rope.frequency_base <= 1) {
    read.note(fail(ErrorKind::corrupt, "metadata key {} = {} is not over 1", read.key(base),
                   h.local_rope.frequency_base));
  }
  if (h.layers == kLayersOf27B) {
    h.attention_scale =
        1.0f / std::sqrt(static_cast<float>(h.embedding) / static_cast<float>(h.heads));
  }
  return read.status();
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
