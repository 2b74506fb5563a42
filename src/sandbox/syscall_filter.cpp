#include "sandbox/syscall_filter.h"

#include <linux/sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "sandbox/descriptor.h"

namespace checkbit {
namespace {

constexpr const char* kDenied[] = {
#define CHECKBIT_DENIED(name) #name,
#include "sandbox/denied_syscalls.def"
#undef CHECKBIT_DENIED
};

constexpr std::uint64_t kNewNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                         CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
constexpr std::uint64_t kLow32 = 0xffffffff;

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};

Error refused(const char* what, int code) {
  return fail(ErrorKind::unsupported, "system calls cannot be filtered here: {} ({})", what,
              std::strerror(-code));
}

/// Rules about arguments: what a call with these may not do, and may do otherwise.
Status add_argument_rules(scmp_filter_ctx filter) {
  const auto deny = [&](int call, scmp_arg_cmp argument) {
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 1, argument);
  };
  for (std::uint64_t bit = 1; bit <= kLow32; bit <<= 1) {
    if ((kNewNamespaces & bit) == 0) continue;
    if (const int code = deny(SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, bit, bit)); code < 0) {
      return refused("clone", code);
    }
  }
  // Typing into a terminal on behalf of whoever sits at it.
  for (const std::uint64_t request : {TIOCSTI, TIOCLINUX}) {
    const int code = deny(SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, kLow32, request));
    if (code < 0) return refused("ioctl", code);
  }
  // Pages of a shared mapping belong to no process: they stay, uncounted, when the one that filled
  // them is gone. Only files of the box, which has few and small ones, can be shared.
  constexpr std::uint64_t kKindOfMapping = MAP_TYPE | MAP_ANONYMOUS;
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mmap2)}) {
    const int code =
        deny(call, SCMP_A3(SCMP_CMP_MASKED_EQ, kKindOfMapping, MAP_SHARED | MAP_ANONYMOUS));
    if (call >= 0 && code < 0) return refused("mmap", code);
  }
  // Its flags lie in memory, out of a filter's sight. Libraries fall back on clone.
  const int code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
  return code < 0 ? Status(refused("clone3", code)) : Status();
}

Result<std::string> make_filter() {
  const std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_ALLOW));
  if (filter == nullptr) return refused("seccomp_init", -ENOMEM);
  if (const int code =
          seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
      code < 0) {
    return refused("processor check", code);
  }
  for (const char* name : kDenied) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call < 0) continue;  // not a call of this processor or of this library's time
    if (const int code = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0); code < 0) {
      return refused(name, code);
    }
  }
  CB_TRY_STATUS(add_argument_rules(filter.get()));
  const Descriptor file(memfd_create("filter", MFD_CLOEXEC));
  if (!file.is_open()) return refused("memfd_create", -errno);
  if (const int code = seccomp_export_bpf(filter.get(), file.get()); code < 0) {
    return refused("seccomp_export_bpf", code);
  }
  std::string bytes(static_cast<std::size_t>(lseek(file.get(), 0, SEEK_END)), '\0');
  if (pread(file.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return refused("reading it back", -EIO);
  }
  return bytes;
}

}  // namespace

Result<std::string> syscall_filter() {
  static const Result<std::string> filter = make_filter();
  return filter;
}

}  // namespace checkbit
