// What the canonical order of sums costs: whole models with the kernels of the library beside the
// same kernels compiled free to add in any order (cmake/free_order.cmake), in one process.
//
// What: both run over one copy of the weights and take turns, pass by pass, so that what changes on
//   the machine meets both. A cost is the median over rounds of canonical seconds / free seconds -
//   1 with its 95 % interval. Three passes: a part of a prompt; tokens one at a time at the start
//   of a context, where weights count most; and at its end, where keys and values count too.
// Use: run_bench MODEL .. (make bench-order), a file or a pulled name. CHECKBIT_ISA chooses the
// instruction set,
//   CHECKBIT_ORDER_SECONDS the time for each figure (10).
// Exit status: 1 when a model does not open, or when both orders give the same bits, for then
//   nothing was compared.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/test_models.h"
#include "run/session.h"

namespace checkbit {

#define CHECKBIT_FREE_ORDER(isa, chains) \
  namespace free##chains##_##isa {       \
    Kernels make_kernels();              \
  }
CHECKBIT_FREE_ORDERS
#undef CHECKBIT_FREE_ORDER

namespace {

constexpr std::int64_t kPromptTokens = 256;
constexpr std::int64_t kGenerated = 4;
constexpr std::int64_t kDeep = 4096;

/// Kernels that may add in any order, and how many chains their sums run in.
struct FreeOrder {
  int chains;
  Kernels kernels;
};

std::vector<FreeOrder> free_orders(Isa isa) {
  std::vector<FreeOrder> orders;
#define CHECKBIT_FREE_ORDER(name, chains) \
  if (isa == Isa::name) orders.push_back({chains, free##chains##_##name::make_kernels()});
  CHECKBIT_FREE_ORDERS
#undef CHECKBIT_FREE_ORDER
  return orders;
}

double seconds(auto&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// One order of sums.
struct Side {
  Executor executor;
  KvCache cache;
  std::vector<float> logits;  ///< of the last token

  static Result<Side> create(Session& session, const Kernels& kernels) {
    CB_TRY(Executor executor,
           Executor::create(session.model(), kernels, session.pool(), kPromptTokens, 1));
    CB_TRY(KvCache cache, KvCache::create(session.model().hyperparameters(), kDeep));
    Side side{std::move(executor), std::move(cache), {}};
    // A deep context need not mean anything, only be there: small numbers of binary16.
    constexpr int kSmall = 0x29;
    std::memset(side.cache.keys(0, 0), kSmall,
                KvCache::bytes_for(session.model().hyperparameters(), kDeep, side.cache.type()));
    side.deepen();
    return side;
  }
  /// To the end of the context.
  void deepen() { cache.extend(kDeep - cache.length()); }
  void pass(std::int64_t position, std::int64_t tokens) {
    std::vector<BatchToken> batch;
    for (std::int64_t i = 0; i < tokens; ++i) {
      batch.push_back(
          {&cache, static_cast<std::int32_t>((position + i) * 37 % 251 + 3), i + 1 == tokens});
    }
    const auto row = executor.evaluate(batch);
    CB_CHECK(row.ok());
    logits.assign(row->row(0).begin(), row->row(0).end());
  }
  double prompt() {
    cache.truncate(0);
    return seconds([&] { pass(0, kPromptTokens); });
  }
  /// Precondition: the cache reaches there; it does when generation at the end comes first.
  double generate(std::int64_t position) {
    cache.truncate(position);
    return seconds([&] {
      for (std::int64_t i = 0; i < kGenerated; ++i) pass(position + i, 1);
    });
  }
};

/// Middle of the values and its 95 % interval, between two of them in order.
struct Median {
  double value, low, high;
  explicit Median(std::vector<double> values) {
    std::ranges::sort(values);
    const std::size_t n = values.size();
    const double half = static_cast<double>(n) / 2;
    const auto rank =
        static_cast<std::size_t>(std::max(1.0, half - 1.96 * std::sqrt(half / 2))) - 1;
    value = (values[(n - 1) / 2] + values[n / 2]) / 2;
    low = values[rank];
    high = values[n - 1 - rank];
  }
};

double enough_seconds() {
  const char* text = std::getenv("CHECKBIT_ORDER_SECONDS");
  return text == nullptr ? 10 : std::atof(text);
}

/// One line of the table. `measure` gives the seconds of a pass of a side.
void compare(Side& canonical, Side& other, const char* what, std::int64_t tokens, auto&& measure) {
  constexpr std::size_t kLeastRounds = 6;  // fewer have no interval
  measure(canonical);
  measure(other);
  std::vector<double> costs, canonical_speeds, free_speeds;
  double spent = 0;
  while (spent < enough_seconds() || costs.size() < kLeastRounds) {
    const bool canonical_first = costs.size() % 2 == 0;
    double first = measure(canonical_first ? canonical : other);
    double second = measure(canonical_first ? other : canonical);
    if (!canonical_first) std::swap(first, second);
    spent += first + second;
    costs.push_back(100 * (first / second - 1));
    canonical_speeds.push_back(static_cast<double>(tokens) / first);
    free_speeds.push_back(static_cast<double>(tokens) / second);
  }
  const Median cost(costs);
  std::printf("  %-34s %9.1f %9.1f  %+6.2f %% (%+.2f to %+.2f), %zu pairs\n", what,
              Median(canonical_speeds).value, Median(free_speeds).value, cost.value, cost.low,
              cost.high, costs.size());
  std::fflush(stdout);
}

Status run(const std::string& name) {
  const std::string path = std::filesystem::exists(name) ? name : pulled_model(name);
  CB_TRY(Session session, Session::open(path, {.context_tokens = 16}));
  const auto orders = free_orders(session.isa());
  if (orders.empty()) {
    return fail(ErrorKind::unsupported, "no kernels of another order for {}; set CHECKBIT_ISA",
                to_string(session.isa()));
  }
  CB_TRY(Side canonical, Side::create(session, kernels_for(session.isa())));
  for (const FreeOrder& order : orders) {
    std::printf(
        "%s, %s, %d threads, %d chains: tokens a second in canonical "
        "and free order, cost\n",
        std::filesystem::path(path).stem().c_str(), std::string(to_string(session.isa())).c_str(),
        session.pool().size(), order.chains);
    CB_TRY(Side other, Side::create(session, order.kernels));
    canonical.deepen();
    compare(canonical, other, "generation at 4,096 tokens", kGenerated,
            [](Side& side) { return side.generate(kDeep - kGenerated); });
    compare(canonical, other, "generation", kGenerated,
            [](Side& side) { return side.generate(kPromptTokens); });
    compare(canonical, other, "prompt of 256", kPromptTokens,
            [](Side& side) { return side.prompt(); });
    if (order.chains > 1 && canonical.logits == other.logits)
      return fail(ErrorKind::corrupt, "{}: both orders gave the same bits", path);
  }
  return {};
}

}  // namespace
}  // namespace checkbit

int main(int argc, char** argv) {
  int status = argc > 1 ? 0 : 2;
  for (int i = 1; i < argc; ++i) {
    if (const auto done = checkbit::run(argv[i]); !done.ok()) {
      std::fprintf(stderr, "run_bench: %s\n", done.error().message.c_str());
      status = 1;
    }
  }
  return status;
}
