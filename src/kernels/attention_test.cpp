// Attention over every type of cache: the bits of a reference written from docs/numerics.md from
// every instruction set, close to a softmax in double over what the cache holds, and deaf to
// whatever stands in it outside the positions attended to.

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
             << c.first << " to " << c.last << ", cap " << c.softcap << ", "
             << to_string(c.cache_type);
}

/// One row as a cache of a type holds it: by cache_layout.h, written down a second time.
struct StoredRow {
  std::vector<std::uint8_t> bytes;    ///< elements, padded
  std::vector<std::uint16_t> scales;  ///< of q8_0
  std::vector<double> plain;          ///< what it stands for
};

StoredRow stored_row(CacheType type, std::span<const float> x) {
  StoredRow row;
  const auto put = [&](auto value) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
    row.bytes.insert(row.bytes.end(), bytes, bytes + sizeof value);
  };
  if (type != CacheType::q8_0) {
    for (const float v : x) {
      type == CacheType::f16 ? put(float_to_half(v)) : put(v);
      row.plain.push_back(type == CacheType::f16 ? half_to_float(float_to_half(v)) : v);
    }
    return row;
  }
  for (std::size_t group = 0; group < x.size(); group += 32) {
    const auto part = x.subspan(group, std::min<std::size_t>(32, x.size() - group));
    float largest = 0;
    for (const float v : part) largest = std::isfinite(v) ? std::max(largest, std::abs(v)) : v;
    row.scales.push_back(float_to_half(largest / 127));
    const double scale = half_to_float(row.scales.back());
    for (std::size_t i = 0; i < 32; ++i) {
      const double q = i < part.size() && std::isfinite(scale) && scale > 0
                           ? std::clamp(std::nearbyint(part[i] / scale), -127.0, 127.0)
                           : 0;
      put(static_cast<std::int8_t>(q));
      if (i < part.size()) row.plain.push_back(q * scale);
    }
  }
  return row;
}

/// Keys and values of one head.
struct Cache {
  CacheType type;
  std::int64_t head_size, value_size, capacity;
  std::vector<StoredRow> key_rows, value_rows;
  std::vector<std::uint8_t> keys, values;

  Cache(CacheType cache_type, std::int64_t head, std::int64_t value, std::int64_t positions)
      : type(cache_type), head_size(head), value_size(value), capacity(positions) {
    key_rows.resize(static_cast<std::size_t>(positions));
    value_rows.resize(static_cast<std::size_t>(positions));
    keys.resize(static_cast<std::size_t>(cache_bytes(type, head, positions)));
    values.resize(static_cast<std::size_t>(cache_bytes(type, value, positions)));
  }
  /// `unit` bytes of a row (0: all) lie together, sixteen positions side by side.
  void set(std::vector<std::uint8_t>& to, std::vector<StoredRow>& rows, std::int64_t position,
           std::span<const float> x, std::size_t unit) {
    const StoredRow& row = rows[static_cast<std::size_t>(position)] = stored_row(type, x);
    const std::size_t block_bytes = 16 * (row.bytes.size() + 2 * row.scales.size());
    const auto lane = static_cast<std::size_t>(position % 16);
    if (unit == 0) unit = row.bytes.size();
    std::uint8_t* block = to.data() + static_cast<std::size_t>(position / 16) * block_bytes;
    for (std::size_t i = 0; i < row.bytes.size(); ++i)
      block[i / unit * 16 * unit + lane * unit + i % unit] = row.bytes[i];
    for (std::size_t g = 0; g < row.scales.size(); ++g)
      std::memcpy(block + 16 * row.bytes.size() + 2 * (16 * g + lane), &row.scales[g], 2);
  }
  void set_key(std::int64_t position, std::span<const float> x) {
    set(keys, key_rows, position, x, type == CacheType::f32 ? 4 : 2);
  }
  void set_value(std::int64_t position, std::span<const float> x) {
    set(values, value_rows, position, x, 0);
  }
};

std::span<const float> row_of(const std::vector<float>& rows, std::int64_t row, std::int64_t size) {
  return std::span(rows).subspan(static_cast<std::size_t>(row * size),
                                 static_cast<std::size_t>(size));
}

Cache make_cache(CacheType type, std::int64_t head_size, std::int64_t value_size,
                 std::int64_t capacity) {
  Cache c(type, head_size, value_size, capacity);
  const auto keys = random_floats(21, static_cast<std::size_t>(capacity * head_size), 2);
  const auto values = random_floats(22, static_cast<std::size_t>(capacity * value_size), 3);
  for (std::int64_t p = 0; p < capacity; ++p) {
    c.set_key(p, row_of(keys, p, head_size));
    c.set_value(p, row_of(values, p, value_size));
  }
  return c;
}

/// Keys and values of positions outside [first, last] become `garbage`.
void spoil(Cache& c, std::int64_t first, std::int64_t last, float garbage) {
  const std::vector<float> row(static_cast<std::size_t>(std::max(c.head_size, c.value_size)),
                               garbage);
  for (std::int64_t p = 0; p < c.capacity; ++p) {
    if (p >= first && p <= last) continue;
    c.set_key(p, row_of(row, 0, c.head_size));
    c.set_value(p, row_of(row, 0, c.value_size));
  }
}

/// Scratch of one call, full of NaN.
struct Scratch {
  Scratch(const Case& c, std::int64_t positions)
      : stride((positions + 32 + 15) / 16 * 16),
        scores(static_cast<std::size_t>(kAttentionRows * stride),
               std::numeric_limits<float>::quiet_NaN()),
        query(static_cast<std::size_t>(attention_query_floats(c.head_size)),
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
  a.cache_type = cache.type;
  a.keys = cache.keys.data();
  a.values = cache.values.data();
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

/// As attention takes it: beside keys in 8 bits, in 16 bits per 32 elements.
double query_element(const Case& c, std::span<const float> query, std::size_t d) {
  if (c.cache_type != CacheType::q8_0) return query[d];
  float largest = 0;
  for (std::size_t i = d / 32 * 32; i < std::min(query.size(), d / 32 * 32 + 32); ++i)
    largest = std::max(largest, std::abs(query[i]));
  const float inverse = 32767 / largest;  // in floats, or some elements end a step further
  return std::nearbyint(query[d] * inverse) * (double{largest} / 32767);
}

std::vector<double> reference(const Case& c, const Cache& cache,
                              const std::vector<float>& queries) {
  std::vector<double> out;
  for (std::int64_t h = 0; h < c.heads; ++h) {
    std::vector<double> p;
    for (std::int64_t at = c.first; at <= c.last; ++at) {
      double s = 0;
      for (std::int64_t d = 0; d < c.head_size; ++d) {
        s += query_element(c, row_of(queries, h, c.head_size), static_cast<std::size_t>(d)) *
             cache.key_rows[static_cast<std::size_t>(at)].plain[static_cast<std::size_t>(d)];
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
               cache.value_rows[static_cast<std::size_t>(c.first) + i]
                   .plain[static_cast<std::size_t>(d)];
      }
      out.push_back(sum);
    }
  }
  return out;
}

// ---- the reference to the bit, from docs/numerics.md ----

/// The canonical order of sums, and mutants of it.
enum class Order { canonical, elements_reversed, positions_reversed, blocks_reversed };

std::vector<std::size_t> in_order(std::size_t n, bool reversed) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < n; ++i) order.push_back(reversed ? n - 1 - i : i);
  return order;
}

/// As the cache holds it, of q8_0 without its scale.
float element(CacheType type, const StoredRow& row, std::size_t d) {
  if (type == CacheType::q8_0) return static_cast<std::int8_t>(row.bytes[d]);
  return static_cast<float>(row.plain[d]);
}

float exact_score(const Case& c, std::span<const float> query, const StoredRow& key,
                  bool reversed) {
  float acc = 0;
  if (c.cache_type != CacheType::q8_0) {
    for (const std::size_t d : in_order(query.size(), reversed))
      acc = std::fma(element(c.cache_type, key, d), query[d], acc);
  } else {
    for (const std::size_t group : in_order((query.size() + 31) / 32, reversed)) {
      const std::size_t begin = 32 * group, end = std::min(begin + 32, query.size());
      float largest = 0;
      for (std::size_t d = begin; d < end; ++d) largest = std::max(largest, std::abs(query[d]));
      std::int64_t sum = 0;
      for (std::size_t d = begin; d < end; ++d) {
        sum += static_cast<std::int64_t>(std::nearbyint(query[d] * (32767 / largest))) *
               static_cast<std::int64_t>(element(c.cache_type, key, d));
      }
      acc = std::fma(static_cast<float>(sum), half_to_float(key.scales[group]) * (largest / 32767),
                     acc);
    }
  }
  return acc * (1 / std::sqrt(static_cast<float>(c.head_size)));
}

/// Sixteen lanes of probabilities, then the weighted values, of positions [begin, end).
std::vector<float> exact_block(const Case& c, const Cache& cache, std::span<const float> e,
                               std::size_t begin, std::size_t end, bool reversed) {
  const auto size = static_cast<std::size_t>(c.value_size);
  std::vector<float> sums(16 + size);
  for (const std::size_t i : in_order(end - begin, reversed)) {
    const float probability = e[begin + i - static_cast<std::size_t>(c.first)];
    const StoredRow& value = cache.value_rows[begin + i];
    sums[(begin + i) % 16] += probability;
    for (std::size_t d = 0; d < size; ++d) {
      const float weight = c.cache_type == CacheType::q8_0
                               ? probability * half_to_float(value.scales[d / 32])
                               : probability;
      sums[16 + d] = std::fma(element(c.cache_type, value, d), weight, sums[16 + d]);
    }
  }
  return sums;
}

/// All heads. Precondition: no cap.
std::vector<float> exact(const Case& c, const Cache& cache, const std::vector<float>& queries,
                         Order order) {
  const auto first = static_cast<std::size_t>(c.first), last = static_cast<std::size_t>(c.last);
  std::vector<float> out;
  for (std::int64_t h = 0; h < c.heads; ++h) {
    std::vector<float> e;
    for (std::size_t p = first; p <= last; ++p) {
      e.push_back(exact_score(c, row_of(queries, h, c.head_size), cache.key_rows[p],
                              order == Order::elements_reversed));
    }
    const float peak = *std::ranges::max_element(e);
    kernels_for(Isa::scalar).exponentials(e.data(), peak, std::ssize(e), e.data());
    std::vector<float> totals(16 + static_cast<std::size_t>(c.value_size));
    for (const std::size_t i :
         in_order(last / 256 - first / 256 + 1, order == Order::blocks_reversed)) {
      const std::size_t block = first / 256 + i;
      const auto sums =
          exact_block(c, cache, e, std::max(first, 256 * block),
                      std::min(last + 1, 256 * (block + 1)), order == Order::positions_reversed);
      for (std::size_t k = 0; k < sums.size(); ++k) totals[k] += sums[k];
    }
    for (std::size_t width = 8; width > 0; width /= 2) {
      for (std::size_t lane = 0; lane < width; ++lane) totals[lane] += totals[lane + width];
    }
    const float inverse = 1 / totals[0];
    for (std::size_t d = 16; d < totals.size(); ++d) out.push_back(totals[d] * inverse);
  }
  return out;
}

/// Values are below 3; scores carry about 1e-6, probabilities the same share.
constexpr double kBound = 1e-5;

void expect_right(Case c, CacheType cache_type) {
  c.cache_type = cache_type;
  Cache cache = make_cache(cache_type, c.head_size, c.value_size, (c.last / 16 + 2) * 16);
  const auto queries = random_floats(23, static_cast<std::size_t>(c.heads * c.head_size), 2);
  const auto expected = reference(c, cache, queries);
  const auto scalar = attend(Isa::scalar, c, cache, queries);
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(scalar[i], expected[i], kBound) << c << ", element " << i;
  if (c.softcap == 0) {
    ASSERT_EQ(first_difference(scalar, exact(c, cache, queries, Order::canonical)), -1) << c;
  }
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
  for (const CacheType type : kCacheTypes) expect_right(c, type);
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

/// The comparison of bits can fail: each of the sums in another order gives other bits.
TEST(Attention, AnotherOrderGivesOtherBits) {
  for (const CacheType type : kCacheTypes) {
    const Case c{.heads = 2,
                 .head_size = 128,
                 .value_size = 32,
                 .first = 3,
                 .last = 1000,
                 .cache_type = type};
    const Cache cache = make_cache(type, c.head_size, c.value_size, 1024);
    const auto queries = random_floats(23, 256, 2);
    for (const Order mutant :
         {Order::elements_reversed, Order::positions_reversed, Order::blocks_reversed}) {
      for (const Isa isa : present_isas()) {
        EXPECT_GE(
            first_difference(attend(isa, c, cache, queries), exact(c, cache, queries, mutant)), 0)
            << to_string(isa) << ", " << to_string(type) << ", mutant " << static_cast<int>(mutant);
      }
    }
  }
}

/// The test of garbage can fail: inside the positions it is heard.
TEST(Attention, GarbageAmongThePositionsIsHeard) {
  const Case c{.heads = 1, .head_size = 16, .value_size = 16, .last = 20};
  for (const CacheType type : kCacheTypes) {
    Cache cache = make_cache(type, 16, 16, 32);
    spoil(cache, 0, 19, std::numeric_limits<float>::quiet_NaN());
    for (const Isa isa : present_isas()) {
      EXPECT_TRUE(std::isnan(attend(isa, c, cache, random_floats(1, 16))[0]))
          << to_string(isa) << ", " << to_string(type);
    }
  }
}

/// docs/numerics.md: sums close at absolute multiples of 256, so the position of a window changes
/// bits.
TEST(Attention, BlocksAreAbsolute) {
  const auto queries = random_floats(23, 16, 2);
  const auto keys = random_floats(24, 128 * 16, 2);
  const auto values = random_floats(25, 128 * 16, 3);
  const auto at = [&](std::int64_t first) {
    Cache cache = make_cache(CacheType::f16, 16, 16, 512);
    for (std::int64_t i = 0; i < 128; ++i) {
      cache.set_key(first + i, row_of(keys, i, 16));
      cache.set_value(first + i, row_of(values, i, 16));
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
void expect_undisturbed(CacheType type, std::int64_t window, std::int64_t start) {
  const Case c{.heads = 1,
               .head_size = 16,
               .value_size = 80,
               .last = start + kAttentionRows,
               .cache_type = type};
  const Cache cache = make_cache(type, c.head_size, c.value_size, 544);
  const auto queries = random_floats(23, static_cast<std::size_t>(kAttentionRows * c.head_size), 2);
  std::vector<AttentionRow> rows;
  for (int r = 0; r < kAttentionRows; ++r) {
    const std::int64_t last = start + r / 2;
    rows.push_back({queries.data() + r * c.head_size, nullptr,
                    std::max<std::int64_t>(0, last - window + 1), last});
  }
  for (const Isa isa : present_isas()) {
    std::vector<std::vector<float>> alone;
    for (const AttentionRow& row : rows) {
      Case one = c;
      one.first = row.first;
      one.last = row.last;
      Cache spoiled = cache;
      spoil(spoiled, row.first, row.last, std::numeric_limits<float>::infinity());
      alone.push_back(attend(isa, one, spoiled, {row.query, row.query + c.head_size}));
    }
    for (int n = 1; n <= kAttentionRows; ++n) {
      std::vector<float> out(static_cast<std::size_t>(kAttentionRows * c.value_size), 7.0f);
      std::vector<AttentionRow> together(rows.begin(), rows.begin() + n);
      for (int r = 0; r < n; ++r)
        together[static_cast<std::size_t>(r)].out = out.data() + r * c.value_size;
      Scratch scratch(c, c.last);
      kernels_for(isa).attend(arguments(c, cache, together, scratch));
      for (int r = 0; r < n; ++r) {
        const auto got = row_of(out, r, c.value_size);
        ASSERT_EQ(first_difference({got.begin(), got.end()}, alone[static_cast<std::size_t>(r)]),
                  -1)
            << to_string(isa) << ", " << c << ", window " << window << ", row " << r << " of " << n;
      }
    }
  }
}

TEST(Attention, RowsDoNotDisturbEachOther) {
  for (const CacheType type : kCacheTypes) {
    for (const std::int64_t window : {1000, 40, 3}) {
      for (const std::int64_t start : {0, 5, 250, 509}) expect_undisturbed(type, window, start);
    }
  }
}

/// attend_scores, attend_block and attend_combine give the bits of attend.
void expect_same_from_parts(const Case& c) {
  const Cache cache = make_cache(c.cache_type, c.head_size, c.value_size, 1024);
  const auto queries = random_floats(23, static_cast<std::size_t>(c.heads * c.head_size), 2);
  for (const Isa isa : present_isas()) {
    const Kernels& kernels = kernels_for(isa);
    std::vector<float> out(static_cast<std::size_t>(c.heads * c.value_size));
    std::vector<AttentionRow> rows;
    for (std::int64_t h = 0; h < c.heads; ++h) {
      rows.push_back(
          {queries.data() + h * c.head_size, out.data() + h * c.value_size, c.first, c.last});
    }
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
        << to_string(isa) << ": " << c;
  }
}

TEST(Attention, PartsGiveTheBitsOfTheWhole) {
  for (const CacheType type : kCacheTypes) {
    for (const std::int64_t first : {0, 300}) {
      expect_same_from_parts({.heads = 7,
                              .head_size = 32,
                              .value_size = 64,
                              .first = first,
                              .last = 1000,
                              .cache_type = type});
    }
  }
}

/// A cache of 48 positions filled with one byte value, and what a store makes of it.
void expect_stored(CacheType type, std::int64_t head_size, std::int64_t position, float size) {
  constexpr std::int64_t kValueSize = 48;
  constexpr std::int64_t kCapacity = 48;
  Cache expected(type, head_size, kValueSize, kCapacity);
  for (auto* bytes : {&expected.keys, &expected.values}) std::ranges::fill(*bytes, 0x5a);
  const Cache untouched = expected;
  const auto key = random_floats(31, static_cast<std::size_t>(head_size), 1000 * size);
  const auto value = random_floats(32, kValueSize, size);
  expected.set_key(position, key);
  expected.set_value(position, value);
  for (const Isa isa : present_isas()) {
    Cache cache = untouched;
    kernels_for(isa).store_key_value({.cache_type = type,
                                      .key = key.data(),
                                      .value = value.data(),
                                      .head_size = head_size,
                                      .value_size = kValueSize,
                                      .position = position,
                                      .keys = cache.keys.data(),
                                      .values = cache.values.data()});
    EXPECT_EQ(first_difference(cache.keys, expected.keys), -1)
        << to_string(isa) << " " << to_string(type) << " " << head_size << " at " << position;
    EXPECT_EQ(first_difference(cache.values, expected.values), -1)
        << to_string(isa) << " " << to_string(type) << " " << head_size << " at " << position;
  }
}

TEST(StoreKeyValue, WritesItsPositionAndNothingElse) {
  for (const CacheType type : kCacheTypes) {
    for (const std::int64_t head_size : {16, 20, 80}) {
      for (const std::int64_t position : {0, 15, 16, 29, 47}) {
        // Zeros, tiny (a scale that binary16 keeps in few bits, or not at all) and ordinary values.
        for (const float size : {0.0f, 1e-6f, 1e-4f, 1.0f})
          expect_stored(type, head_size, position, size);
      }
    }
  }
}

/// docs/numerics.md: what stands in an 8-bit cache is within half a step of what was stored.
TEST(StoreKeyValue, EightBitsAreWithinHalfAStep) {
  for (const float size : {1e-3f, 1.0f, 1e5f}) {
    const auto x = random_floats(33, 64, size);
    Cache cache(CacheType::q8_0, 64, 64, 16);
    kernels_for(present_isas().back())
        .store_key_value({.cache_type = CacheType::q8_0,
                          .key = x.data(),
                          .value = x.data(),
                          .head_size = 64,
                          .value_size = 64,
                          .position = 3,
                          .keys = cache.keys.data(),
                          .values = cache.values.data()});
    for (std::size_t d = 0; d < 64; ++d) {
      std::uint16_t half;
      std::memcpy(&half, cache.values.data() + 16 * 64 + 2 * (16 * (d / 32) + 3), 2);
      const double scale = half_to_float(half);
      const double value = scale * static_cast<std::int8_t>(cache.values[3 * 64 + d]);
      EXPECT_NEAR(value, x[d], 0.5001 * scale) << "element " << d << " of " << size;
      EXPECT_LE(scale, size / 126);
    }
  }
}

}  // namespace
}  // namespace checkbit
