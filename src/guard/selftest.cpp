#include "guard/selftest.h"

#define XXH_STATIC_LINKING_ONLY
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/bytes.h"
#include "base/cpu_topology.h"
#include "base/float16.h"
#include "base/float_environment.h"
#include "base/random.h"

namespace checkbit {
namespace {

constexpr int kPanels = 2;
constexpr std::int64_t kTokens = 5;  // a block of four and one of one

std::vector<float> random_floats(Random& random, std::size_t count, float size = 1) {
  std::vector<float> values(count);
  for (float& v : values) v = (2 * random.uniform_float() - 1) * size;
  return values;
}

std::uint64_t hash_of(const std::vector<float>& values) {
  return XXH3_64bits(values.data(), values.size() * sizeof(float));
}

/// Panels of random bytes, with scales that are numbers of a usual size.
std::vector<std::uint8_t> random_panels(Random& random, const IntegerForm& form,
                                        std::int64_t columns) {
  const PanelLayout layout = panel_layout(form);
  const auto records = static_cast<std::size_t>(kPanels * columns / layout.record_columns);
  std::vector<std::uint8_t> bytes(records * layout.record_bytes);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.below(256));
  const auto put_scale = [&](std::uint8_t* base, int index) {
    const float value = (random.uniform_float() - 0.3f) * 0.01f;
    if (form.half_scales) {
      store_unaligned(base + 2 * index, float_to_half(value));
    } else {
      store_unaligned(base + 4 * index, value);
    }
  };
  for (std::size_t r = 0; r < records; ++r) {
    std::uint8_t* record = bytes.data() + r * layout.record_bytes;
    for (int i = 0; i < layout.n_scales * kPanelRows; ++i) {
      put_scale(record, i);
      if (stores_min_scales(form)) put_scale(record + layout.min_offset, i);
    }
  }
  return bytes;
}

std::uint64_t product_answer(const Kernels& kernels, const ProductLine& line) {
  Random random(static_cast<std::uint64_t>(line.kind), 1);
  IntegerForm form = line.form;
  form.q_offset = line.table ? 128 : 1 << (form.bits - 1);
  const int record = std::max({form.scale_elements, form.activation_elements, kUnitColumns});
  const std::int64_t columns = std::max(2 * record, 9 * kUnitColumns);
  const std::vector<std::uint8_t> panels = random_panels(random, form, columns);
  std::uint8_t table[64];
  for (int i = 0; i < (form.window > 1 ? 64 : 16); ++i)
    table[i] = static_cast<std::uint8_t>(random.below(256));
  const std::vector<float> x = random_floats(random, static_cast<std::size_t>(kTokens * columns));
  ActivationSets sets;
  sets.add(activation_form(form));
  std::vector<std::uint64_t> buffer(sets.bytes(columns, kTokens) / sizeof(std::uint64_t));
  const QuantizedActivations all =
      sets.view(0, reinterpret_cast<std::uint8_t*>(buffer.data()), columns, kTokens);
  for (std::int64_t t = 0; t < kTokens; ++t) {
    const TokenBlock block = token_block(t, kTokens);
    const QuantizedActivations to = activations_from(all, sets.form(0), columns, block.first);
    kernels.quantize_activations({.x = x.data() + t * columns,
                                  .columns = columns,
                                  .form = sets.form(0),
                                  .width = block.width,
                                  .lane = static_cast<int>(t - block.first),
                                  .q = to.q,
                                  .scales = to.scales,
                                  .starts = to.starts,
                                  .mins = to.mins});
  }
  std::vector<float> y(static_cast<std::size_t>(kTokens) * kPanels * kPanelRows);
  std::vector<std::uint8_t> scratch(product_scratch_bytes(columns));
  ProductArguments a;
  a.panels = panels.data();
  a.panel_bytes = panels.size() / kPanels;
  a.n_panels = kPanels;
  a.columns = columns;
  a.table = line.table ? table : nullptr;
  a.q_offset = form.q_offset;
  a.x = all;
  a.n_tokens = kTokens;
  a.y = y.data();
  a.y_stride = kPanels * kPanelRows;
  a.scratch = scratch.data();
  kernels.products[static_cast<int>(line.kind)](a);
  return hash_of(y);
}

std::uint64_t float_product_answer(const Kernels& kernels, FloatStorage storage) {
  constexpr std::int64_t kColumns = 96;
  Random random(101, static_cast<std::uint64_t>(storage));
  const std::vector<float> weights = random_floats(random, kPanels * kPanelRows * kColumns);
  const std::vector<float> x = random_floats(random, kTokens * kColumns);
  const std::size_t element = storage == FloatStorage::f32 ? 4 : 2;
  std::vector<std::uint8_t> panels(weights.size() * element);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(weights[i]);
    if (storage == FloatStorage::f32) store_unaligned(panels.data() + 4 * i, weights[i]);
    if (storage == FloatStorage::f16)
      store_unaligned(panels.data() + 2 * i, float_to_half(weights[i]));
    if (storage == FloatStorage::bf16)
      store_unaligned(panels.data() + 2 * i, static_cast<std::uint16_t>(bits >> 16));
  }
  std::vector<float> y(static_cast<std::size_t>(kTokens) * kPanels * kPanelRows);
  kernels.float_product({.storage = storage,
                         .panels = panels.data(),
                         .panel_bytes = panels.size() / kPanels,
                         .n_panels = kPanels,
                         .columns = kColumns,
                         .x = x.data(),
                         .x_stride = kColumns,
                         .n_tokens = kTokens,
                         .y = y.data(),
                         .y_stride = kPanels * kPanelRows});
  return hash_of(y);
}

/// Stores positions one by one and lets two queries attend to all of them.
std::uint64_t attention_answer(const Kernels& kernels, CacheType type) {
  constexpr std::int64_t kHead = 64, kPositions = 48;
  Random random(102, static_cast<std::uint64_t>(type));
  const auto bytes = static_cast<std::size_t>(cache_bytes(type, kHead, kPositions));
  std::vector<std::uint64_t> keys(bytes / 8), values(bytes / 8);
  for (std::int64_t position = 0; position < kPositions; ++position) {
    const auto key = random_floats(random, kHead), value = random_floats(random, kHead);
    kernels.store_key_value(
        {type, key.data(), value.data(), kHead, kHead, position, keys.data(), values.data()});
  }
  const std::vector<float> queries = random_floats(random, 2 * kHead, 4);
  std::vector<float> out(2 * kHead), scores(kAttentionRows * kPositions);
  std::vector<float> query_scratch(static_cast<std::size_t>(attention_query_floats(kHead)));
  std::vector<float> sums(
      static_cast<std::size_t>(2 * kAttentionRows * attention_sum_floats(kHead)));
  const AttentionRow rows[] = {{queries.data(), out.data(), 0, kPositions - 2},
                               {queries.data() + kHead, out.data() + kHead, 3, kPositions - 1}};
  kernels.attend({.cache_type = type,
                  .rows = rows,
                  .n_rows = 2,
                  .head_size = kHead,
                  .value_size = kHead,
                  .keys = keys.data(),
                  .values = values.data(),
                  .scale = 0.125f,
                  .scores = scores.data(),
                  .score_stride = kPositions,
                  .query_scratch = query_scratch.data(),
                  .sum_scratch = sums.data()});
  return hash_of(out);
}

/// The element-wise kernels, one after the other on the same numbers.
std::uint64_t elementwise_answer(const Kernels& kernels) {
  constexpr std::int64_t kSize = 200;
  Random random(103);
  const std::vector<float> x = random_floats(random, kSize, 6);
  const std::vector<float> y = random_floats(random, kSize);
  std::vector<float> all;
  std::vector<float> out(kSize);
  const auto keep = [&] { all.insert(all.end(), out.begin(), out.end()); };
  kernels.rms_norm(x.data(), y.data(), 1e-5f, kSize, out.data());
  keep();
  kernels.silu_multiply(x.data(), y.data(), kSize, out.data());
  keep();
  kernels.gelu_multiply(x.data(), y.data(), kSize, out.data());
  keep();
  kernels.exponentials(x.data(), 6, kSize, out.data());
  keep();
  out = x;
  kernels.add(y.data(), kSize, out.data());
  kernels.scale(0.7f, kSize, out.data());
  kernels.softcap(3, kSize, out.data());
  keep();
  return hash_of(all);
}

void test_processor(int processor, std::span<const Isa> isas, SelftestResult& result) {
  std::thread worker([&] {
    if (!set_processors(pthread_self(), std::span(&processor, 1))) {
      result.unreached.push_back(processor);
      return;
    }
    const FloatEnvironment environment;
    result.processors.push_back(processor);
    for (const Isa isa : isas) {
      const std::vector<KernelAnswer> answers = kernel_answers(kernels_for(isa));
      for (std::size_t i = 0; i < answers.size(); ++i) {
        ++result.answers;
        if (answers[i].hash != golden_answers()[i].hash)
          result.faults.push_back({processor, isa, answers[i].kernel});
      }
    }
  });
  worker.join();
}

}  // namespace

std::span<const KernelAnswer> golden_answers() {
  static constexpr KernelAnswer kGolden[] = {
#define CHECKBIT_GOLDEN(kernel, hash) {kernel, hash},
#include "guard/selftest_golden.def"
#undef CHECKBIT_GOLDEN
  };
  return kGolden;
}

std::vector<KernelAnswer> kernel_answers(const Kernels& kernels) {
  std::vector<KernelAnswer> answers;
  for (const ProductLine& line : kProductLines)
    answers.push_back({line.name, product_answer(kernels, line)});
  answers.push_back({"float_product f32", float_product_answer(kernels, FloatStorage::f32)});
  answers.push_back({"float_product f16", float_product_answer(kernels, FloatStorage::f16)});
  answers.push_back({"float_product bf16", float_product_answer(kernels, FloatStorage::bf16)});
  answers.push_back({"attend f16", attention_answer(kernels, CacheType::f16)});
  answers.push_back({"attend q8_0", attention_answer(kernels, CacheType::q8_0)});
  answers.push_back({"attend f32", attention_answer(kernels, CacheType::f32)});
  answers.push_back({"element-wise", elementwise_answer(kernels)});
  return answers;
}

SelftestResult run_selftest(std::span<const int> processors, std::span<const Isa> isas) {
  const auto start = std::chrono::steady_clock::now();
  SelftestResult result;
  for (const int processor : processors) test_processor(processor, isas, result);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

std::string describe_faults(const SelftestResult& result) {
  std::string text;
  for (const int processor : result.processors) {
    const auto of = [&](const SelftestFault& fault) { return fault.processor == processor; };
    const auto count = std::ranges::count_if(result.faults, of);
    if (count == 0) continue;
    const SelftestFault& first = *std::ranges::find_if(result.faults, of);
    text += fmt::format("{}processor {} gives wrong answers ({} on {}{})", text.empty() ? "" : ", ",
                        processor, first.kernel, to_string(first.isa),
                        count > 1 ? fmt::format(", and {} more", count - 1) : "");
  }
  return text;
}

}  // namespace checkbit
