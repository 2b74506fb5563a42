// What checked products cost: whole models with --guard=check and --guard=full beside the same
// without, in one process (run/paired_bench.h). Goals of `check`: 3 % of generation; of a prompt 4
// % where scale groups have integer sub-scales, 10 % where each has a binary16 scale. Use:
// guard_bench [--full] MODEL .. (make bench-guard), a file or a pulled name. CHECKBIT_ISA chooses
// the instruction set.
// Exit status: 1 when a model does not open, when the levels give other logits, when checks were
// not
//   made, or when a goal is missed.

#include <cstring>
#include <filesystem>

#include "base/test_models.h"
#include "run/paired_bench.h"

namespace checkbit {
namespace {

/// Whether most packed bytes have integer sub-scales: their product lines begin with "k".
bool has_sub_scales(const Model& model) {
  std::size_t with = 0, all = 0;
  for (const PackedMatrix* matrix : model.matrices()) {
    all += matrix->packed_bytes();
    if (matrix->kernel_name().starts_with("k")) with += matrix->packed_bytes();
  }
  return 2 * with > all;
}

Status run(const std::string& name, GuardLevel level) {
  const std::string path = std::filesystem::exists(name) ? name : pulled_model(name);
  CB_TRY(Session session, Session::open(path, {.context_tokens = 16, .guard = level}));
  const Kernels& kernels = kernels_for(session.isa());
  CB_TRY(Side guarded, Side::create(session, kernels, level));
  CB_TRY(Side off, Side::create(session, kernels));
  std::printf("%s, %s, %d threads: tokens a second with --guard=%s and without, cost\n",
              std::filesystem::path(path).stem().c_str(),
              std::string(to_string(session.isa())).c_str(), session.pool().size(),
              std::string(to_string(level)).c_str());
  const PassCosts costs = compare_passes(guarded, off);
  const GuardCounters& c = guarded.executor.guard_counters();
  std::printf("  %llu checks, %llu alarms\n", static_cast<unsigned long long>(c.checks),
              static_cast<unsigned long long>(c.alarms));
  if (guarded.logits != off.logits)
    return fail(ErrorKind::corrupt, "{}: other logits with checks", path);
  if (c.checks == 0 || c.alarms > 0)
    return fail(ErrorKind::corrupt, "{}: {} checks, {} alarms", path, c.checks, c.alarms);
  const double prompt_goal = has_sub_scales(session.model()) ? 4 : 10;
  if (level == GuardLevel::check && (costs.generation > 3 || costs.prompt > prompt_goal)) {
    return fail(ErrorKind::budget, "{}: generation costs {:.1f} %, goal 3; prompts {:.1f}, goal {}",
                path, costs.generation, costs.prompt, prompt_goal);
  }
  return {};
}

}  // namespace
}  // namespace checkbit

int main(int argc, char** argv) {
  int status = argc > 1 ? 0 : 2;
  checkbit::GuardLevel level = checkbit::GuardLevel::check;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--full") == 0) {
      level = checkbit::GuardLevel::full;
      continue;
    }
    if (const auto done = checkbit::run(argv[i], level); !done.ok()) {
      std::fprintf(stderr, "guard_bench: %s\n", done.error().message.c_str());
      status = 1;
    }
  }
  return status;
}
