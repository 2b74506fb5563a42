// What is wrong with a sealed model, block by block, and what its blocks ought to be.
//
// What: `verify_seal` reads the model and the parity once and compares CRCs; `for_damaged_stripes`
//   then reads the stripes with damage and computes their right blocks, for saying what was hit and
//   for putting it right. Neither writes.
// Errors: cancelled, memory. Damage is a result, not an error.
// Threads: one call at a time; the pool's threads read.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "guard/seal.h"

namespace checkbit {

enum class KeyState : std::uint8_t {
  not_asked,  ///< no key given
  undecided,  ///< blocks are damaged: there is nothing to say before they are mended
  absent,     ///< a key given, but the seal has no keyed hash
  agrees,
  differs,
};

struct VerifyReport {
  std::uint64_t sealed_bytes = 0;
  std::uint64_t file_bytes = 0;        ///< as it is now, without a seal inside
  std::uint64_t blocks = 0;            ///< of the model
  std::vector<std::uint64_t> damaged;  ///< blocks of the model, in order; missing ones too
  std::uint64_t missing = 0;           ///< of those: behind the end, or the disk refuses them
  std::vector<std::uint64_t> damaged_parity;
  std::uint64_t own_damage = 0;  ///< pieces of head and table
  KeyState key = KeyState::not_asked;
  double seconds = 0;  ///< of comparing, without the keyed hash
  std::uint64_t bytes_read = 0;
  int threads = 0;

  std::uint64_t extra_bytes() const {
    return file_bytes > sealed_bytes ? file_bytes - sealed_bytes : 0;
  }
  bool model_is_right() const { return damaged.empty() && extra_bytes() == 0; }
  bool seal_is_right() const { return damaged_parity.empty() && own_damage == 0; }
  /// More than a quarter of what is there differs: no accident of memory or disk.
  bool looks_like_another_file() const {
    return blocks >= 8 && (damaged.size() - missing) * 4 > blocks;
  }
};

/// Bytes of the model's file that are the model's own, not a seal's inside it.
std::uint64_t own_bytes(const Seal& seal, const SpanFile& model);

/// `key` empty: not asked.
Result<VerifyReport> verify_seal(const Seal& seal, const SpanFile& model,
                                 std::span<const std::uint8_t> key, ThreadPool& pool);

/// One stripe with damage.
struct DamagedStripe {
  std::uint64_t stripe = 0;
  std::vector<MendedBlock> blocks;
  /// As the model's blocks are now, [data_blocks]; null where missing. Valid during the call.
  std::span<const std::uint8_t* const> now;
};

/// Visits every stripe that the report has damage in, in order. An error of `visit` ends the walk
/// and is returned.
Status for_damaged_stripes(const Seal& seal, const SpanFile& model, const VerifyReport& report,
                           const std::function<Status(const DamagedStripe&)>& visit);

}  // namespace checkbit
