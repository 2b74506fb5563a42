// Which tensor, which block of its format and which field bytes of a model file belong to.
//
// What: `ModelPlaces` reads the tensor table, from a file that may be damaged: the caller puts
// right
//   blocks over damaged ones before. `at(byte)` names the place of a byte, `describe_bits` the
//   flipped bits of one.
// Errors: those of parse_gguf when the header is beyond use; places are then bytes and nothing
// more. Threads: constant once made.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "file/gguf.h"
#include "guard/span_file.h"

namespace checkbit {

struct Place {
  enum class Part : std::uint8_t { unknown, header, tensor, padding };
  Part part = Part::unknown;
  std::string tensor;  ///< the rest only for tensors
  const Format* format = nullptr;
  std::uint64_t row = 0;
  std::uint64_t block = 0;         ///< of the format, in the whole tensor
  std::uint64_t first_weight = 0;  ///< of that block, in its row
  std::uint64_t byte_in_block = 0;
};

class ModelPlaces {
 public:
  /// Right bytes for a place in the first kHeaderWindow bytes of the file.
  struct Patch {
    std::uint64_t offset = 0;
    std::vector<std::uint8_t> bytes;
  };
  static constexpr std::uint64_t kHeaderWindow = std::uint64_t{256} << 20;

  /// `model_bytes`: as sealed; the file may have fewer.
  static ModelPlaces read(const SpanFile& model, std::uint64_t model_bytes,
                          std::span<const Patch> patches);

  bool known() const { return !tensors_.empty(); }
  Place at(std::uint64_t byte) const;
  /// "blk.0.ffn_down.weight (Q4_K), row 5, block 123" or "header" or "byte 17"
  std::string describe(std::uint64_t byte) const;
  /// The fields of the bits set in `flipped`, a byte's difference: "scale bit 3, quant bit 17"
  /// (bits of the format's block); "" outside tensors.
  std::string describe_bits(std::uint64_t byte, std::uint8_t flipped) const;
  /// The field that a byte's first flipped bit belongs to: "scale", "quant"; "" outside tensors.
  std::string field(std::uint64_t byte, std::uint8_t flipped) const;
  /// Names of the tensors that bytes [begin, end) touch, at most `most` of them.
  std::vector<std::string> tensors_in(std::uint64_t begin, std::uint64_t end,
                                      std::size_t most) const;

 private:
  struct Extent {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    GgufTensor tensor;
  };
  const Extent* find(std::uint64_t byte) const;

  std::uint64_t data_offset_ = 0;
  std::vector<Extent> tensors_;  ///< by offset
};

}  // namespace checkbit
