// SHA-256 of bytes and files (OpenSSL underneath).
// Threads: one Sha256 per thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace checkbit {

class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();
  void update(std::span<const std::uint8_t> bytes);
  /// 64 lower-case hexadecimal digits. Call once, last.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// Of a regular file's bytes. Errors as MappedFile::open, and io for a read error.
Result<std::string> sha256_of_file(const std::string& path);

/// 64 hexadecimal digits in either case?
bool is_sha256(std::string_view text);

}  // namespace checkbit
