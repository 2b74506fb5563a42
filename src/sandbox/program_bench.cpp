// What the box costs: one program in it and outside it. Goal: under 20 ms more than bare.
//   cmake --build build/release --target sandbox_bench && build/release/sandbox_bench

#include <benchmark/benchmark.h>

#include <cstdlib>

#include "sandbox/box.h"
#include "sandbox/self_check.h"

namespace checkbit {
namespace {

void run_boxed(benchmark::State& state, const ProgramRequest& request) {
  for (auto _ : state) {
    if (const auto outcome = run_in_box(request); !outcome.ok()) {
      state.SkipWithError(outcome.error().message.c_str());
    }
  }
}

void run_bare(benchmark::State& state, const char* command) {
  for (auto _ : state) {
    if (std::system(command) != 0) state.SkipWithError(command);
  }
}

void check(benchmark::State& state) {
  for (auto _ : state) {
    if (const auto status = try_to_break_out(); !status.ok()) {
      state.SkipWithError(status.error().message.c_str());
    }
  }
}

const ProgramRequest kPython = {.source = "1"};
const ProgramRequest kTrue = {.source = "", .argv = {"/usr/bin/true"}};

BENCHMARK_CAPTURE(run_boxed, python, kPython)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_bare, python, "/usr/bin/python3 -s -S -B -c 1")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_boxed, true, kTrue)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(run_bare, true, "/usr/bin/true")->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(check)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace checkbit

BENCHMARK_MAIN();
