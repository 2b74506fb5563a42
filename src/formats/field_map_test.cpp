// Walks formats.def: every format's line in fields.def tiles its block, and flipping a bit changes
// what the bit's field says and nothing else. Oracle: the formats' own unpack.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/random.h"
#include "formats/field_map.h"

namespace checkbit {
namespace {

enum class Output { q, scale, sub_scale, min_scale, sub_min };

/// Which parts of two unpacked blocks differ, NaN being equal to itself.
std::set<Output> differences(const Format& format, const IntegerBlock& a, const IntegerBlock& b) {
  const IntegerForm& form = format.integer;
  const auto count = [&](int of) { return static_cast<std::size_t>(format.block_elements / of); };
  std::set<Output> changed;
  const auto compare = [&](Output output, const auto& left, const auto& right, std::size_t n) {
    if (std::memcmp(left.data(), right.data(), n * sizeof(left[0])) != 0) changed.insert(output);
  };
  compare(Output::q, a.q, b.q, count(1));
  compare(Output::scale, a.scale, b.scale, count(form.scale_elements));
  if (form.has_sub_scale)
    compare(Output::sub_scale, a.sub_scale, b.sub_scale, count(form.sub_elements));
  if (form.has_min)
    compare(Output::min_scale, a.min_scale, b.min_scale, count(form.scale_elements));
  if (form.has_sub_min) compare(Output::sub_min, a.sub_min, b.sub_min, count(form.sub_elements));
  return changed;
}

std::set<Output> allowed(const Format& format, Field field) {
  const IntegerForm& form = format.integer;
  const bool tied = form.has_min && form.min_ratio != 0;
  const std::set<Output> floats =
      tied ? std::set{Output::scale, Output::min_scale} : std::set{Output::scale};
  switch (field) {
    case Field::quant:
    case Field::value:
    case Field::sign:
      return {Output::q};
    case Field::scale:
      return form.has_sub_scale ? std::set{Output::sub_scale} : floats;
    case Field::super_scale:
      return floats;
    case Field::min:
      if (form.has_sub_min) return {Output::sub_min};
      return {form.has_min ? Output::min_scale : Output::q};
    case Field::super_min:
      return {Output::min_scale};
    default:
      return {};
  }
}

TEST(FieldMap, EveryFormatsFieldsTileItsBlock) {
  for (const Format* format : all_formats()) {
    SCOPED_TRACE(format->name);
    const FieldMap& map = field_map(*format);
    EXPECT_EQ(map.bits, 8u * static_cast<unsigned>(format->block_bytes));
    std::uint32_t at = 0;
    for (const FieldRun& run : map.runs) {
      EXPECT_EQ(run.first_bit, at);
      EXPECT_GT(run.bits, 0u);
      at += run.bits;
    }
    EXPECT_EQ(at, map.bits);
  }
}

TEST(FieldMap, AFlippedBitChangesItsFieldAlone) {
  constexpr int kBlocks = 16;
  Random random(20);
  for (const Format* format : all_formats()) {
    if (format->unpack == nullptr) continue;
    SCOPED_TRACE(format->name);
    std::vector<std::uint8_t> block(static_cast<std::size_t>(format->block_bytes));
    const FieldMap& map = field_map(*format);
    std::vector<bool> has_changed(map.bits);
    IntegerBlock before;
    IntegerBlock after;
    for (int i = 0; i < kBlocks; ++i) {
      // Some bits matter in one value alone: all zeros and all ones first.
      for (std::uint8_t& byte : block)
        byte = static_cast<std::uint8_t>(i == 0 ? 0 : i == 1 ? 0xff : random.next());
      format->unpack(block.data(), before);
      for (std::uint32_t bit = 0; bit < map.bits; ++bit) {
        const auto mask = static_cast<std::uint8_t>(1u << bit % 8);
        block[bit / 8] ^= mask;
        format->unpack(block.data(), after);
        block[bit / 8] ^= mask;
        const FieldRun& run = map.run_at(bit);
        const std::set<Output> changed = differences(*format, before, after);
        has_changed[bit] = has_changed[bit] || !changed.empty();
        ASSERT_TRUE(std::ranges::includes(allowed(*format, run.field), changed))
            << "bit " << bit << " of field " << to_string(run.field);
      }
    }
    for (std::uint32_t bit = 0; bit < map.bits; ++bit) {
      const Field field = map.run_at(bit).field;
      EXPECT_EQ(has_changed[bit], field != Field::sum)
          << "bit " << bit << " of " << to_string(field);
    }
  }
}

/// Flips one bit of 1.0 in the part named; the value says which bit it was.
TEST(FieldMap, PartsOfFloatsAreWhereIeeeHasThem) {
  const FieldMap& f32 = field_map(*find_format("F32"));
  EXPECT_EQ(f32.run_at(22).part, FieldPart::mantissa);
  EXPECT_EQ(f32.run_at(23).part, FieldPart::exponent);
  EXPECT_EQ(f32.run_at(30).part, FieldPart::exponent);
  EXPECT_EQ(f32.run_at(31).part, FieldPart::sign);
  const FieldMap& q4_k = field_map(*find_format("Q4_K"));
  EXPECT_EQ(q4_k.run_at(10).part, FieldPart::exponent);
  EXPECT_EQ(q4_k.run_at(15).part, FieldPart::sign);
  EXPECT_EQ(q4_k.run_at(16).field, Field::super_min);
  // The scale of IQ1_M lies in the top four bits of four words; a set sign bit makes it negative.
  const Format& iq1_m = *find_format("IQ1_M");
  std::vector<std::uint8_t> block(static_cast<std::size_t>(iq1_m.block_bytes));
  const FieldMap& map = field_map(iq1_m);
  for (const FieldRun& run : map.runs) {
    if (run.field != Field::super_scale || run.part == FieldPart::mantissa) continue;
    for (std::uint32_t bit = run.first_bit; bit < run.first_bit + run.bits; ++bit) {
      std::vector<std::uint8_t> damaged = block;
      damaged[bit / 8] |= static_cast<std::uint8_t>(1u << bit % 8);
      IntegerBlock out;
      iq1_m.unpack(damaged.data(), out);
      if (run.part == FieldPart::sign)
        EXPECT_TRUE(std::signbit(out.scale[0]));
      else
        EXPECT_GE(out.scale[0], 0x1p-14f * 0.125f);  // a normal number: an exponent bit is set
    }
  }
}

TEST(FieldMap, SelectorsChooseFieldsAndParts) {
  const FieldMap& map = field_map(*find_format("Q4_K"));
  const auto bits_of = [&](std::string_view text) {
    const auto selector = parse_field_selector(text);
    EXPECT_TRUE(selector.ok()) << text;
    std::uint32_t bits = 0;
    for (const FieldRun& run : map.runs) bits += selector->matches(run) ? run.bits : 0;
    return bits;
  };
  EXPECT_EQ(bits_of("all"), 144u * 8);
  EXPECT_EQ(bits_of("quant"), 1024u);
  EXPECT_EQ(bits_of("scale"), 48u);
  EXPECT_EQ(bits_of("min"), 48u);
  EXPECT_EQ(bits_of("super-scale"), 16u);
  EXPECT_EQ(bits_of("super_scale.exponent"), 5u);
  EXPECT_EQ(bits_of("exponent"), 10u);
  EXPECT_EQ(bits_of("sign"), 2u);
  for (const char* wrong : {"", "quants", "scale.", ".sign", "scale.top", "exponent.scale"})
    EXPECT_FALSE(parse_field_selector(wrong).ok()) << wrong;
}

TEST(FieldMap, WrongLayoutsAreRefused) {
  for (const char* wrong :
       {"", "quant", "quant:", "quant:0", "quant:f8", "weight:4", "2*", "0*quant:1", "(quant:1",
        "quant:1)", "quant.top:1", "quant:1  quant:2", "((((((quant:1))))))", "quant:4294967297"})
    EXPECT_FALSE(parse_field_map(wrong).ok()) << wrong;
}

}  // namespace
}  // namespace checkbit
