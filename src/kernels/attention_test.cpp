// Attention over the cache: the same bits from every instruction set, close to a softmax in double,
// and deaf to whatever stands in the cache outside the positions attended to.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>

#include "base/float16.h"
#include "kernels/kernel_test_inputs.h"

namespace checkbit {
namespace {

struct Case {
  std::int64_t heads = 1;
  std::int64_t head_size = 64;
  std::int64_t value_size = 64;
  std::int64_t first = 0;
  std::int64_t last = 0;
  float softcap = 0;
  CacheType cache_type = CacheType::f16;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.heads << " heads of " << c.head_size << "/" << c.value_size << ", positions "
             << c.first << " to " << c.last << ", cap " << c.softcap
             << (c.cache_type == CacheType::f16 ? ", binary16" : ", binary32");
}

/// Keys and values in the layout of AttentionArguments, in both types.
struct Cache {
  std::int64_t head_size, value_size, capacity;
  std::vector<float> keys_plain, values_plain;  ///< [capacity][size], exactly binary16
  std::vector<std::uint16_t> keys_f16, values_f16;
  std::vector<float> keys_f32, values_f32;

  void set_key(std::int64_t position, std::int64_t element, float value) {
    const auto at =
        static_cast<std::size_t>((position / 16 * head_size + element) * 16 + position % 16);
    keys_f16[at] = float_to_half(value);
    keys_f32[at] = value;
  }
  void set_value(std::int64_t position, std::int64_t element, float value) {
    const auto at = static_cast<std::size_t>(position * value_size + element);
    values_f16[at] = float_to_half(value);
    values_f32[at] = value;
  }
};

Cache make_cache(std::int64_t head_size, std::int64_t value_size, std::int64_t capacity) {
  const auto rounded = [](std::vector<float> values) {
    for (float& v : values) v = half_to_float(float_to_half(v));
    return values;
  };
  Cache c{head_size, value_size, capacity, {}, {}, {}, {}, {}, {}};
  c.keys_plain = rounded(random_floats(21, static_cast<std::size_t>(capacity * head_size), 2));
  c.values_plain = rounded(random_floats(22, static_cast<std::size_t>(capacity * value_size), 3));
  c.keys_f16.resize(c.keys_plain.size());
  c.keys_f32.resize(c.keys_plain.size());
  c.values_f16.resize(c.values_plain.size());
  c.values_f32.resize(c.values_plain.size());
  for (std::int64_t p = 0; p < capacity; ++p) {
    for (std::int64_t d = 0; d < head_size; ++d)
      c.set_key(p, d, c.keys_plain[static_cast<std::size_t>(p * head_size + d)]);
    for (std::int64_t d = 0; d < value_size; ++d)
      c.set_value(p, d, c.values_plain[static_cast<std::size_t>(p * value_size + d)]);
  }
  return c;
}

/// Keys and values of positions outside [first, last] become `garbage`.
void spoil(Cache& c, std::int64_t first, std::int64_t last, float garbage) {
  for (std::int64_t p = 0; p < c.capacity; ++p) {
    if (p >= first && p <= last) continue;
    for (std::int64_t d = 0; d < c.head_size; ++d) c.set_key(p, d, garbage);
    for (std::int64_t d = 0; d < c.value_size; ++d) c.set_value(p, d, garbage);
  }
}

/// Scratch of one call, full of NaN.
struct Scratch {
  Scratch(const Case& c, std::int64_t positions)
      : stride((positions + 32 + 15) / 16 * 16),
        scores(static_cast<std::size_t>(kAttentionRows * stride),
               std::numeric_limits<float>::quiet_NaN()),
        query(static_cast<std::size_t>(kAttentionRows * c.head_size),
              std::numeric_limits<float>::quiet_NaN()),
        sums(static_cast<std::size_t>(2 * kAttentionRows * attention_sum_floats(c.value_size)),
             std::numeric_limits<float>::quiet_NaN()) {}
  std::int64_t stride;
  std::vector<float> scores, query, sums;
};

AttentionArguments arguments(const Case& c, const Cache& cache, std::span<const AttentionRow> rows,
                             Scratch& scratch) {
  AttentionArguments a;
  a.rows = rows.data();
  a.n_rows = static_cast<int>(rows.size());
  a.head_size = c.head_size;
  a.value_size = c.value_size;
  a.cache_type = c.cache_type;
  const bool half = c.cache_type == CacheType::f16;
  a.keys = half ? static_cast<const void*>(cache.keys_f16.data()) : cache.keys_f32.data();
  a.values = half ? static_cast<const void*>(cache.values_f16.data()) : cache.values_f32.data();
  a.scale = 1 / std::sqrt(static_cast<float>(c.head_size));
  a.softcap = c.softcap;
  a.scores = scratch.scores.data();
  a.score_stride = scratch.stride;
  a.query_scratch = scratch.query.data();
  a.sum_scratch = scratch.sums.data();
  return a;
}

/// All heads over the case's positions, in groups of at most kAttentionRows.
std::vector<float> attend(Isa isa, const Case& c, const Cache& cache,
                          const std::vector<float>& queries) {
  std::vector<float> out(static_cast<std::size_t>(c.heads * c.value_size));
  std::vector<AttentionRow> rows;
  for (std::int64_t h = 0; h < c.heads; ++h) {
    rows.push_back(
        {queries.data() + h * c.head_size, out.data() + h * c.value_size, c.first, c.last});
  }
  Scratch scratch(c, c.last);
  for (std::size_t from = 0; from < rows.size(); from += kAttentionRows) {
    const std::size_t count = std::min<std::size_t>(kAttentionRows, rows.size() - from);
    kernels_for(isa).attend(arguments(c, cache, std::span(rows).subspan(from, count), scratch));
  }
  return out;
}

std::vector<double> reference(const Case& c, const Cache& cache,
                              const std::vector<float>& queries) {
  std::vector<double> out;
  for (std::int64_t h = 0; h < c.heads; ++h) {
    std::vector<double> p;
    for (std::int64_t at = c.first; at <= c.last; ++at) {
      double s = 0;
      for (std::int64_t d = 0; d < c.head_size; ++d) {
        s += double{queries[static_cast<std::size_t>(h * c.head_size + d)]} *
             cache.keys_plain[static_cast<std::size_t>(at * c.head_size + d)];
      }
      s /= std::sqrt(static_cast<double>(c.head_size));
      p.push_back(c.softcap > 0 ? double{c.softcap} * std::tanh(s / double{c.softcap}) : s);
    }
    const double peak = *std::ranges::max_element(p);
    double total = 0;
    for (double& v : p) total += v = std::exp(v - peak);
    for (std::int64_t d = 0; d < c.value_size; ++d) {
      double sum = 0;
      for (std::size_t i = 0; i < p.size(); ++i) {
        sum += p[i] / total *
               cache.values_plain[(static_cast<std::size_t>(c.first) + i) *
                                      static_cast<std::size_t>(c.value_size) +
                                  static_cast<std::size_t>(d)];
      }
      out.push_back(sum);
    }
  }
  return out;
}

/// Values are below 3; scores carry about 1e-6, probabilities the same share.
constexpr double kBound = 1e-5;

void expect_right(Case c, CacheType cache_type) {
  c.cache_type = cache_type;
  Cache cache = make_cache(c.head_size, c.value_size, (c.last / 16 + 2) * 16);
  const auto queries = random_floats(23, static_cast<std::size_t>(c.heads * c.head_size), 2);
  const auto expected = reference(c, cache, queries);
  const auto scalar = attend(Isa::scalar, c, cache, queries);
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(scalar[i], expected[i], kBound) << c << ", element " << i;
  for (const Isa isa : present_isas()) {
    ASSERT_EQ(kernels_for(isa).isa, isa);
    ASSERT_EQ(first_difference(attend(isa, c, cache, queries), scalar), -1)
        << to_string(isa) << ": " << c;
  }
  for (const float garbage :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    spoil(cache, c.first, c.last, garbage);
    for (const Isa isa : present_isas()) {
      ASSERT_EQ(first_difference(attend(isa, c, cache, queries), scalar), -1)
          << to_string(isa) << " hears garbage: " << c;
    }
  }
}

void expect_right(const Case& c) {
  expect_right(c, CacheType::f16);
  expect_right(c, CacheType::f32);
}

TEST(Attention, HeadSizes) {
  for (const std::int64_t size : {16, 64, 80, 128, 256}) {
    expect_right({.heads = 3, .head_size = size, .value_size = size, .last = 40});
    expect_right({.heads = 4, .head_size = size, .value_size = 64, .last = 17});
  }
  expect_right({.heads = 2, .head_size = 20, .value_size = 48, .last = 20});
}

TEST(Attention, HeadsThatShareKeys) {
  for (std::int64_t heads = 1; heads <= 17; ++heads)
    expect_right({.heads = heads, .head_size = 16, .value_size = 16, .last = 33});
}

TEST(Attention, LengthsAcrossVectorsAndBlocks) {
  for (const std::int64_t last :
       {0, 1, 14, 15, 16, 17, 31, 32, 254, 255, 256, 257, 511, 512, 530}) {
    expect_right({.heads = 2, .head_size = 16, .value_size = 32, .last = last});
  }
}

TEST(Attention, SlidingWindows) {
  for (const std::int64_t first : {1, 15, 16, 17, 100, 240, 255, 256, 257, 300}) {
    for (const std::int64_t length : {1, 16, 40, 270}) {
      expect_right({.heads = 3,
                    .head_size = 16,
                    .value_size = 16,
                    .first = first,
                    .last = first + length - 1});
    }
  }
}

TEST(Attention, CappedScores) {
  expect_right(
      {.heads = 5, .head_size = 32, .value_size = 32, .first = 3, .last = 70, .softcap = 0.5f});
}

/// The test of garbage can fail: inside the positions it is heard.
TEST(Attention, GarbageAmongThePositionsIsHeard) {
  const Case c{.heads = 1, .head_size = 16, .value_size = 16, .last = 20};
  Cache cache = make_cache(16, 16, 32);
  spoil(cache, 0, 19, std::numeric_limits<float>::quiet_NaN());
  for (const Isa isa : present_isas())
    EXPECT_TRUE(std::isnan(attend(isa, c, cache, random_floats(1, 16))[0])) << to_string(isa);
}

/// docs/numerics.md: sums close at absolute multiples of 256, so the position of a window changes
/// bits.
TEST(Attention, BlocksAreAbsolute) {
  const auto queries = random_floats(23, 16, 2);
  const auto at = [&](std::int64_t first) {
    Cache cache = make_cache(16, 16, 512);
    const Cache source = cache;
    for (std::int64_t i = 0; i < 128; ++i) {
      for (std::int64_t d = 0; d < 16; ++d) {
        cache.set_key(first + i, d, source.keys_plain[static_cast<std::size_t>(i * 16 + d)]);
        cache.set_value(first + i, d, source.values_plain[static_cast<std::size_t>(i * 16 + d)]);
      }
    }
    return attend(
        present_isas().back(),
        {.heads = 1, .head_size = 16, .value_size = 16, .first = first, .last = first + 127}, cache,
        queries);
  };
  EXPECT_EQ(first_difference(at(0), at(128)), -1);
  EXPECT_GE(first_difference(at(0), at(192)), 0);
}

/// Rows that see different positions: each must give the bits it gives alone, also beside garbage.
TEST(Attention, RowsDoNotDisturbEachOther) {
  for (const std::int64_t window : {1000, 40, 3}) {
    for (const std::int64_t start : {0, 5, 250, 509}) {
      const Case c{.heads = 1, .head_size = 16, .value_size = 80, .last = start + kAttentionRows};
      const Cache cache = make_cache(c.head_size, c.value_size, 544);
      const auto queries =
          random_floats(23, static_cast<std::size_t>(kAttentionRows * c.head_size), 2);
      for (const Isa isa : present_isas()) {
        for (int n = 1; n <= kAttentionRows; ++n) {
          std::vector<float> out(static_cast<std::size_t>(kAttentionRows * c.value_size), 7.0f);
          std::vector<AttentionRow> rows;
          for (int r = 0; r < n; ++r) {
            const std::int64_t last = start + r / 2;
            rows.push_back({queries.data() + r * c.head_size, out.data() + r * c.value_size,
                            std::max<std::int64_t>(0, last - window + 1), last});
          }
          Scratch scratch(c, c.last);
          kernels_for(isa).attend(arguments(c, cache, rows, scratch));
          for (int r = 0; r < n; ++r) {
            Case alone = c;
            alone.first = rows[static_cast<std::size_t>(r)].first;
            alone.last = rows[static_cast<std::size_t>(r)].last;
            Cache spoiled = cache;
            spoil(spoiled, alone.first, alone.last, std::numeric_limits<float>::infinity());
            const auto at = static_cast<std::ptrdiff_t>(r * c.value_size);
            const std::vector<float> got(out.begin() + at, out.begin() + at + c.value_size);
            const std::vector<float> query(queries.begin() + r * c.head_size,
                                           queries.begin() + (r + 1) * c.head_size);
            ASSERT_EQ(first_difference(got, attend(isa, alone, spoiled, query)), -1)
                << to_string(isa) << ", window " << window << ", start " << start << ", row " << r
                << " of " << n;
          }
        }
      }
    }
  }
}

/// attend_scores, attend_block and attend_combine give the bits of attend.
TEST(Attention, PartsGiveTheBitsOfTheWhole) {
  for (const std::int64_t first : {0, 300}) {
    const Case c{.heads = 7, .head_size = 32, .value_size = 64, .first = first, .last = 1000};
    const Cache cache = make_cache(c.head_size, c.value_size, 1024);
    const auto queries = random_floats(23, static_cast<std::size_t>(c.heads * c.head_size), 2);
    for (const Isa isa : present_isas()) {
      const Kernels& kernels = kernels_for(isa);
      std::vector<float> out(static_cast<std::size_t>(c.heads * c.value_size));
      std::vector<AttentionRow> rows;
      for (std::int64_t h = 0; h < c.heads; ++h)
        rows.push_back({queries.data() + h * 32, out.data() + h * 64, c.first, c.last});
      Scratch scratch(c, c.last);
      const AttentionArguments a = arguments(c, cache, rows, scratch);
      const AttentionSpan span = attention_span(a);
      std::vector<float> largest(kAttentionRows, -std::numeric_limits<float>::infinity()), sums;
      for (std::int64_t p = span.begin; p < span.end; p += 48) {  // any split
        float peaks[kAttentionRows];
        kernels.attend_scores(a, p, std::min(p + 48, span.end), peaks);
        for (std::size_t r = 0; r < rows.size(); ++r) largest[r] = std::max(largest[r], peaks[r]);
      }
      const std::int64_t block_floats = a.n_rows * attention_sum_floats(c.value_size);
      std::int64_t n_blocks = 0;
      for (std::int64_t block = span.begin / kAttentionBlock; block * kAttentionBlock < span.end;
           ++block, ++n_blocks) {
        sums.resize(sums.size() + static_cast<std::size_t>(block_floats));
        kernels.attend_block(a, std::max(block * kAttentionBlock, span.begin),
                             std::min((block + 1) * kAttentionBlock, span.end), largest.data(),
                             sums.data() + n_blocks * block_floats);
      }
      kernels.attend_combine(a, sums.data(), n_blocks);
      EXPECT_EQ(first_difference(out, attend(isa, c, cache, queries)), -1)
          << to_string(isa) << " from " << first;
    }
  }
}

std::uint16_t stored(float value, std::uint16_t) { return float_to_half(value); }
float stored(float value, float) { return value; }

template <class T>
void expect_stored(CacheType cache_type, std::int64_t head_size, std::int64_t position) {
  constexpr std::int64_t kValueSize = 48;
  constexpr std::int64_t kCapacity = 48;
  constexpr T kUntouched = 1234;
  const auto key = random_floats(31, static_cast<std::size_t>(head_size), 1000);
  const auto value = random_floats(32, kValueSize, 1e-6f);
  std::vector<T> keys_expected(static_cast<std::size_t>(kCapacity * head_size), kUntouched);
  std::vector<T> values_expected(kCapacity * kValueSize, kUntouched);
  for (std::int64_t d = 0; d < head_size; ++d) {
    keys_expected[static_cast<std::size_t>((position / 16 * head_size + d) * 16 + position % 16)] =
        stored(key[static_cast<std::size_t>(d)], T{});
  }
  for (std::int64_t d = 0; d < kValueSize; ++d) {
    values_expected[static_cast<std::size_t>(position * kValueSize + d)] =
        stored(value[static_cast<std::size_t>(d)], T{});
  }
  for (const Isa isa : present_isas()) {
    std::vector<T> keys(keys_expected.size(), kUntouched);
    std::vector<T> values(values_expected.size(), kUntouched);
    kernels_for(isa).store_key_value({.cache_type = cache_type,
                                      .key = key.data(),
                                      .value = value.data(),
                                      .head_size = head_size,
                                      .value_size = kValueSize,
                                      .position = position,
                                      .keys = keys.data(),
                                      .values = values.data()});
    EXPECT_EQ(first_difference(keys, keys_expected), -1)
        << to_string(isa) << " " << head_size << " at " << position;
    EXPECT_EQ(first_difference(values, values_expected), -1)
        << to_string(isa) << " " << head_size << " at " << position;
  }
}

TEST(StoreKeyValue, WritesItsPositionAndNothingElse) {
  for (const std::int64_t head_size : {16, 20, 80}) {
    for (const std::int64_t position : {0, 15, 16, 29, 47}) {
      expect_stored<std::uint16_t>(CacheType::f16, head_size, position);
      expect_stored<float>(CacheType::f32, head_size, position);
    }
  }
}

}  // namespace
}  // namespace checkbit
