// Llama: pre-norm transformer, grouped queries, SwiGLU (arXiv 2302.13971, 2307.09288).

#include <array>

#include "arch/steps.h"

namespace checkbit {
namespace {

constexpr auto kPrologue = steps::kEmbed;
constexpr auto kLayer =
    steps::join(steps::kQueryKeyValue, steps::kAttend, steps::kAddBranch,
                steps::gated_feed_forward(StepKind::silu_multiply), steps::kAddBranch);
constexpr auto kEpilogue = steps::kLogits;
constexpr std::array kOptional = {Role::output, Role::rope_factors};
constexpr std::array<std::string_view, 1> kKeys = {"vocab_size"};

}  // namespace

extern const Architecture llama_architecture;
const Architecture llama_architecture = {.name = "llama",
                                         .pairing = RopePairing::adjacent,
                                         .prologue = kPrologue,
                                         .layer = kLayer,
                                         .epilogue = kEpilogue,
                                         .optional = kOptional,
                                         .keys = kKeys};

}  // namespace checkbit
