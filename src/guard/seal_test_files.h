// For tests of seals: files of random bytes in a folder of their own, damaged on purpose.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "guard/seal_repair.h"

namespace checkbit {

using Bytes = std::vector<std::uint8_t>;

inline Bytes file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::string& path, std::span<const std::uint8_t> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

class SealFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    // Every repair flushes to the disk several times; memory has none to wait for.
    const std::filesystem::path memory = "/dev/shm";
    const bool in_memory = ::access(memory.c_str(), W_OK) == 0;
    folder_ = (in_memory ? memory : std::filesystem::temp_directory_path()) /
              fmt::format("checkbit-seal-{}-{}", ::getpid(),
                          ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
    model_ = (folder_ / "model.gguf").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// A file of random bytes and its seal.
  void make(std::size_t size, SealOptions options = {}) {
    Random random(size);
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.next());
    write_bytes(model_, bytes);
    const auto made = make_seal(model_, options, pool_);
    ASSERT_TRUE(made.ok()) << made.error().message;
    seal_ = made->path;
    right_model_ = file_bytes(model_);
    right_seal_ = file_bytes(seal_);
  }
  void put_right() const {
    write_bytes(model_, right_model_);
    write_bytes(seal_, right_seal_);
  }
  bool all_right() const {
    return file_bytes(model_) == right_model_ && file_bytes(seal_) == right_seal_ &&
           !std::filesystem::exists(journal_path(model_));
  }
  static void flip(const std::string& path, std::uint64_t bit) {
    Bytes bytes = file_bytes(path);
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
    write_bytes(path, bytes);
  }
  static void spoil(const std::string& path, std::uint64_t begin, std::uint64_t count) {
    Bytes bytes = file_bytes(path);
    for (std::uint64_t i = begin; i < std::min<std::uint64_t>(bytes.size(), begin + count); ++i)
      bytes[i] = static_cast<std::uint8_t>(bytes[i] * 5 + 1);
    write_bytes(path, bytes);
  }
  Result<VerifyReport> verify(std::span<const std::uint8_t> key = {}) {
    CB_TRY(const Seal seal, Seal::open(model_));
    CB_TRY(const SpanFile model, SpanFile::open(model_, SpanFile::Mode::read));
    return verify_seal(seal, model, key, pool_);
  }
  /// Repairs and expects both files to be as they were.
  void expect_repaired(const std::string& what) {
    const auto report = repair_model(model_, pool_);
    ASSERT_TRUE(report.ok()) << what << ": " << report.error().message;
    EXPECT_TRUE(report->after.model_is_right() && report->after.seal_is_right()) << what;
    EXPECT_TRUE(all_right()) << what;
  }

  std::filesystem::path folder_;
  std::string model_;
  std::string seal_;
  Bytes right_model_;
  Bytes right_seal_;
  ThreadPool pool_{2};
};

}  // namespace checkbit
