// What a program in the box gets, how its end is told, and that nothing of it stays.

#include "sandbox/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "base/progress.h"
#include "sandbox/box.h"
#include "sandbox/self_check.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

ProgramRequest python(std::string source, std::string input = "") {
  ProgramRequest request;
  request.source = std::move(source);
  request.input = std::move(input);
  return request;
}

class Program : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto able = check_containment(); !able) GTEST_SKIP() << able.error().message;
  }
  static ProgramOutcome run(const ProgramRequest& request) {
    auto outcome = run_program(request);
    EXPECT_TRUE(outcome.ok()) << outcome.error().message;
    return outcome.ok() ? *outcome : ProgramOutcome{};
  }
};

TEST_F(Program, GetsItsInputAndGivesItsOutput) {
  const auto outcome =
      run(python("import sys\nprint(sys.stdin.read().upper())\n"
                 "print('oh', file=sys.stderr)\nsys.exit(3)\n",
                 "two\nlines"));
  EXPECT_EQ(outcome.output, "TWO\nLINES\n");
  EXPECT_EQ(outcome.error_output, "oh\n");
  EXPECT_EQ(outcome.exit_status, 3);
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.stop, ProgramStop::none);
  EXPECT_FALSE(outcome.succeeded());
  EXPECT_FALSE(outcome.output_cut);
  EXPECT_GT(outcome.seconds, 0);
  EXPECT_GT(outcome.cpu_seconds, 0);
}

TEST_F(Program, SucceedsWithStatusZero) { EXPECT_TRUE(run(python("print(1)")).succeeded()); }

TEST_F(Program, ErrorsOfPythonAreItsErrorOutput) {
  const auto outcome = run(python("assert 1 == 2, 'not equal'"));
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.error_output, HasSubstr("AssertionError: not equal"));
}

TEST_F(Program, SignalsAreTold) {
  const auto outcome = run(python("import os\nos.abort()"));
  EXPECT_EQ(outcome.signal, SIGABRT);
  EXPECT_EQ(outcome.error_output, "");  // the shell around it has nothing to say
}

TEST_F(Program, CommandsOfTheBoxRunToo) {
  ProgramRequest request;
  request.argv = {"/usr/bin/sort", "-n"};
  request.input = "10\n9\n";
  EXPECT_EQ(run(request).output, "9\n10\n");
}

TEST_F(Program, LargeInputIsNotADeadlock) {
  const std::string input(4 << 20, 'x');
  EXPECT_EQ(run(python("import sys\nprint(len(sys.stdin.read()))", input)).output,
            fmt::format("{}\n", input.size()));
}

TEST_F(Program, HasTheStandardLibraryAndScratchSpace) {
  EXPECT_EQ(
      run(python("import json, math, re, subprocess, tempfile, collections, heapq\n"
                 "with tempfile.NamedTemporaryFile('w') as f:\n"
                 "    f.write('x'); f.flush(); print(open(f.name).read())\n"
                 "print(subprocess.run(['/bin/echo', 'child'], capture_output=True).stdout)\n"))
          .output,
      "x\nb'child\\n'\n");
}

TEST_F(Program, SetsOfTextHaveOneOrder) {
  const auto request = python("print(set('abcdefgh'), hash('x'))");
  EXPECT_EQ(run(request).output, run(request).output);
}

TEST_F(Program, OutputIsCutAndSaysSo) {
  auto request = python("print('x' * 100000)");
  request.limits.kept_output_bytes = 1000;
  const auto outcome = run(request);
  EXPECT_EQ(outcome.output, std::string(1000, 'x'));
  EXPECT_TRUE(outcome.output_cut);
  EXPECT_TRUE(outcome.succeeded());
}

TEST_F(Program, LimitsStopIt) {
  auto sleeper = python("import time\ntime.sleep(100)");
  sleeper.limits.wall_seconds = 0.5;
  const auto slept = run(sleeper);
  EXPECT_EQ(slept.stop, ProgramStop::wall_time);
  EXPECT_LT(slept.seconds, 5);

  auto busy = python("while True: pass");
  busy.limits.cpu_seconds = 1;
  busy.limits.wall_seconds = 100;
  EXPECT_EQ(run(busy).stop, ProgramStop::cpu_time);

  const auto greedy = run(python("bytearray(2 << 30)"));
  EXPECT_EQ(greedy.exit_status, 1);
  EXPECT_THAT(greedy.error_output, HasSubstr("MemoryError"));
}

TEST_F(Program, LeavesNoDescriptorAndNoChild) {
  run(python("1"));
  const auto count = [] {
    const fs::directory_iterator entries("/proc/self/fd");
    return std::distance(begin(entries), end(entries));
  };
  const auto before = count();
  for (int i = 0; i < 5; ++i) run(python("1"));
  EXPECT_EQ(count(), before);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(Program, ManyAtOnceDoNotMix) {
  std::vector<std::thread> threads;
  std::vector<ProgramOutcome> outcomes(12);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    threads.emplace_back([&, i] {
      outcomes[i] = run(python("import sys, time\ntime.sleep(0.05)\nprint(sys.stdin.read())",
                               fmt::format("number {}", i)));
    });
  }
  for (auto& thread : threads) thread.join();
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    EXPECT_EQ(outcomes[i].output, fmt::format("number {}\n", i));
    EXPECT_EQ(outcomes[i].stop, ProgramStop::none);
  }
}

TEST_F(Program, CancelEndsItAtOnce) {
  const auto start = std::chrono::steady_clock::now();
  std::thread canceller([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    request_cancel();
  });
  const auto outcome = run_program(python("import time\ntime.sleep(100)"));
  canceller.join();
  clear_cancel();
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().message, cancelled_error().message);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(Program, WhatIsNoProgramIsRefused) {
  EXPECT_EQ(run_program({}).error().kind, ErrorKind::invalid);
  auto both = python("1");
  both.argv = {"/bin/true"};
  EXPECT_EQ(run_program(both).error().kind, ErrorKind::invalid);
  EXPECT_THAT(run_program(python(std::string(2 << 20, '#'))).error().message, HasSubstr("2097152"));
}

// The self check must be able to fail: each thing taken down is an escape that it finds.
TEST_F(Program, SelfCheckFindsEachEscape) {
  struct Case {
    BoxPolicy policy;
    const char* escape;
  };
  const Case cases[] = {
      {{.hides_files = false}, "a file of this machine"},
      {{.hides_files = false, .own_namespaces = false}, "a file of this machine"},
      {{.filters_calls = false}, "opened a network socket"},
      {{.limits = false, .watches = false}, "took more memory than allowed"},
  };
  for (const Case& c : cases) {
    const auto status = try_to_break_out(c.policy);
    ASSERT_FALSE(status.ok()) << c.escape;
    EXPECT_EQ(status.error().kind, ErrorKind::unsupported);
    EXPECT_THAT(status.error().message, HasSubstr(c.escape));
  }
  EXPECT_TRUE(try_to_break_out().ok());
}

/// From here on this process and its children can make no namespaces, as in many containers.
void forbid_namespaces() {
  const scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0);
  seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                   SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER));
  if (seccomp_load(filter) != 0) _exit(3);
  seccomp_release(filter);
}

// Runs everywhere: where nothing can be contained, nothing is run, and the message says what to do.
TEST(ProgramRefusal, WithoutNamespacesNothingRuns) {
  ASSERT_EXIT(
      {
        forbid_namespaces();
        const auto outcome = run_program(python("print('ran')"));
        if (outcome.ok()) _exit(1);
        std::fprintf(stderr, "%s: %s\n", to_string(outcome.error().kind),
                     outcome.error().message.c_str());
        _exit(0);
      },
      ::testing::ExitedWithCode(0),
      "unsupported: programs cannot be contained here: .*(sysctl|install)");
}

}  // namespace
}  // namespace checkbit
