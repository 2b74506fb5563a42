#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>

#include "base/progress.h"
#include "cli/run_cli.h"

namespace checkbit {
namespace {

volatile std::sig_atomic_t terminated = 0;

void on_interrupt(int signal) {
  if (signal == SIGTERM) terminated = 1;
  if (cancel_requested()) _exit(kExitStopped);
  request_cancel();
}

}  // namespace

bool termination_requested() { return terminated != 0; }

void install_interrupt_handlers() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // a blocked read returns, so that `chat` stops waiting for a line
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace checkbit
