#include "sandbox/self_check.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace checkbit {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCanary = "canary: a program in the box must not see this\n";
constexpr const char* kDone = "all tried";

// Each line it prints before the last is an escape.
constexpr const char* kProbe = R"(
import ctypes, os, signal, socket, sys
canary, folder, host = sys.stdin.read().split('\n')[:3]

def escape(what, attempt):
    try:
        if attempt() is not False:
            print(what, flush=True)
    except (OSError, MemoryError):
        pass

def write(path):
    with open(path, 'a') as file:
        file.write('escaped')

def forks(most):
    ready, hold = os.pipe()
    children = []
    try:
        for _ in range(most + 8):
            child = os.fork()
            if child == 0:
                os.close(hold)
                os.read(ready, 1)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    os.close(hold)
    for child in children:
        os.waitpid(child, 0)
    return len(children) > most

def visible(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass

libc = ctypes.CDLL(None, use_errno=True)
escape('read a file of this machine', lambda: open(canary).read())
escape('wrote to a file of this machine', lambda: write(canary))
escape('made a file on this machine', lambda: write(folder + '/escaped'))
escape('wrote to /usr', lambda: write('/usr/escaped'))
escape('wrote to /', lambda: write('/escaped'))
escape('read /etc/passwd', lambda: open('/etc/passwd').read())
escape('saw /proc', lambda: len(os.listdir('/proc')) > 0)
escape('opened a network socket', lambda: socket.socket(socket.AF_INET))
escape('opened a local socket', lambda: socket.socket(socket.AF_UNIX))
escape('saw a process of this machine', lambda: visible(int(host)))
escape('made a namespace', lambda: libc.unshare(0x10000000) == 0)
escape('mounted a file system', lambda: libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0)
escape('became root', lambda: libc.setuid(0) == 0)
escape('took more memory than allowed', lambda: len(bytearray(1 << 30)) > 0)
escape('started more processes than allowed', lambda: forks(16))
escape('traced a process', lambda: libc.ptrace(0, 0, 0, 0) == 0)
print('all tried')
)";

/// A folder that everyone may write, so that nothing but the box protects what is in it.
class CanaryFolder {
 public:
  CanaryFolder() {
    std::error_code none;
    std::string pattern = (fs::temp_directory_path(none) / "checkbit-box-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) return;
    path_ = pattern;
    chmod(path_.c_str(), 0777);
    std::ofstream(file()) << kCanary;
    chmod(file().c_str(), 0666);
  }
  ~CanaryFolder() {
    std::error_code none;
    if (!path_.empty()) fs::remove_all(path_, none);
  }
  const std::string& path() const { return path_; }
  std::string file() const { return path_ + "/canary"; }
  bool untouched() const {
    std::ostringstream text;
    text << std::ifstream(file()).rdbuf();
    std::error_code none;
    return text.str() == kCanary && !fs::exists(path_ + "/escaped", none);
  }

 private:
  std::string path_;
};

}  // namespace

Status try_to_break_out(const BoxPolicy& policy) {
  const CanaryFolder canary;
  if (canary.path().empty()) {
    return fail(ErrorKind::io, "the check of the box needs a folder in {}, and cannot make one",
                fs::temp_directory_path().string());
  }
  ProgramRequest probe;
  probe.source = kProbe;
  probe.input = fmt::format("{}\n{}\n{}\n", canary.file(), canary.path(), getpid());
  probe.limits.memory_bytes = 256ULL << 20;
  probe.limits.processes = 16;
  CB_TRY(const ProgramOutcome outcome, run_in_box(probe, policy));
  const auto refuse = [](const std::string& why) {
    return fail(ErrorKind::unsupported,
                "programs cannot be contained here: a program in the box {}", why);
  };
  if (!canary.untouched()) return refuse("changed a file of this machine");
  if (!outcome.succeeded() || outcome.output != std::string(kDone) + "\n") {
    const std::string& words = outcome.output.empty() ? outcome.error_output : outcome.output;
    const std::string first = words.substr(0, words.find('\n'));
    if (outcome.succeeded()) return refuse(first);
    return refuse(fmt::format("did not get through the check (status {}, {}): {}",
                              outcome.exit_status, to_string(outcome.stop), first));
  }
  return {};
}

}  // namespace checkbit
