// One thing a sweep may measure: a model file that quantization could make.
//
// What: a name that says how to make it ("Q4_K_M", "bpw:3.5", "e2m1:b32"), its class in the
//   comparison of methods, and for emulated floats their shape. Making the file is the caller's:
//   measuring knows nothing of quantizing.
// Threads: values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"

namespace checkbit {

struct SweepCandidate {
  std::string name;
  /// "one scale", "uneven steps", "mixed by rule", ...: classes that are compared with each other.
  std::string method;
  double expected_bits = 0;  ///< per weight; orders the work, need not be exact
  /// Its weights are rounded as the format would, in a file of another type: bytes are those that
  /// the format would take, and speed means nothing.
  bool emulated = false;
  int exponent_bits = 0;  ///< of an emulated float
  int mantissa_bits = 0;
  int block = 0;  ///< weights that share a scale
};

struct CandidateFile {
  std::uint64_t file_bytes = 0;
  double bits_per_weight = 0;
  std::string note;  ///< where the request did not fit, or ""
};

/// Writes the candidate's file under `path`.
using MakeCandidate =
    std::function<Result<CandidateFile>(const SweepCandidate& candidate, const std::string& path)>;

}  // namespace checkbit
