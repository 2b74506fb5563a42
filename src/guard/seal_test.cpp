// Seals made, damaged in every part and mended; refused where they are none or of another file.

#include "guard/seal.h"

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <csignal>

#include "base/bytes.h"
#include "file/model_file.h"
#include "guard/seal_damage.h"
#include "guard/seal_test_files.h"

namespace checkbit {
namespace {

using ::testing::HasSubstr;

const Bytes kKey(32, 7);
const Bytes kOtherKey(32, 8);

TEST(SealLayout, TakesAtMost34Thousandths) {
  for (const std::uint64_t size :
       {98'362'432ULL, 253'113'024ULL, 1'117'320'768ULL, 70'000'000'000ULL}) {
    const SealLayout layout(size, {64, 2});
    EXPECT_LE(static_cast<double>(layout.seal_bytes()), 0.034 * static_cast<double>(size)) << size;
  }
}

TEST_F(SealFiles, FilesOfEveryLengthVerifyAndAreMended) {
  for (const std::size_t size : {0UL, 1UL, 4095UL, 4096UL, 4097UL, 262144UL, 262145UL, 1500001UL}) {
    make(size);
    const auto report = verify();
    ASSERT_TRUE(report.ok()) << size << report.error().message;
    EXPECT_TRUE(report->model_is_right() && report->seal_is_right()) << size;
    EXPECT_EQ(right_seal_.size(), SealLayout(size, {64, 2}).seal_bytes()) << size;
    if (size == 0) continue;
    flip(model_, size * 8 - 1);
    EXPECT_EQ(verify()->damaged.size(), 1) << size;
    expect_repaired(fmt::format("{} bytes", size));
  }
}

TEST_F(SealFiles, AnyHoleOfThreePerCentAndALostEndAreMended) {
  for (const std::uint32_t rows : {2U, 4U}) {
    make(6'000'000, {.shape = {64, rows}});
    const std::uint64_t hole = right_model_.size() * (rows == 2 ? 30 : 60) / 1000;
    for (const std::uint64_t at : {0UL, 1'234'567UL, right_model_.size() - hole}) {
      spoil(model_, at, hole);
      expect_repaired(fmt::format("hole at {}, {} rows", at, rows));
    }
    std::filesystem::resize_file(model_, right_model_.size() - hole);
    const auto report = verify();
    ASSERT_TRUE(report.ok());
    EXPECT_GT(report->missing, 0);
    EXPECT_EQ(report->missing, report->damaged.size());
    expect_repaired("lost end");
    std::filesystem::resize_file(model_, right_model_.size() - 1);
    expect_repaired("lost byte");
  }
}

TEST_F(SealFiles, SingleBitsInEveryBlockNeedNoParity) {
  make(2'000'000);
  Bytes bytes = right_model_;
  for (std::size_t block = 0; block * 4096 < bytes.size(); ++block)
    bytes[std::min(block * 4096 + block * 7 % 4096, bytes.size() - 1)] ^= 0x10;
  write_bytes(model_, bytes);
  EXPECT_TRUE(verify()->looks_like_another_file());  // no accident hits every block
  bytes = right_model_;
  for (std::size_t block = 0; block * 4096 < bytes.size(); block += 5) bytes[block * 4096 + 9] ^= 2;
  write_bytes(model_, bytes);
  const auto report = repair_model(model_, pool_);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->by_bit, 98);
  EXPECT_EQ(report->bits_changed, 98);
  EXPECT_EQ(report->by_parity, 0);
  EXPECT_TRUE(all_right());
}

TEST_F(SealFiles, TheSealItselfIsMendedInEveryPart) {
  make(5'000'000);
  const SealLayout layout(right_model_.size(), {64, 2});
  const std::vector<std::pair<std::string, std::uint64_t>> places = {
      {"head", 0},
      {"root in the head", 110},
      {"parity", layout.parity_offset() + 5000},
      {"table", layout.table_offset() + 300},
      {"parity of the table", layout.table_parity_offset() + 77},
      {"second head", layout.second_head_offset() + 10},
      {"last byte", layout.seal_bytes() - 1}};
  for (const auto& [name, at] : places) {
    spoil(seal_, at, 1);
    EXPECT_FALSE(verify()->seal_is_right()) << name;
    EXPECT_TRUE(verify()->model_is_right()) << name;
    expect_repaired(name);
    spoil(seal_, at, 300);
    flip(model_, 4'000'000);
    expect_repaired(name + " and the model");
  }
  std::filesystem::resize_file(seal_, layout.seal_bytes() - layout.head_bytes());
  expect_repaired("lost second head");
  spoil(seal_, 0, layout.head_bytes());
  expect_repaired("lost first head");
}

TEST_F(SealFiles, WhatParityCannotMendIsLeftAndNamed) {
  make(3'000'000);
  spoil(model_, 0, right_model_.size() / 15);
  flip(model_, 8 * 2'500'000);
  const Bytes before = file_bytes(model_);
  const auto report = repair_model(model_, pool_);
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report->lost.empty());
  EXPECT_EQ(report->after.damaged, report->lost);
  const Bytes after = file_bytes(model_);
  for (std::size_t i = 0; i < after.size(); ++i)
    ASSERT_TRUE(after[i] == right_model_[i] || after[i] == before[i]) << i;
  EXPECT_EQ(after[2'500'000], right_model_[2'500'000]);
}

TEST_F(SealFiles, InsideTheFileItIsFoundAndMendedToo) {
  write_bytes(model_, Bytes());
  make(3'000'001, {.in_file = true});
  EXPECT_EQ(seal_, model_);
  EXPECT_TRUE(verify()->model_is_right());
  EXPECT_FALSE(std::filesystem::exists(sidecar_path(model_)));
  spoil(model_, 100'000, 80'000);
  expect_repaired("hole");
  spoil(model_, 2'990'000, 9'000);
  expect_repaired("end of the model");
  std::filesystem::resize_file(model_, right_model_.size() - 5000);
  expect_repaired("lost end of the seal");
  const auto again = make_seal(model_, {.in_file = true}, pool_);
  ASSERT_FALSE(again.ok());
  EXPECT_THAT(again.error().message, HasSubstr("truncate -s 3000001 "));
}

TEST_F(SealFiles, TheKeyedHashSpeaksForTheHolderOfTheKey) {
  make(3'000'000, {.key = kKey});
  EXPECT_EQ(verify()->key, KeyState::not_asked);
  EXPECT_EQ(verify(kKey)->key, KeyState::agrees);
  EXPECT_EQ(verify(kOtherKey)->key, KeyState::differs);
  spoil(model_, 5, 1);
  EXPECT_EQ(verify(kKey)->key, KeyState::undecided);
  ASSERT_TRUE(make_seal(model_, {}, pool_).ok());  // somebody seals the change
  EXPECT_EQ(verify(kKey)->key, KeyState::absent);
  ASSERT_TRUE(make_seal(model_, {.key = kOtherKey}, pool_).ok());
  EXPECT_EQ(verify(kKey)->key, KeyState::differs);
}

// Oracle: HMAC-SHA256 by the definition from Python's hmac, over this file of 3,000,000 zeros:
// tests/oracles/check_protect.py prints it.
TEST_F(SealFiles, KeyedHashIsTheDocumentedOne) {
  write_bytes(model_, Bytes(3'000'000));
  const auto model = SpanFile::open(model_, SpanFile::Mode::read);
  const auto hash = keyed_hash(*model, 3'000'000, kKey, pool_);
  std::string text;
  for (const std::uint8_t byte : *hash) text += fmt::format("{:02x}", byte);
  EXPECT_EQ(text, "a6cacaf26a0dcc55e4e856848c904aa68bde5477c03386347d20557f868c9977");
}

void expect_error(const auto& result, ErrorKind kind, const std::string& words) {
  ASSERT_FALSE(result.ok()) << words;
  EXPECT_EQ(result.error().kind, kind) << result.error().message;
  EXPECT_THAT(result.error().message, HasSubstr(words));
  EXPECT_THAT(result.error().message, HasSubstr("model.gguf"));
}

TEST_F(SealFiles, WhatIsNoSealIsRefused) {
  make(1'000'000);
  const auto with_seal = [&](const Bytes& bytes) {
    write_bytes(seal_, bytes);
    return Seal::open(model_);
  };
  expect_error(with_seal({}), ErrorKind::corrupt, "no readable head");
  expect_error(with_seal(Bytes(100'000, 1)), ErrorKind::corrupt, "no readable head");
  expect_error(with_seal(Bytes(right_seal_.begin(), right_seal_.begin() + 600)), ErrorKind::corrupt,
               "too little to use");
  const auto with_field = [&](std::size_t offset, std::uint64_t value, std::size_t bytes) {
    Bytes changed = right_seal_;
    for (const std::size_t start : {std::size_t{0}, changed.size() - kSealSectorBytes}) {
      for (std::size_t i = 0; i < bytes; ++i)
        changed[start + offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
      const std::uint64_t zero = 0;
      const auto* place = reinterpret_cast<const std::uint8_t*>(&zero);
      store_unaligned(changed.data() + start + 504,
                      crc64({place, 8}, crc64({changed.data() + start, 504})));
    }
    return with_seal(changed);
  };
  expect_error(with_field(8, 2, 4), ErrorKind::unsupported, "version 2");
  for (const auto& [offset, value, bytes] : {std::tuple{12, 8ULL, 4},
                                             {16, 0ULL, 4},
                                             {16, 200ULL, 4},
                                             {20, 0ULL, 4},
                                             {20, 9ULL, 4},
                                             {24, 999ULL, 8},
                                             {24, ~0ULL, 8},
                                             {32, 1ULL, 8}})
    expect_error(
        with_field(static_cast<std::size_t>(offset), value, static_cast<std::size_t>(bytes)),
        ErrorKind::corrupt, "contradicts itself");
  expect_error(with_field(40, 1, 8), ErrorKind::corrupt, "not the one its head names");
  Bytes damaged = right_seal_;
  std::fill(damaged.begin() + 100, damaged.begin() + 200, std::uint8_t{0});
  std::fill(damaged.end() - 400, damaged.end() - 300, std::uint8_t{0});
  expect_error(with_seal(damaged), ErrorKind::corrupt, "no readable head");
  std::filesystem::remove(seal_);
  expect_error(Seal::open(model_), ErrorKind::not_found, "checkbit guard seal");
}

TEST_F(SealFiles, TheSealOfAnotherFileIsNamedAndNothingIsWritten) {
  make(1'000'000);
  const Bytes other = right_seal_;
  make(1'000'001);
  write_bytes(seal_, other);
  const auto report = verify();
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->looks_like_another_file());
  expect_error(repair_model(model_, pool_), ErrorKind::invalid, "seal of another file");
  EXPECT_EQ(file_bytes(model_), right_model_);
  make(100'000);
  write_bytes(seal_, other);
  expect_error(Seal::open(model_), ErrorKind::corrupt, "100000 bytes where 1000000 were sealed");
}

TEST_F(SealFiles, TwoProcessesDoNotRepairOneFile) {
  make(500'000);
  flip(model_, 77);
  const auto other = SpanFile::open(model_, SpanFile::Mode::read);
  ASSERT_TRUE(other->lock(SpanFile::Lock::shared).ok());
  expect_error(repair_model(model_, pool_), ErrorKind::invalid, "another process");
}

/// Runs `body` in a process of its own; its exit status, or minus the signal that ended it.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST_F(SealFiles, AReadOnlyFileSystemIsNamed) {
  make(500'000);
  flip(model_, 77);
  const int status = in_child([&] {
    constexpr int kSkipped = 2;
    if (::unshare(CLONE_NEWNS) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return kSkipped;
    const char* folder = folder_.c_str();
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount(folder, folder, nullptr, MS_BIND, nullptr) != 0 ||
        ::mount(nullptr, folder, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0)
      return kSkipped;
    ThreadPool pool(1);
    const auto report = repair_model(model_, pool);
    const bool clear = !report.ok() && report.error().kind == ErrorKind::io &&
                       report.error().message.find("Read-only") != std::string::npos;
    return clear ? 0 : 1;
  });
  if (status == 2) GTEST_SKIP() << "no mounts of one's own here";
  EXPECT_EQ(status, 0);
}

// Power may fail at any moment: the process ends at each in turn, with the piece it was writing
// half written, and whatever comes after repairs the rest.
TEST_F(SealFiles, KilledAtEveryMomentNothingIsLost) {
  for (const bool in_file : {false, true}) {
    if (in_file) std::filesystem::remove(seal_);
    make(1'000'000, {.in_file = in_file});
    const SealLayout layout(1'000'000, {64, 2});
    const std::uint64_t seal_begin = in_file ? seal_offset_in_file(1'000'000) : 0;
    int kills = 0;
    for (bool finished = false; !finished; ++kills) {
      put_right();
      // One stripe has four single flips and lost as much as parity mends: once one of the four is
      // half written, the journal is all there is.
      for (const int block : {3, 3 + 4, 3 + 8, 3 + 12}) flip(model_, block * 32768ULL + 5);
      for (const int block : {19, 23}) spoil(model_, block * 4096ULL, 4096);
      spoil(model_, 28 * 4096, 6000);
      spoil(seal_, seal_begin + layout.parity_offset() + 4096 * 3, 9);
      spoil(seal_, seal_begin + layout.second_head_offset(), 9);
      const int status = in_child([&] {
        int moments = 0;
        ThreadPool pool(1);
        const auto report = repair_model(model_, pool, [&](RepairMoment, const RepairPiece* piece) {
          if (moments++ != kills) return;
          if (piece != nullptr) {
            const bool beside = piece->target == RepairTarget::seal && !in_file;
            const auto file = SpanFile::open(beside ? seal_ : model_, SpanFile::Mode::write);
            Bytes torn = piece->piece.bytes;
            std::fill(torn.begin() + static_cast<std::ptrdiff_t>(torn.size() / 3), torn.end(),
                      std::uint8_t{0xAA});
            (void)file->write(piece->piece.offset, torn);
          }
          ::kill(::getpid(), SIGKILL);
        });
        return report.ok() ? 0 : 1;
      });
      ASSERT_TRUE(status == 0 || status == -SIGKILL) << status;
      finished = status == 0;
      if (!finished) expect_repaired(fmt::format("killed at moment {}", kills));
      ASSERT_TRUE(all_right()) << kills;
    }
    EXPECT_GT(kills, 12);
  }
}

TEST_F(SealFiles, AJournalIsBelievedOnlyWhereTheSealAgrees) {
  make(500'000);
  const auto seal_id = Seal::open(model_)->header().seal_id;
  const std::vector<RepairPiece> foreign = {{RepairTarget::model, {4096, Bytes(4096, 1)}},
                                            {RepairTarget::model, {1ULL << 40, Bytes(4096, 1)}},
                                            {RepairTarget::seal, {0, Bytes(10, 1)}},
                                            {RepairTarget::seal, {~0ULL - 3, Bytes(512, 1)}}};
  ASSERT_TRUE(write_journal(model_, seal_id, foreign).ok());
  expect_repaired("foreign pieces");
  ASSERT_TRUE(write_journal(model_, seal_id + 1, foreign).ok());
  expect_repaired("journal of another seal");
  write_bytes(journal_path(model_), Bytes(100, 3));
  expect_error(repair_model(model_, pool_), ErrorKind::corrupt, "not the journal");
  EXPECT_EQ(file_bytes(model_), right_model_);
}

TEST_F(SealFiles, JournalsOfEveryLengthAreRefusedOrWhole) {
  make(5000);
  ASSERT_TRUE(write_journal(model_, 5, {{RepairTarget::model, {0, Bytes(40, 1)}}}).ok());
  const Bytes whole = file_bytes(journal_path(model_));
  ASSERT_TRUE(parse_journal(whole, "j").ok());
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(parse_journal(std::span(whole).first(size), "j").ok()) << size;
}

TEST_F(SealFiles, DamageIsNamedByTensorBlockAndField) {
  const std::string tiny = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/llama-yarn.gguf";
  std::filesystem::copy_file(tiny, model_);
  const auto open = ModelFile::open(model_);
  ASSERT_TRUE(make_seal(model_, {}, pool_).ok());
  const Bytes right = file_bytes(model_);
  const auto first = open->parts()[0].bytes().data();
  int named = 0;
  for (const ModelTensor& tensor : open->tensors()) {
    const auto begin = static_cast<std::uint64_t>(tensor.bytes.data() - first);
    const std::uint64_t at = begin + tensor.bytes.size() / 2;
    write_bytes(model_, right);
    flip(model_, at * 8 + 3);
    const auto report = verify();
    ASSERT_EQ(report->damaged.size(), 1) << tensor.info.name;
    const auto seal = Seal::open(model_);
    const auto file = SpanFile::open(model_, SpanFile::Mode::read);
    const auto list = list_damage(*seal, *file, *report, 10);
    ASSERT_TRUE(list.ok());
    ASSERT_EQ(list->blocks.size(), 1);
    EXPECT_EQ(list->blocks[0].flips[0].offset, at);
    EXPECT_EQ(list->blocks[0].flips[0].flipped, 8);
    const auto block = (at - begin) / static_cast<std::uint64_t>(tensor.info.format->block_bytes);
    EXPECT_EQ(list->blocks[0].where,
              fmt::format("{} ({}), row {}, block {}", tensor.info.name, tensor.info.format->name,
                          (at - begin) / tensor.info.row_bytes(), block));
    EXPECT_THAT(list->blocks[0].field, HasSubstr(" bit "));
    ++named;
  }
  EXPECT_GT(named, 5);
  // The header hit beyond reading: the right bytes of it are known, so places still are.
  write_bytes(model_, right);
  spoil(model_, 0, 64);
  flip(model_, (right.size() - 40) * 8);
  const auto seal = Seal::open(model_);
  const auto file = SpanFile::open(model_, SpanFile::Mode::read);
  const auto list = list_damage(*seal, *file, *verify(), 10);
  ASSERT_EQ(list->blocks.size(), 2);
  EXPECT_EQ(list->blocks[0].where, "header");
  EXPECT_THAT(list->blocks[1].where, HasSubstr("row"));
}

}  // namespace
}  // namespace checkbit
