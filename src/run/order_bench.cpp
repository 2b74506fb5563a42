// What the canonical order of sums costs: whole models with the kernels of the library beside the
// same kernels compiled free to add in any order (cmake/free_order.cmake), in one process.
//
// What: run/paired_bench.h.
// Use: run_bench MODEL .. (make bench-order), a file or a pulled name. CHECKBIT_ISA chooses the
//   instruction set.
// Exit status: 1 when a model does not open, or when both orders give the same bits, for then
//   nothing was compared.

#include <cstdio>
#include <filesystem>

#include "base/test_models.h"
#include "run/paired_bench.h"

namespace checkbit {

#define CHECKBIT_FREE_ORDER(isa, chains) \
  namespace free##chains##_##isa {       \
    Kernels make_kernels();              \
  }
CHECKBIT_FREE_ORDERS
#undef CHECKBIT_FREE_ORDER

namespace {

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
    compare_passes(canonical, other);
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
