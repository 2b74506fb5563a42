#include "quantize/round_estimate.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "base/random.h"

namespace checkbit {
namespace {

/// Seconds of one call, of a few the fastest.
template <class F>
double seconds_of(F&& f) {
  double least = 1e9;
  for (int i = 0; i < 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    least = std::min(least, taken.count());
  }
  return least;
}

double seconds_per_product() {
  constexpr std::int64_t kSize = 192;
  std::vector<float> a(kSize * kSize, 0.5f), c(a);
  return seconds_of([&] {
           add_products({a.data(), kSize}, {a.data(), kSize}, kSize, c.data(), kSize, kSize, kSize);
         }) /
         static_cast<double>(kSize * kSize * kSize);
}

double seconds_per_weight(const Format& format) {
  const std::size_t blocks = 1024 / static_cast<std::size_t>(format.block_elements);
  std::vector<float> values(1024);
  Random random(1);
  for (float& v : values) v = random.uniform_float() + random.uniform_float() - 1;
  std::vector<std::uint8_t> out(blocks * static_cast<std::size_t>(format.block_bytes));
  return seconds_of([&] { format.encode(values.data(), blocks, values.data(), out.data()); }) /
         1024;
}

}  // namespace

double estimate_rounding_seconds(const Plan& plan, const RoundingMethod& method,
                                 const RoundingOptions& options, std::uint64_t tokens,
                                 int threads) {
  double products = 0, encoding = 0;
  const auto text = static_cast<double>(tokens);
  const double sweeps = method.sweeps > 0 ? options.sweeps : 0;
  std::map<const Format*, double> speed;
  std::set<std::pair<std::int64_t, std::uint64_t>> inputs;  // by layer and width
  for (const TensorPlan& t : plan.tensors) {
    if (!is_quantizable(t)) continue;
    const auto n = static_cast<double>(t.source->info.columns());
    const auto elements = static_cast<double>(t.source->info.elements());
    if (method.uses_moments && role_info(t.role).per_layer()) {
      products += text * elements * (method.follows_drift ? 3 : 1);
      // Matrices that share an input mostly have its width; two inputs of one width count once.
      if (inputs.emplace(t.layer, t.source->info.columns()).second)
        products += text * n * n * (method.follows_drift ? 1.5 : 0.5) + n * n * n / 6;
    }
    if (t.format == t.source->info.format || !takes_feedback(*t.format)) continue;
    if (method.uses_moments)
      products += elements * n * (0.5 + sweeps + (method.follows_drift ? 2 : 0));
    const auto known = speed.try_emplace(t.format, 0).first;
    if (known->second == 0) known->second = seconds_per_weight(*t.format);
    encoding += elements * known->second * (1 + sweeps);
  }
  return (products * seconds_per_product() + encoding) / threads;
}

}  // namespace checkbit
