#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "base/machine_limits.h"
#include "base/processor.h"
#include "report/number.h"
#include "report/record.h"
#include "report/text.h"

#ifndef CHECKBIT_VERSION
#define CHECKBIT_VERSION "0.1.0"
#endif

namespace checkbit {
namespace {

constexpr std::size_t kMaxFactLength = 200;

std::string os_name() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    constexpr std::string_view kKey = "PRETTY_NAME=";
    if (!line.starts_with(kKey)) continue;
    std::string name = clean_line(std::string_view(line).substr(kKey.size(), kMaxFactLength));
    std::erase(name, '"');
    return name;
  }
  return "unknown";
}

std::string kernel_name() {
  utsname names{};
  if (uname(&names) != 0) return "unknown";
  return clean_line(std::string(names.sysname) + " " + names.release + " " + names.machine);
}

std::string simd_features() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  std::string features = "SSE2";
  if (__builtin_cpu_supports("avx2")) features += " AVX2";
  if (__builtin_cpu_supports("fma")) features += " FMA";
  if (__builtin_cpu_supports("avx512f")) features += " AVX-512F";
  if (__builtin_cpu_supports("avx512bw")) features += " AVX-512BW";
  if (__builtin_cpu_supports("avx512vnni")) features += " AVX-512VNNI";
  if (processor_has_tiles()) features += " AMX-INT8";
  return features;
#elif defined(__aarch64__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 ? "NEON DOTPROD" : "NEON";
#else
  return "none known";
#endif
}

std::string memory_total() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGE_SIZE);
  if (pages <= 0 || page_bytes <= 0) return "unknown";
  return print_quantity(static_cast<double>(pages) * static_cast<double>(page_bytes), "bytes");
}

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "unknown";
#endif
}

std::string utc_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  const std::size_t length = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, length};
}

}  // namespace

Environment describe_environment() {
  Environment facts;
  facts.emplace_back("checkbit", CHECKBIT_VERSION);
#ifdef CHECKBIT_REVISION
  facts.emplace_back("revision", CHECKBIT_REVISION);
#endif
  facts.emplace_back("processor", clean_line(processor_name().substr(0, kMaxFactLength)));
  facts.emplace_back("logical_cores", std::to_string(std::thread::hardware_concurrency()));
  const MachineLimits limits = machine_limits();
  facts.emplace_back("cpu_limit",
                     limits.processors ? print_quantity(*limits.processors, "cores") : "none");
  facts.emplace_back("instruction_sets", simd_features());
  facts.emplace_back("memory", memory_total());
  facts.emplace_back("memory_limit",
                     limits.memory_bytes
                         ? print_quantity(static_cast<double>(*limits.memory_bytes), "bytes")
                         : "none");
  facts.emplace_back("system", os_name() + ", " + kernel_name());
  facts.emplace_back("compiler", compiler());
  facts.emplace_back("time_utc", utc_time());
  return facts;
}

}  // namespace checkbit
