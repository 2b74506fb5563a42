// The hostile programs of tests/data/hostile, each in the box and, as a control, most of them in a
// box with something taken down, where they must succeed: a test that cannot fail shows nothing.
//
// A program says "BREACHED" when it got what it must not have; beside that the machine is looked at
// from outside. Lines at a program's head: "# weak:" what is taken down for the control (files
// namespaces syscalls limits watch), "# ends:" the words of ProgramStop it must be stopped with.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "sandbox/box.h"
#include "sandbox/descriptor.h"
#include "sandbox/program.h"

namespace checkbit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kCanary = "as it was\n";
constexpr std::size_t kPromisedPrograms = 60;

std::string read_text(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

fs::path folder_of_programs() { return fs::path(CHECKBIT_SOURCE_DIR) / "tests/data/hostile"; }

struct Hostile {
  std::string name;
  std::string source;
  std::string weak;
  std::string ends;
};

void PrintTo(const Hostile& program, std::ostream* out) { *out << program.name; }

std::vector<Hostile> hostile_programs() {
  const std::string prelude = read_text(folder_of_programs() / "prelude.txt");
  std::vector<Hostile> programs;
  for (const auto& entry : fs::directory_iterator(folder_of_programs())) {
    if (entry.path().extension() != ".py") continue;
    Hostile program{entry.path().stem().string(), "", "", ""};
    const std::string text = read_text(entry.path());
    program.source = prelude + text;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line) && line.starts_with("#");) {
      if (line.starts_with("# weak: ")) program.weak = line.substr(8);
      if (line.starts_with("# ends: ")) program.ends = line.substr(8);
    }
    programs.push_back(std::move(program));
  }
  std::sort(programs.begin(), programs.end(),
            [](const Hostile& a, const Hostile& b) { return a.name < b.name; });
  return programs;
}

/// The machine outside: a file, ports and names that anyone may use, so that only the box protects
/// them.
class Outside {
 public:
  Outside() {
    std::string pattern = (fs::temp_directory_path() / "checkbit-outside-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    chmod(folder_.c_str(), 0777);
    std::ofstream(canary()) << kCanary;
    chmod(canary().c_str(), 0666);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    tcp_ = listening(AF_INET, SOCK_STREAM, any, sizeof any);
    socklen_t size = sizeof any;
    getsockname(tcp_.get(), reinterpret_cast<sockaddr*>(&any), &size);
    port_ = ntohs(any.sin_port);
    udp_ = listening(AF_INET, SOCK_DGRAM, any, sizeof any);
    sockaddr_un path{};
    path.sun_family = AF_UNIX;
    socket_path().copy(path.sun_path, sizeof path.sun_path - 1);
    local_ = listening(AF_UNIX, SOCK_STREAM, path, sizeof path);
    chmod(socket_path().c_str(), 0777);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    abstract().copy(name.sun_path + 1, sizeof name.sun_path - 2);
    abstract_ = listening(AF_UNIX, SOCK_STREAM, name,
                          offsetof(sockaddr_un, sun_path) + 1 + abstract().size());
  }
  ~Outside() { fs::remove_all(folder_); }

  std::string canary() const { return folder_ + "/canary"; }
  std::string socket_path() const { return folder_ + "/socket"; }
  std::string abstract() const { return "checkbit-" + folder_.substr(folder_.size() - 6); }

  std::string facts(const ProgramLimits& limits) const {
    const char* variable = std::getenv("HOME");
    const std::string home = variable == nullptr ? "/root" : variable;
    return nlohmann::json{{"canary", canary()},
                          {"folder", folder_},
                          {"socket", socket_path()},
                          {"abstract", abstract()},
                          {"port", port_},
                          {"pid", getpid()},
                          {"parent", getppid()},
                          {"home", home == "/tmp" ? "/root" : home},
                          {"processes", limits.processes},
                          {"open_files", limits.open_files},
                          {"memory_bytes", limits.memory_bytes},
                          {"file_bytes", limits.file_bytes},
                          {"scratch_bytes", limits.scratch_bytes}}
        .dump();
  }

  /// What differs from how it was; empty: nothing.
  std::string damage() const {
    std::string found;
    if (read_text(canary()) != kCanary) found += "the canary changed; ";
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.path() != canary() && entry.path() != socket_path()) {
        found += entry.path().filename().string() + " appeared; ";
      }
    }
    char byte;
    if (accept(tcp_.get(), nullptr, nullptr) >= 0) found += "a connection came; ";
    if (recv(udp_.get(), &byte, 1, 0) >= 0) found += "a datagram came; ";
    if (accept(local_.get(), nullptr, nullptr) >= 0) found += "a local connection came; ";
    if (accept(abstract_.get(), nullptr, nullptr) >= 0) found += "an abstract connection came; ";
    return found;
  }

 private:
  template <class Address>
  static Descriptor listening(int family, int kind, const Address& address, std::size_t size) {
    Descriptor result(socket(family, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int bound = bind(result.get(), reinterpret_cast<const sockaddr*>(&address),
                           static_cast<socklen_t>(size));
    EXPECT_EQ(bound, 0) << strerror(errno);
    if (kind == SOCK_STREAM) listen(result.get(), 8);
    return result;
  }

  std::string folder_;
  int port_ = 0;
  Descriptor tcp_, udp_, local_, abstract_;
};

/// Processes whose process namespace is this one.
std::size_t processes_in(std::uint64_t process_namespace) {
  std::size_t count = 0;
  const std::string wanted = fmt::format("pid:[{}]", process_namespace);
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::error_code gone;
    const auto target = fs::read_symlink(entry.path() / "ns/pid", gone);
    count += !gone && target == wanted ? 1 : 0;
  }
  return count;
}

ProgramRequest request_for(const Hostile& program, const Outside& outside) {
  ProgramRequest request;
  request.source = program.source;
  request.limits.memory_bytes = 256ULL << 20;
  request.limits.processes = 32;
  request.limits.cpu_seconds = 1;
  request.limits.most_output_bytes = 4ULL << 20;
  // Those that wait for the end of their time get little of it, the others enough for a busy
  // machine.
  const bool waits = program.ends == "out of time" || program.ends == "out of";
  request.limits.wall_seconds = waits ? 3 : 60;
  request.input = outside.facts(request.limits);
  return request;
}

class HostileProgram : public ::testing::TestWithParam<Hostile> {
 protected:
  void SetUp() override {
    if (const auto able = check_containment(); !able) GTEST_SKIP() << able.error().message;
    setenv("CHECKBIT_SECRET", "of this machine", 1);
  }
};

TEST_P(HostileProgram, IsContained) {
  const Hostile& program = GetParam();
  const Outside outside;
  const ProgramRequest request = request_for(program, outside);
  const auto start = std::chrono::steady_clock::now();
  const auto outcome = run_program(request);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_THAT(outcome->output, Not(HasSubstr("BREACHED")));
  EXPECT_THAT(outcome->output, HasSubstr("TRIED")) << outcome->error_output;
  EXPECT_THAT(to_string(outcome->stop), HasSubstr(program.ends));
  EXPECT_LT(elapsed.count(), request.limits.wall_seconds + 3);
  EXPECT_LE(outcome->output.size(), request.limits.kept_output_bytes);
  EXPECT_LE(outcome->error_output.size(), request.limits.kept_output_bytes);
  EXPECT_LT(outcome->peak_bytes, 4 * request.limits.memory_bytes);
  ASSERT_NE(outcome->process_namespace, 0u);
  EXPECT_EQ(processes_in(outcome->process_namespace), 0u);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
  if (program.name == "daemon") std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  EXPECT_EQ(outside.damage(), "");
}

INSTANTIATE_TEST_SUITE_P(All, HostileProgram, ::testing::ValuesIn(hostile_programs()),
                         [](const auto& program) { return program.param.name; });

class WeakBox : public HostileProgram {};

TEST_P(WeakBox, LetsItOut) {
  const Hostile& program = GetParam();
  const auto down = [&](const char* what) { return program.weak.find(what) != std::string::npos; };
  BoxPolicy policy;
  policy.hides_files = !down("files");
  policy.own_namespaces = !down("namespaces");
  policy.filters_calls = !down("syscalls");
  policy.limits = !down("limits");
  policy.watches = !down("watch");
  const Outside outside;
  ProgramRequest request = request_for(program, outside);
  request.limits.wall_seconds = 10;
  const auto outcome = run_in_box(request, policy);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  if (program.name == "daemon") std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  const bool breached = outcome->output.find("BREACHED") != std::string::npos;
  EXPECT_TRUE(breached || !outside.damage().empty())
      << outcome->output << outcome->error_output << to_string(outcome->stop);
}

std::vector<Hostile> with_control() {
  std::vector<Hostile> programs = hostile_programs();
  std::erase_if(programs, [](const Hostile& program) { return program.weak.empty(); });
  return programs;
}

INSTANTIATE_TEST_SUITE_P(Control, WeakBox, ::testing::ValuesIn(with_control()),
                         [](const auto& program) { return program.param.name; });

TEST(HostilePrograms, AreAllThere) {
  const auto programs = hostile_programs();
  EXPECT_GE(programs.size(), kPromisedPrograms);
  EXPECT_GE(with_control().size(), programs.size() / 2);
  for (const Hostile& program : programs) {
    EXPECT_THAT(program.source, HasSubstr("tried()")) << program.name;
  }
}

}  // namespace
}  // namespace checkbit
