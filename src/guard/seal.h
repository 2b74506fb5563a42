// The seal of a model: checks of every 4 KiB and parity to mend them, on disk beside the model or
// in it.
//
// What: `make_seal` writes one; `Seal::open` finds it (MODEL.seal, else behind the model's own
// bytes),
//   reads head and table, mends both in memory as far as their own redundancy goes, and knows what
//   on disk is to be put right.
// Errors: not_found (no seal), corrupt (damaged beyond use, or of a file of quite another size),
//   unsupported (a later version), io, memory, invalid (a model that has a seal inside already).
// Threads: a Seal is constant once open.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "guard/seal_format.h"
#include "guard/span_file.h"

namespace checkbit {

/// "model.gguf.seal"
std::string sidecar_path(const std::string& model_path);

/// Bytes to write at an offset of a file.
struct Piece {
  std::uint64_t offset = 0;
  std::vector<std::uint8_t> bytes;
};

class Seal {
 public:
  static Result<Seal> open(const std::string& model_path);

  const SealHeader& header() const { return header_; }
  const SealLayout& layout() const { return layout_; }
  bool in_file() const { return in_file_; }
  /// Of the file that holds it: the sidecar or the model.
  const std::string& path() const { return path_; }
  /// Its first byte in that file.
  std::uint64_t begin() const { return begin_; }

  const BlockCheck& check(std::uint64_t block) const { return checks_[block]; }
  const BlockCheck& parity_check(std::uint64_t block) const {
    return checks_[layout_.data().blocks() + block];
  }
  bool read_parity(std::uint64_t block, std::span<std::uint8_t> out) const;
  std::uint64_t parity_offset(std::uint64_t block) const {
    return begin_ + layout_.parity_offset() + block * kCodeBlockBytes;
  }
  std::span<const BlockCheck> root() const { return root_; }

  /// What of head and table on disk differs from what it ought to be, as offsets of the file.
  const std::vector<Piece>& own_damage() const { return own_damage_; }
  /// The right bytes of head and table, for whoever has to decide whether a write is right.
  const SpanFile& file() const { return *file_; }

 private:
  Seal(SealHeader header) : header_(header), layout_(header.sealed_bytes, header.shape) {}
  static Result<Seal> open_at(SpanFile file, std::uint64_t begin, bool in_file);
  Status load_table();
  void find_head_damage();

  SealHeader header_;
  SealLayout layout_;
  std::unique_ptr<SpanFile> file_;
  std::string path_;
  std::uint64_t begin_ = 0;
  bool in_file_ = false;
  std::vector<BlockCheck> root_;
  std::vector<BlockCheck> checks_;  ///< of data blocks, then of parity blocks
  std::vector<Piece> own_damage_;
};

struct SealOptions {
  CodeShape shape;
  bool in_file = false;
  /// Of at least kLeastKeyBytes: also a keyed hash of the whole.
  std::optional<std::vector<std::uint8_t>> key;
};
inline constexpr std::size_t kLeastKeyBytes = 16;

struct SealMade {
  std::string path;  ///< of the file that holds the seal
  std::uint64_t model_bytes = 0;
  std::uint64_t seal_bytes = 0;
  double code_seconds = 0;  ///< reading the model, checks, parity and writing the parity
  double hash_seconds = 0;  ///< of the keyed hash
};

/// Seals a model as it is now. Nothing appears under the seal's name until it is whole; `in_file`
/// writes the model anew with the seal behind it.
Result<SealMade> make_seal(const std::string& model_path, const SealOptions& options,
                           ThreadPool& pool);

/// HMAC-SHA256 over the HMAC-SHA256 of every MiB of the model's first `bytes`, so that threads
/// share the work: tamper evidence for whoever holds the key (docs/formats/seal.md). Errors: io
/// when some of it cannot be read; cancelled.
Result<KeyedHash> keyed_hash(const SpanFile& model, std::uint64_t bytes,
                             std::span<const std::uint8_t> key, ThreadPool& pool);
/// In constant time.
bool same_hash(const KeyedHash& a, const KeyedHash& b);

/// Reads the first `bytes` in the pieces and by the threads that verifying does, and nothing else:
/// what its speed is compared with. Seconds.
double read_alone(const SpanFile& model, std::uint64_t bytes, ThreadPool& pool);

}  // namespace checkbit
