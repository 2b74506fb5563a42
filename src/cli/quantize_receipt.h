// A receipt put to the test: the file made again from what it says, and compared.
//
// What: reads the command out of a quantized file, checks that source and calibration are those it
//   was made from, runs the command again into FILE.remade and compares every byte; the remade file
//   is removed. Outputs beside the model (--write-imatrix, --write-calibration) are not written.
// Errors: not_found (no receipt), unsupported (written by another command), invalid (source or
//   calibration differ: names both hashes), corrupt (bytes differ: first offset and tensor); those
//   of quantizing.
// Threads: one; the bytes do not depend on how many are used.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace checkbit {

Status verify_receipt(const std::string& path, Console& console);

/// The words that shell_quote made a line of. Errors: invalid (a quote is not closed).
Result<std::vector<std::string>> shell_words(std::string_view line);

/// What quantize was told to calibrate with: "" for the built-in text.
Result<std::string> calibration_sha256(const Arguments& arguments);

}  // namespace checkbit
