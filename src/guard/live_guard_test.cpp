// Guarded memory is found wrong, mended in place, and what cannot be mended fails by name.

#include "guard/live_guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "base/made_up_tree.h"
#include "base/random.h"
#include "base/test_sanitizers.h"
#include "base/word_store.h"
#include "guard/beacon.h"
#include "guard/coverage.h"
#include "guard/edac.h"
#include "run/generate.h"

namespace checkbit {
namespace {

std::string tiny(const std::string& name = "llama-llama3") {
  return std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + name + ".gguf";
}

/// Nothing walks by itself.
LiveGuardOptions only_when_asked() {
  LiveGuardOptions options;
  options.scrub.share = 0;
  options.program = false;
  return options;
}

Session guarded(GuardLevel level, const LiveGuardOptions& options,
                const std::string& path = tiny()) {
  SessionOptions choices;
  choices.guard = level;
  choices.threads = 2;
  auto session = Session::open(path, choices);
  EXPECT_TRUE(session.ok()) << session.error().message;
  const Status attached = attach_guard(*session, options);
  EXPECT_TRUE(attached.ok()) << attached.error().message;
  return *std::move(session);
}

LiveGuard& guard_of(Session& session) { return dynamic_cast<LiveGuard&>(*session.guard()); }

const std::vector<TokenId> kPrompt = {5, 9, 17, 3, 44, 21, 8};

/// Hash of all logits of a generation, or the error.
std::string answer(Session& session, std::int64_t tokens = 24) {
  GenerateOptions options;
  options.max_tokens = tokens;
  options.ignore_end = true;
  options.hash_logits = true;
  session.cache().truncate(0);
  auto generation = generate(session, kPrompt, options);
  return generation ? generation->logits_hash : generation.error().message;
}

std::string unharmed(std::int64_t tokens = 24) {
  auto session = Session::open(tiny());
  return answer(*session, tokens);
}

struct Memory {
  std::vector<std::uint64_t> words;
  std::vector<std::uint64_t> before;
  explicit Memory(std::size_t bytes) : words(bytes / 8) {
    Random random(7);
    for (auto& word : words) word = random();
    before = words;
  }
  std::span<std::uint8_t> bytes() {
    return {reinterpret_cast<std::uint8_t*>(words.data()), words.size() * 8};
  }
  void flip(std::uint64_t bit) { words[bit / 64] ^= std::uint64_t{1} << (bit % 64); }
};

TEST(GuardedSpan, FlipsAnywhereAreCountedAndPutBack) {
  Memory memory(8u << 20);
  RepairTally tally;
  auto span = *GuardedSpan::create({.name = "made up", .bytes = memory.bytes()}, tally, nullptr);
  Random random(1);
  constexpr int kFlips = 200;
  std::vector<std::uint64_t> bits;
  while (bits.size() < kFlips) {
    const std::uint64_t bit = random.below(memory.bytes().size() * 8);
    if (std::ranges::find(bits, bit) == bits.end()) bits.push_back(bit);
  }
  for (const std::uint64_t bit : bits) memory.flip(bit);
  EXPECT_GT(span->verify(0, span->units()), 0u);
  EXPECT_EQ(memory.words, memory.before);
  LiveCounters counters;
  tally.fill(counters);
  EXPECT_EQ(counters.repaired_bits, kFlips);
  EXPECT_EQ(counters.unrepaired, 0u);
  EXPECT_EQ(counters.damaged_blocks, counters.repaired_by_bit + counters.repaired_by_parity);
  EXPECT_GT(counters.repair_p99_seconds, 0);
  RecordProperty("repair_p99_us", std::to_string(1e6 * counters.repair_p99_seconds));
  if (!kUnderSanitizer) {
    EXPECT_LT(counters.repair_p99_seconds, 1e-3);
  }
  EXPECT_EQ(span->verify(0, span->units()), 0u);
}

TEST(GuardedSpan, ChecksAndParityMendEachOther) {
  Memory memory(1u << 20);
  RepairTally tally;
  auto span = *GuardedSpan::create({.name = "made up", .bytes = memory.bytes()}, tally, nullptr);
  span->code().checks()[3].crc ^= 0x11;
  span->code().parity()[100] ^= 0x70;
  span->code().parity_checks()[5].crc ^= 1;  // of stripe 2
  EXPECT_EQ(span->verify(0, span->units()), 3u);
  EXPECT_EQ(memory.words, memory.before);
  memory.flip(3 * 8 * 4096);
  memory.flip(3 * 8 * 4096 + 900);
  EXPECT_EQ(span->verify(0, span->units()), 1u);
  EXPECT_EQ(memory.words, memory.before);
  EXPECT_EQ(span->verify(0, span->units()), 0u);
}

TEST(GuardedSpan, WhatParityCannotMendComesFromTheSourceOrFailsByName) {
  Memory memory(1u << 20);
  RepairTally tally;
  std::string failure;
  bool readable = false;
  auto span = *GuardedSpan::create(
      {.name = "made up",
       .bytes = memory.bytes(),
       .source =
           [&](std::span<const std::uint8_t> part, std::uint8_t* out) {
             const auto offset = static_cast<std::size_t>(part.data() - memory.bytes().data());
             std::memcpy(out, reinterpret_cast<const std::uint8_t*>(memory.before.data()) + offset,
                         part.size());
             return readable;
           },
       .place_of = [](std::uint64_t offset) { return fmt::format("tensor at {}", offset); },
       .on_failure = [&](const Error& error) { failure += error.message + "; "; }},
      tally, nullptr);
  const std::uint64_t stripes = span->code().geometry().stripes();
  const auto damage = [&] {  // three blocks of a stripe
    for (const std::uint64_t block : {std::uint64_t{0}, stripes, 2 * stripes})
      std::memset(memory.bytes().data() + block * 4096, 0x5a, 4096);
  };
  damage();
  span->verify(0, span->units());
  EXPECT_NE(failure.find("made up: the 4 KiB at byte 0 (tensor at 0) are damaged"),
            std::string::npos)
      << failure;
  readable = true;
  span->verify(0, span->units());
  EXPECT_EQ(memory.words, memory.before);
  LiveCounters counters;
  tally.fill(counters);
  EXPECT_EQ(counters.repaired_from_file, 3u);
}

TEST(GuardedSpan, ReadOnlyPagesAreMendedAndReadOnlyAgain) {
  constexpr std::size_t kBytes = 64u << 10;
  auto* data = static_cast<std::uint8_t*>(
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(data, MAP_FAILED);
  for (std::size_t i = 0; i < kBytes; ++i) data[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  RepairTally tally;
  auto span = *GuardedSpan::create(
      {.name = "read only", .bytes = {data, kBytes}, .writable = false}, tally, nullptr);
  data[5000] ^= 4;
  mprotect(data, kBytes, PROT_READ);
  EXPECT_EQ(span->verify(0, span->units()), 1u);
  EXPECT_EQ(data[5000], static_cast<std::uint8_t>(5000 * 7 + 5000 / 256));
  EXPECT_DEATH(data[5000] = 1, "");
  munmap(data, kBytes);
}

/// Threads read as kernels do while others flip and mend: clean under ThreadSanitizer, and every
/// word read is one that memory has held.
TEST(GuardedSpan, ReadersGoOnWhileItIsMended) {
  Memory memory(1u << 20);
  RepairTally tally;
  auto span = *GuardedSpan::create({.name = "made up", .bytes = memory.bytes()}, tally, nullptr);
  constexpr std::uint64_t kBit = 77777;
  const std::uint64_t right = memory.before[kBit / 64];
  const std::uint64_t wrong = right ^ (std::uint64_t{1} << (kBit % 64));
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::thread reader([&] {
    while (!stop) {
      std::uint64_t sum = 0;
      for (const std::uint64_t word : memory.words) sum += word;
      const std::uint64_t now = memory.words[kBit / 64];
      if (now != right && now != wrong) ++torn;
      if (sum == 1) ++torn;  // keeps the reads
    }
  });
  constexpr int kRounds = 50;
  for (int i = 0; i < kRounds; ++i) {
    store_word(&memory.words[kBit / 64], wrong);
    EXPECT_EQ(span->verify(0, span->units()), 1u);
  }
  stop = true;
  reader.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(memory.words, memory.before);
}

class LiveGuardMemory : public testing::TestWithParam<const char*> {};

TEST_P(LiveGuardMemory, IsMendedAndTheAnswerStaysTheSame) {
  Session session = guarded(GuardLevel::verify, only_when_asked());
  const std::string right = answer(session);
  EXPECT_EQ(right, unharmed());
  GuardedSpan* span = guard_of(session).span(GetParam());
  ASSERT_NE(span, nullptr);
  auto* bytes = const_cast<std::uint8_t*>(span->bytes().data());
  std::uint64_t flips = 0;
  for (std::size_t at = 0; at < span->bytes().size(); at += 4999, ++flips) bytes[at] ^= 0x40;
  session.guard()->scrub();
  EXPECT_EQ(answer(session), right);
  const LiveCounters counters = session.guard()->counters();
  EXPECT_EQ(counters.repaired_bits, flips);
  EXPECT_EQ(counters.unrepaired, 0u);
  EXPECT_EQ(counters.scrub_passes, 1u);
  EXPECT_GT(counters.extra_bytes, 0u);
}

INSTANTIATE_TEST_SUITE_P(Spans, LiveGuardMemory,
                         testing::Values("packed weights", "norms and biases",
                                         "rotary frequencies"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::ranges::replace(name, ' ', '_');
                           return name;
                         });

TEST(LiveGuard, WeightsBeyondParityComeFromTheFile) {
  Session session = guarded(GuardLevel::verify, only_when_asked());
  const std::string right = answer(session);
  for (const char* name : {"packed weights", "norms and biases"}) {
    GuardedSpan* span = guard_of(session).span(name);
    std::memset(const_cast<std::uint8_t*>(span->bytes().data()), 0x33, span->bytes().size());
  }
  session.guard()->scrub();
  EXPECT_EQ(answer(session), right);
  EXPECT_GT(session.guard()->counters().repaired_from_file, 0u);
  EXPECT_EQ(session.guard()->counters().unrepaired, 0u);
}

TEST(LiveGuard, WhatCannotBeMendedFailsTheNextTokenByName) {
  Session session = guarded(GuardLevel::verify, only_when_asked());
  GuardedSpan* span = guard_of(session).span("packed weights");
  std::memset(const_cast<std::uint8_t*>(span->bytes().data()), 0x33, 5 * 4096);
  for (int block = 0; block < 5; ++block) {
    span->code().checks()[static_cast<std::size_t>(block)].crc ^= 0xff00ff;
    span->code().checks()[static_cast<std::size_t>(block)].second ^= 0xff;
  }
  session.guard()->scrub();
  const std::string message = answer(session);
  EXPECT_NE(message.find("packed weights: the 4 KiB at byte 0 (tensor blk.0."), std::string::npos)
      << message;
  EXPECT_NE(message.find("load the model again"), std::string::npos) << message;
}

TEST(LiveGuard, AFlippedBitOfTheFileIsMendedAtTheLookUp) {
  const std::string path = testing::TempDir() + "checkbit_rows.gguf";
  std::filesystem::copy_file(tiny(), path, std::filesystem::copy_options::overwrite_existing);
  Session session = guarded(GuardLevel::verify, only_when_asked(), path);
  const std::string right = answer(session);
  const std::uint64_t looked_up = session.guard()->counters().rows_verified;
  EXPECT_GT(looked_up, 0u);
  const ModelTensor* table = session.file().find("token_embd.weight");
  const auto offset = table->bytes.data() - session.file().parts()[0].bytes().data() +
                      kPrompt[0] * static_cast<std::int64_t>(table->info.row_bytes());
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offset + 3);
    file.put('\x5f');
    file.seekp(offset + 4);
    file.put('\x13');
  }
  EXPECT_EQ(answer(session), right);
  EXPECT_EQ(session.guard()->counters().repaired_by_parity, 1u);
  EXPECT_EQ(answer(session), right);
  EXPECT_EQ(session.guard()->counters().damaged_blocks, 1u);  // mended once, then known
  std::filesystem::remove(path);
}

TEST(LiveGuard, TheRepairThatChecksCallMendsTheirMatrices) {
  Session session = guarded(GuardLevel::verify, only_when_asked());
  const std::string right = answer(session);
  const PackedMatrix* matrix = session.model().matrices()[1];
  const auto bytes = matrix->packed_from(0);
  const_cast<std::uint8_t*>(bytes.data())[bytes.size() / 2] ^= 1;
  EXPECT_TRUE(session.executor().weight_repair()({&matrix, 1}));
  EXPECT_FALSE(session.executor().weight_repair()({&matrix, 1}));
  EXPECT_EQ(answer(session), right);
  EXPECT_EQ(session.guard()->counters().repaired_bits, 1u);
}

/// Its matrices are of integers and of floats; nothing is scrubbed here.
TEST(LiveGuard, FullFindsEveryFlipOfWeightsWhenTheyAreRead) {
  Session session = guarded(GuardLevel::full, only_when_asked());
  const std::string right = answer(session);
  EXPECT_EQ(right, unharmed());
  std::uint64_t flips = 0;
  for (const PackedMatrix* matrix : session.model().matrices()) {
    const auto bytes = matrix->packed_from(0);
    const_cast<std::uint8_t*>(bytes.data())[matrix->packed_bytes() / 3] ^= 0x10;
    ++flips;
  }
  EXPECT_EQ(answer(session), right);
  EXPECT_GT(session.guard()->counters().repaired_bits, 0u);
  session.guard()->scrub();
  EXPECT_EQ(session.guard()->counters().repaired_bits, flips);
}

TEST(LiveGuard, TheScrubberWalksByItselfAndKeepsToItsShare) {
  LiveGuardOptions options = only_when_asked();
  options.scrub.share = 0.2;
  Session session = guarded(GuardLevel::verify, options);
  const auto passes = [&] { return session.guard()->counters().scrub_passes; };
  for (int i = 0; i < 5000 && passes() < 20; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(passes(), 20u);
  const LiveCounters counters = session.guard()->counters();
  EXPECT_LT(counters.scrub_seconds, 0.3 * counters.seconds + 0.005);
  EXPECT_GT(counters.scrubbed_bytes, 0u);
}

TEST(LiveGuard, GuardsTheProgramsOwnTables) {
  if (kUnderSanitizer) GTEST_SKIP() << "a sanitizer's program is too large to sum";
  LiveGuardOptions options = only_when_asked();
  options.program = true;
  Session session = guarded(GuardLevel::verify, options);
  static const char kText[] = "a constant of this test";
  const int memory = open("/proc/self/mem", O_RDWR);
  ASSERT_GE(memory, 0);
  ASSERT_EQ(pwrite(memory, "A", 1, static_cast<off_t>(reinterpret_cast<std::uintptr_t>(kText))), 1);
  close(memory);
  const volatile char* text = kText;
  EXPECT_EQ(text[0], 'A');
  session.guard()->scrub();
  EXPECT_EQ(text[0], 'a');
  EXPECT_EQ(session.guard()->counters().repaired_bits, 1u);
}

class Machine : public MadeUpTree {};

TEST_F(Machine, CountersAreSummedOverControllers) {
  EXPECT_FALSE(read_edac(root_ + "/none").has_value());
  EXPECT_FALSE(read_edac(root_).has_value());
  write("mc0/ce_count", "3\n");
  write("mc0/ue_count", "1\n");
  write("mc12/ce_count", "4\n");
  write("mc12/ue_count", "nonsense\n");
  write("mcx/ce_count", "100\n");
  const auto errors = read_edac(root_);
  ASSERT_TRUE(errors.has_value());
  EXPECT_EQ(errors->corrected, 7u);
  EXPECT_EQ(errors->uncorrected, 1u);
}

TEST_F(Machine, ErrorsThatItCountsTriggerAScrub) {
  write("mc0/ce_count", "3\n");
  write("mc0/ue_count", "0\n");
  LiveGuardOptions options = only_when_asked();
  options.scrub = {.share = 1e-4, .edac_root = root_, .edac_seconds = 0};
  Session session = guarded(GuardLevel::verify, options);
  const auto corrected = [&] { return session.guard()->counters().machine->corrected; };
  EXPECT_EQ(corrected(), 0u);
  write("mc0/ce_count", "5\n");
  for (int i = 0; i < 5000 && corrected() < 2; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(corrected(), 2u);
  for (int i = 0; i < 5000 && session.guard()->counters().scrub_passes == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(session.guard()->counters().scrub_passes, 1u);
}

TEST(Beacon, TellsWhereMemoryLiesAndRefusesNonsense) {
  const Beacon beacon({{"packed weights", 4096, 100}, {"norms", 8192, 7}});
  const auto regions = read_beacon(getpid());
  ASSERT_TRUE(regions.ok()) << regions.error().message;
  ASSERT_EQ(regions->size(), 2u);
  EXPECT_EQ((*regions)[0].name, "packed weights");
  EXPECT_EQ((*regions)[1].address, 8192u);
  EXPECT_EQ((*regions)[1].bytes, 7u);
  for (const char* text : {"x", "1 2 name", "1 2\n", "1 2 \n", "99999999999999999999 2 a\n",
                           "18446744073709551615 2 a\n", "\n"}) {
    const auto parsed = parse_beacon(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::corrupt);
  }
  EXPECT_EQ(read_beacon(0).error().kind, ErrorKind::not_found);
}

TEST(Coverage, CountsTheModelsOwnBytesAndClosesMoreWithEachLevel) {
  Session session = guarded(GuardLevel::check, only_when_asked());
  const std::vector<CoverageRow> rows = coverage_table(session);
  const auto row = [&](std::string_view part) -> const CoverageRow& {
    return *std::ranges::find(rows, part, &CoverageRow::part);
  };
  EXPECT_EQ(row("packed weights").count, session.model().packed_weights().size());
  EXPECT_EQ(row("embedding rows").count, session.file().find("token_embd.weight")->bytes.size());
  CoverageSum before = sum_coverage(rows, GuardLevel::off);
  EXPECT_EQ(before.covered_bytes, 0u);
  EXPECT_EQ(before.covered_operations, 0u);
  for (const GuardLevelName& entry : kGuardLevels) {
    const CoverageSum sum = sum_coverage(rows, entry.level);
    EXPECT_GE(sum.covered_bytes, before.covered_bytes);
    EXPECT_GE(sum.covered_operations, before.covered_operations);
    EXPECT_EQ(sum.covered_bytes + sum.open_bytes, before.covered_bytes + before.open_bytes);
    before = sum;
  }
  EXPECT_GT(before.covered_operations, 0u);
}

}  // namespace
}  // namespace checkbit
