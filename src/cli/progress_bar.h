// Draws progress on standard error.
//
// What: in a terminal one line that is redrawn in place, shown once an operation has taken two
//   seconds (at once when it is marked eager); nothing in a pipe, and nothing when quiet.
// Threads: the caller of update serialises (base/progress.h does).
#pragma once

#include <ostream>
#include <string>

#include "base/progress.h"
#include "cli/terminal.h"

namespace checkbit {

class ProgressBar : public ProgressSink {
 public:
  ProgressBar(std::ostream& err, Terminal terminal, bool quiet);
  ~ProgressBar() override { clear(); }
  void update(const ProgressState& state) override;
  /// Removes the line from the terminal.
  void clear();

  /// "pulling  ━━━━━━━━        45 %  44.1 MB of 98.0 MB  5.2 MB/s  0:10 left", at most the width.
  static std::string render(const ProgressState& state, const Terminal& terminal);

 private:
  std::ostream& err_;
  Terminal terminal_;
  bool quiet_;
  bool drawn_ = false;
};

}  // namespace checkbit
