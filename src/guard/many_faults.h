// Very many faults, one after the other, on real products and on real bytes of a file.
//
// What: `faults_on_products` takes matrices of a model and the activations that a text gives them,
// and
//   runs single and double faults on each (product_faults.h), half of them on a product of one
//   token, half on one of a block of tokens where the text gives one. A matrix gets as many as its
//   share of the bytes. `faults_on_blocks` does the same to stretches of the model's file, their
//   checks and their parity (code_faults.h), `faults_on_seals` to stretches with a seal beside
//   them on disk (seal_faults.h). Half of the trials have one fault, half have two.
// Reproducible: a trial is decided by seed, sample and number, not by the number of threads.
// Errors: of the session; unsupported (nothing to check in this model); io; cancelled.
// Threads: makes its own.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "arch/guard_level.h"
#include "guard/fault_spec.h"
#include "guard/outcome.h"
#include "protect/block_code.h"
#include "run/session.h"

namespace checkbit {

struct ManyFaultsOptions {
  std::uint64_t trials = 100000;
  std::uint64_t seed = 1;
  std::size_t samples = 8;  ///< matrices or stretches, at most
  std::size_t threads = 1;
};

struct ManyFaults {
  OutcomeCounts single;
  OutcomeCounts pair;
  std::uint64_t bits = 0;    ///< that were drawn from, over all samples
  std::uint64_t checks = 0;  ///< comparisons of products, token by token
  double seconds = 0;
  std::vector<std::string> samples;  ///< what was hit
};

/// The inputs of products with each matrix, [tokens][columns]: of the last tokens of a text, at
/// most kWidestBlock, or of the one whose logits are asked for.
Result<std::map<std::string, std::vector<float>>> inputs_of_products(Session& session,
                                                                     std::span<const TokenId> text);

Result<ManyFaults> faults_on_products(Session& session, std::span<const TokenId> text,
                                      GuardLevel level, const ManyFaultsOptions& options);

Result<ManyFaults> faults_on_blocks(const ModelFile& file, CodeShape shape,
                                    const ManyFaultsOptions& options);

Result<ManyFaults> faults_on_seals(const ModelFile& file, CodeShape shape,
                                   const ManyFaultsOptions& options);

}  // namespace checkbit
