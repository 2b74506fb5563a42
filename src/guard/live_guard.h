// Stands guard over the memory of an open session: verified all the time, mended while it serves.
//
// What: checks and parity over everything that is only read once a model is loaded: packed weights,
//   norms and biases, rotary frequencies, the program's own code and tables; rows of the embedding
//   table are verified at each look-up (guarded_rows.h). A scrubber walks the first four
//   (scrub.h); the exact check of products asks for the panels it doubts. Keys, values and steps
//   are the executor's to guard (arch/executor_memory_guard.cpp).
// Errors: memory. What cannot be mended fails the next evaluation, by name.
// Lifetime: `attach_guard` gives the guard to the session, which ends it before anything it guards.
// Threads: makes the scrubber's. Preconditions: as for the session: nobody evaluates meanwhile.
#pragma once

#include <string>

#include "guard/scrub.h"
#include "run/session.h"

namespace checkbit {

struct LiveGuardOptions {
  ScrubOptions scrub;
  bool program = true;  ///< guard the program's code and tables too
};

/// Precondition: the session was opened with a guard level other than off, and has no guard yet.
Status attach_guard(Session& session, const LiveGuardOptions& options = {});

/// What a guard of this session covers beside the executor's: for the coverage table.
struct GuardedExtent {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t extra_bytes = 0;
  bool at_each_use = false;  ///< verified when it is read; else by the scrubber
};

/// A guard of a session, and what it covers.
class LiveGuard : public SessionGuard {
 public:
  static Result<std::unique_ptr<LiveGuard>> create(Session& session,
                                                   const LiveGuardOptions& options);
  ~LiveGuard() override;

  LiveCounters counters() const override;
  void scrub() override;
  std::vector<GuardedExtent> extents() const;
  /// For fault injection; null when there is none of that name.
  GuardedSpan* span(std::string_view name);

 private:
  struct Impl;
  explicit LiveGuard(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace checkbit
