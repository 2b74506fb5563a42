// Faults: what their text means, that the same text draws the same bits, and that they go again.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>

#include "guard/fault_space.h"

namespace checkbit {
namespace {

FaultSpec spec_of(std::string_view text) {
  const auto spec = parse_fault_spec(text);
  EXPECT_TRUE(spec.ok()) << text;
  return spec ? *spec : FaultSpec{};
}

TEST(FaultSpec, ReadsWhatItWrites) {
  for (const char* text :
       {"seed=7", "seed=1 field=scale tensor=blk.3.ffn_down.weight rate=1e-06 burst=8 stuck=1",
        "seed=9 in=file page=4096", "seed=2 in=kv layer=3 count=2 token=17",
        "seed=3 field=super_scale.exponent count=1000"})
    EXPECT_EQ(to_string(spec_of(text)), text);
  const FaultSpec spec = spec_of(" rate=1e-6,seed=7  field=super-scale ");
  EXPECT_EQ(to_string(spec), "seed=7 field=super_scale rate=1e-06");
}

TEST(FaultSpec, SaysWhatIsWrong) {
  const std::map<std::string, std::string> wrong = {
      {"seed", "not of the form key=value"},
      {"colour=3", "\"colour\" is not known"},
      {"seed=-1", "seed=\"-1\" is not a number from 0"},
      {"rate=0.7", "from 1e-18 to 0.5"},
      {"rate=nan", "is not a number"},
      {"count=0", "from 1 to"},
      {"count=2 rate=1e-3", "count or rate, not both"},
      {"field=quants", "field \"quants\" is not known"},
      {"in=disk", "there are memory, file"},
      {"page=3000", "not a power of two"},
      {"page=64 burst=2", "neither burst nor stuck"},
      {"stuck=2", "from 0 to 1"},
      {"tensor=", "needs a name"}};
  for (const auto& [text, message] : wrong) {
    const auto spec = parse_fault_spec(text);
    ASSERT_FALSE(spec.ok()) << text;
    EXPECT_NE(spec.error().message.find(message), std::string::npos) << spec.error().message;
  }
}

TEST(FaultSpec, GlobsMatchNames) {
  EXPECT_TRUE(matches_glob("blk.*.ffn_down.weight", "blk.12.ffn_down.weight"));
  EXPECT_TRUE(matches_glob("*", ""));
  EXPECT_TRUE(matches_glob("*a*b", "xaabab"));
  EXPECT_TRUE(matches_glob("blk.?.x", "blk.3.x"));
  EXPECT_FALSE(matches_glob("blk.?.x", "blk.13.x"));
  EXPECT_FALSE(matches_glob("blk.*.ffn", "blk.3.ffn_down"));
  EXPECT_FALSE(matches_glob("", "x"));
}

/// Two made-up tensors of three Q4_K and five Q8_0 blocks.
class FaultSpaceTest : public ::testing::Test {
 protected:
  FaultSpaceTest() : first_(3 * 144), second_(5 * 34) {
    std::iota(first_.begin(), first_.end(), std::uint8_t{1});
    std::iota(second_.begin(), second_.end(), std::uint8_t{99});
    regions_ = {{"blk.0.a.weight", 0, first_, &field_map(*find_format("Q4_K"))},
                {"blk.1.b.weight", 1, second_, &field_map(*find_format("Q8_0"))}};
  }
  FaultSpace space(std::string_view text) {
    auto selected = FaultSpace::select(regions_, spec_of(text));
    EXPECT_TRUE(selected.ok()) << text;
    return *std::move(selected);
  }
  std::vector<std::uint8_t> first_;
  std::vector<std::uint8_t> second_;
  std::vector<FaultRegion> regions_;
};

TEST_F(FaultSpaceTest, HoldsExactlyTheBitsThatTheSpecNames) {
  EXPECT_EQ(space("seed=1").bits(), 8 * (first_.size() + second_.size()));
  EXPECT_EQ(space("field=quant").bits(), 3u * 1024 + 5 * 256);
  EXPECT_EQ(space("field=scale layer=0").bits(), 3u * 48);
  EXPECT_EQ(space("field=exponent").bits(), 3u * 10 + 5 * 5);
  EXPECT_EQ(space("tensor=*.b.*").bits(), 8 * second_.size());
  const FaultSpace minima = space("field=min");
  std::map<std::uint64_t, int> seen;
  for (std::uint64_t i = 0; i < minima.bits(); ++i) {
    const BitPlace place = minima.place(i);
    EXPECT_EQ(place.field().field, Field::min);
    EXPECT_EQ(place.region->name, "blk.0.a.weight");
    ++seen[place.bit];
  }
  EXPECT_EQ(seen.size(), 3u * 48);  // each once
}

TEST_F(FaultSpaceTest, SaysWhyNothingIsSelected) {
  const auto message = [&](std::string_view text) {
    const auto selected = FaultSpace::select(regions_, spec_of(text));
    EXPECT_FALSE(selected.ok());
    return selected.error().message;
  };
  EXPECT_EQ(message("tensor=blk.9.*"), "fault: nothing is called blk.9.*");
  EXPECT_EQ(message("layer=7"), "fault: nothing is called * in layer 7");
  EXPECT_EQ(message("field=sum"), "fault: nothing here has a field sum");
}

/// The mean over 4,000 trials of the share of faults in a field is the field's share of the bits.
TEST_F(FaultSpaceTest, DrawsEveryBitEquallyOften) {
  const FaultSpec spec = spec_of("seed=5");
  const FaultSpace all = space("seed=5");
  constexpr int kTrials = 4000;
  int quants = 0;
  for (int trial = 0; trial < kTrials; ++trial)
    quants += all.draw(spec, static_cast<std::uint64_t>(trial))[0].field().field == Field::quant;
  const double share = (3.0 * 1024 + 5 * 256) / static_cast<double>(all.bits());
  EXPECT_NEAR(quants / double{kTrials}, share, 4 * std::sqrt(share * (1 - share) / kTrials));
}

TEST_F(FaultSpaceTest, DrawsTheSameAgainAndOtherwiseForAnotherSeedOrTrial) {
  const auto bits = [&](std::string_view text, std::uint64_t trial) {
    std::vector<std::uint64_t> drawn;
    for (const BitPlace& place : space(text).draw(spec_of(text), trial)) drawn.push_back(place.bit);
    return drawn;
  };
  EXPECT_EQ(bits("seed=5 count=20", 3), bits("seed=5 count=20", 3));
  EXPECT_NE(bits("seed=5 count=20", 3), bits("seed=5 count=20", 4));
  EXPECT_NE(bits("seed=5 count=20", 3), bits("seed=6 count=20", 3));
  EXPECT_EQ(bits("count=144 field=min", 1).size(), 144u);  // distinct: all there are
  double flips = 0;
  for (std::uint64_t trial = 0; trial < 200; ++trial)
    flips += static_cast<double>(bits("rate=0.01", trial).size());
  const double expected = 200 * 0.01 * static_cast<double>(space("seed=1").bits());
  EXPECT_NEAR(flips, expected, 5 * std::sqrt(expected));
}

int bits_between(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  int count = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    count += std::popcount(static_cast<unsigned>(a[i] ^ b[i]));
  return count;
}

TEST_F(FaultSpaceTest, InjectsAndTakesBack) {
  const std::vector<std::uint8_t> before = first_;
  const FaultRegion& region = regions_[0];
  InjectedFaults faults;
  faults.add(BitPlace{&region, 100}, spec_of("burst=12"));
  EXPECT_EQ(bits_between(first_, before), 12);
  EXPECT_EQ(first_[12] ^ before[12], 0xf0);
  EXPECT_EQ(first_[13] ^ before[13], 0xff);
  EXPECT_EQ(faults.bytes_changed(), 2u);
  faults.add(BitPlace{&region, 100}, spec_of("burst=4"));  // back again
  EXPECT_EQ(faults.bytes_changed(), 1u);
  faults.undo();
  EXPECT_EQ(first_, before);
  faults.add(BitPlace{&region, 8}, spec_of("burst=16 stuck=1"));
  EXPECT_EQ(first_[1], 0xff);
  EXPECT_EQ(first_[2], 0xff);
  first_[1] = before[1];  // mended by somebody else
  EXPECT_EQ(faults.bytes_changed(), 1u);
  faults.undo();
  EXPECT_EQ(first_, before);
  faults.add(BitPlace{&region, 8 * 300}, spec_of("page=256"));
  EXPECT_EQ(std::count(first_.begin() + 256, first_.end(), 0), 432 - 256);  // ends with the region
  EXPECT_EQ(first_[255], before[255]);
  faults.undo();
  faults.add(BitPlace{&region, 8 * 432 - 1}, spec_of("burst=9"));
  EXPECT_EQ(bits_between(first_, before), 1);
}

}  // namespace
}  // namespace checkbit
