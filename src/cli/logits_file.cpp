#include "cli/logits_file.h"

#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/progress.h"

namespace checkbit {
namespace {

/// Version 1.0 of the format: magic, header length, a Python dictionary padded to 64 bytes.
std::string npy_header(std::size_t rows, std::int64_t columns) {
  constexpr std::size_t kPreamble = 10;
  std::string dictionary =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  dictionary.append(63 - (kPreamble + dictionary.size()) % 64, ' ');
  dictionary += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(dictionary.size() & 0xff);
  header += static_cast<char>(dictionary.size() >> 8);
  return header + dictionary;
}

}  // namespace

Result<std::string> write_logits(Session& session, std::span<const TokenId> tokens,
                                 const std::string& path) {
  CB_TRY(AtomicFile file, AtomicFile::create(path));
  CB_TRY_STATUS(
      file.write(npy_header(tokens.size(), session.model().hyperparameters().vocabulary)));
  LogitsHash hash;
  Progress progress("evaluating", tokens.size(), "tokens");
  const auto row = [&](std::size_t, std::span<const float> logits) -> Status {
    hash.update(logits);
    progress.advance();
    return file.write({reinterpret_cast<const std::uint8_t*>(logits.data()), logits.size_bytes()});
  };
  CB_TRY_STATUS(session.evaluate(tokens, Logits::all, row));
  CB_TRY_STATUS(file.commit());
  return hash.hex();
}

}  // namespace checkbit
