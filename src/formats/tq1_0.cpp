// TQ1_0: ternary weights, five to a byte, 1.6875 bits per weight.
//
// w = scale * (q - 1), q = 0, 1, 2. A byte holds the base-3 fraction 0.q0 q1 q2 q3 q4 times 256,
// rounded up: multiplying by 3 and taking what overflows 8 bits gives the digits one by one.

#include <cstddef>

#include "formats/integer_form.h"
#include "formats/ternary_rounding.h"

namespace checkbit {
namespace {

struct Block {
  std::array<std::uint8_t, 32> first;   ///< weights 0 .. 159: digit n of byte i is weight 32 n + i
  std::array<std::uint8_t, 16> second;  ///< weights 160 .. 239: digit n of byte i is 160 + 16 n + i
  std::array<std::uint8_t, 4> third;    ///< weights 240 .. 255: four digits, 240 + 4 n + i
  std::uint16_t scale;                  ///< binary16
};
static_assert(sizeof(Block) == 54);
static_assert(offsetof(Block, second) == 32);
static_assert(offsetof(Block, third) == 48);
static_assert(offsetof(Block, scale) == 52);

/// bytes [kBytes] -> q [kBytes * kDigits], digit-major.
template <int kDigits, std::size_t kBytes>
void unpack_digits(const std::array<std::uint8_t, kBytes>& bytes, std::uint8_t* q) {
  std::array<std::uint8_t, kBytes> fraction = bytes;
  for (int digit = 0; digit < kDigits; ++digit) {
    for (std::size_t i = 0; i < kBytes; ++i) {
      const unsigned tripled = fraction[i] * 3u;
      *q++ = static_cast<std::uint8_t>(tripled >> 8);
      fraction[i] = static_cast<std::uint8_t>(tripled);
    }
  }
}

void unpack(const std::uint8_t* bytes, IntegerBlock& out) {
  const auto block = load_unaligned<Block>(bytes);
  out.scale[0] = half_to_float(block.scale);
  unpack_digits<5>(block.first, out.q.data());
  unpack_digits<5>(block.second, out.q.data() + 160);
  unpack_digits<4>(block.third, out.q.data() + 240);
  set_unit_subs(out);
}

/// q [kBytes * kDigits], digit-major -> bytes [kBytes].
template <int kDigits, std::size_t kBytes>
void pack_digits(const std::uint8_t* q, std::array<std::uint8_t, kBytes>& bytes) {
  constexpr int kPowers = 243;  // 3^5, also where only four digits are used
  for (std::size_t i = 0; i < kBytes; ++i) {
    int number = 0;
    for (std::size_t digit = 0; digit < 5; ++digit) {
      number = 3 * number + (digit < kDigits ? q[digit * kBytes + i] : 0);
    }
    bytes[i] = static_cast<std::uint8_t>((number * 256 + kPowers - 1) / kPowers);
  }
}

void encode(const float* in, std::size_t n_blocks, const float* importance, std::uint8_t* blocks) {
  encode_blocks<Block, 256>(in, n_blocks, importance, blocks, [](const Group& group, Block& block) {
    const auto rounded = round_to_ternary(group);
    block.scale = rounded.scale;
    pack_digits<5>(rounded.codes.data(), block.first);
    pack_digits<5>(rounded.codes.data() + 160, block.second);
    pack_digits<4>(rounded.codes.data() + 240, block.third);
  });
}

}  // namespace

extern const Format tq1_0_format;
const Format tq1_0_format = {.name = "TQ1_0",
                             .type_id = 34,
                             .block_elements = 256,
                             .block_bytes = sizeof(Block),
                             .summary = "ternary, five to a byte, one scale per 256",
                             .decode = decode_integer<tq1_0_format>,
                             .encode = encode,
                             .is_finite = half_at_is_finite<52>,
                             .integer = {.bits = 2,
                                         .q_offset = 1,
                                         .scale_elements = 256,
                                         .sub_elements = 256,
                                         .half_scales = true,
                                         .activation_elements = 256},
                             .unpack = unpack,
                             .ternary = true};

}  // namespace checkbit
