// What checked products cost: whole models with --guard=check and --guard=full beside the same
// without, in one process (run/paired_bench.h). Goals of `check`: 3 % of generation; of a prompt 4
// % where scale groups have integer sub-scales, 10 % where each has a binary16 scale. Use:
// guard_bench [--full] MODEL .. (make bench-guard), a file or a pulled name. CHECKBIT_ISA chooses
// the instruction set.
// Exit status: 1 when a model does not open, when the levels give other logits, or when checks were
//   not made.

#include <cstring>
#include <filesystem>

#include "base/test_models.h"
#include "run/paired_bench.h"

namespace checkbit {
namespace {

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
  compare_passes(guarded, off);
  const GuardCounters& c = guarded.executor.guard_counters();
  std::printf("  %llu checks, %llu alarms\n", static_cast<unsigned long long>(c.checks),
              static_cast<unsigned long long>(c.alarms));
  if (guarded.logits != off.logits)
    return fail(ErrorKind::corrupt, "{}: other logits with checks", path);
  if (c.checks == 0 || c.alarms > 0)
    return fail(ErrorKind::corrupt, "{}: {} checks, {} alarms", path, c.checks, c.alarms);
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
