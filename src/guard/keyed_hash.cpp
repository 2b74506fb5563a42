// The keyed hash of a model, and reading alone (seal.h).

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "base/progress.h"
#include "guard/seal.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kLeafBytes = std::uint64_t{1} << 20;
constexpr std::string_view kLeafName = "checkbit seal leaf 1";
constexpr std::string_view kRootName = "checkbit seal root 1";

/// HMAC-SHA256 of a name, a number and bytes.
class Hmac {
 public:
  explicit Hmac(std::span<const std::uint8_t> key) : key_(key) {}

  KeyedHash of(std::string_view name, std::uint64_t number, std::span<const std::uint8_t> bytes) {
    message_.assign(name.begin(), name.end());
    const auto* digits = reinterpret_cast<const std::uint8_t*>(&number);
    message_.insert(message_.end(), digits, digits + sizeof(number));
    message_.insert(message_.end(), bytes.begin(), bytes.end());
    KeyedHash hash;
    unsigned length = 0;
    CB_CHECK(HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), message_.data(),
                  message_.size(), hash.data(), &length) != nullptr &&
             length == hash.size());
    return hash;
  }

 private:
  std::span<const std::uint8_t> key_;
  std::vector<std::uint8_t> message_;
};

}  // namespace

Result<KeyedHash> keyed_hash(const SpanFile& model, std::uint64_t bytes,
                             std::span<const std::uint8_t> key, ThreadPool& pool) {
  const std::uint64_t leaves = (bytes + kLeafBytes - 1) / kLeafBytes;
  std::vector<std::uint8_t> hashes(leaves * kKeyedHashBytes);
  std::atomic<bool> failed{false};
  Progress progress("hashing with the key", bytes, "bytes");
  pool.for_ranges(static_cast<std::int64_t>(leaves), [&](std::int64_t begin, std::int64_t end) {
    Hmac hmac(key);
    std::vector<std::uint8_t> leaf;
    for (auto i = static_cast<std::uint64_t>(begin); i < static_cast<std::uint64_t>(end); ++i) {
      if (failed || cancel_requested()) return;
      leaf.resize(
          static_cast<std::size_t>(std::min<std::uint64_t>(kLeafBytes, bytes - i * kLeafBytes)));
      if (!model.read(i * kLeafBytes, leaf)) failed = true;
      const KeyedHash hash = hmac.of(kLeafName, i, leaf);
      std::ranges::copy(hash, hashes.begin() + static_cast<std::ptrdiff_t>(i * hash.size()));
      progress.advance(leaf.size());
    }
  });
  if (cancel_requested()) return cancelled_error();
  if (failed) return fail(ErrorKind::io, "{}: cannot be read whole", model.path());
  return Hmac(key).of(kRootName, bytes, hashes);
}

bool same_hash(const KeyedHash& a, const KeyedHash& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

double read_alone(const SpanFile& model, std::uint64_t bytes, ThreadPool& pool) {
  constexpr std::uint64_t kPiece = 64 * kCodeBlockBytes;
  const auto start = std::chrono::steady_clock::now();
  pool.for_ranges(static_cast<std::int64_t>((bytes + kPiece - 1) / kPiece), [&](std::int64_t begin,
                                                                                std::int64_t end) {
    std::vector<std::uint8_t> room(kPiece);
    for (auto at = static_cast<std::uint64_t>(begin) * kPiece;
         at < std::min(bytes, static_cast<std::uint64_t>(end) * kPiece); at += kPiece) {
      const auto size = std::min<std::uint64_t>(kPiece, bytes - at);
      (void)model.read(at, std::span(room).first(static_cast<std::size_t>(size)));
    }
  });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace checkbit
