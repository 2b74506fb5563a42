// Second moments kept in a file: measured once, used for any type and method that needs no drift.
//
// What: a GGUF file. For every matrix that is the first to read its input, a tensor NAME.moments of
//   F32 holds the lower triangles of the diagonal blocks, row by row; metadata
//   checkbit.calibration.* says how wide the blocks are, of which model and text it is, and over
//   how many tokens.
// Memory: what is read stays in the file's map.
// Errors: corrupt (tensor, what is wrong), invalid (of another model), io.
// Threads: one writer at a time; readers are const.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "arch/model.h"
#include "file/gguf_writer.h"
#include "quantize/calibrate.h"
#include "quantize/rounding/metric.h"

namespace checkbit {

struct MomentsInfo {
  std::string source_sha256;
  std::string text_name;
  std::uint64_t tokens = 0;
};

/// Columns of a diagonal block for an input of so many: all, or what `memory_bytes` has room for
/// when `copies` of the block stand in memory at once. A multiple of 256 where it is not all.
std::int64_t moment_block(std::int64_t columns, std::uint64_t copies, std::uint64_t memory_bytes);

/// In the order of rounding: layer by layer, then the output. The name of the leader's tensor.
struct MomentsEntry {
  std::string name;
  std::int64_t columns = 0;
};
std::vector<MomentsEntry> moments_entries(const ModelConfig& config);

class MomentsFile;
/// The diagonals as a Calibration without sensitivities: what weighs column by column.
Result<Calibration> energies_of(const MomentsFile& file, const ModelConfig& config);

class MomentsWriter {
 public:
  static Result<MomentsWriter> create(const std::string& path,
                                      std::span<const MomentsEntry> entries,
                                      const MomentsInfo& info, std::uint64_t copies,
                                      std::uint64_t memory_bytes);
  /// The next entry's.
  Status append(const SecondMoments& moments);
  Status finish() { return writer_.finish(); }

 private:
  explicit MomentsWriter(GgufWriter writer) : writer_(std::move(writer)) {}
  GgufWriter writer_;
  std::size_t next_ = 0;
};

class MomentsFile {
 public:
  static Result<MomentsFile> open(const std::string& path);
  /// Of bytes that outlive what is read from them.
  static Result<MomentsFile> parse(std::span<const std::uint8_t> bytes, const std::string& path);

  /// Refuses one of another model, by its hash or by its matrices.
  Status check(std::span<const MomentsEntry> entries, const std::string& source_sha256) const;
  const MomentsInfo& info() const { return info_; }
  Result<SecondMoments> read(const std::string& name) const;

 private:
  struct Entry {
    std::string name;
    std::int64_t columns = 0;
    std::int64_t block = 0;
    std::span<const std::uint8_t> bytes;
  };
  std::string path_;
  std::optional<MappedFile> map_;
  MomentsInfo info_;
  std::vector<Entry> entries_;
};

}  // namespace checkbit
