// Of many models and files at work only the progress of the trials is shown.
#pragma once

#include "base/progress.h"

namespace checkbit {

/// The sink while it lives: passes on what counts trials.
class TrialProgress : public ProgressSink {
 public:
  TrialProgress() : below_(set_progress_sink(this)) {}
  TrialProgress(const TrialProgress&) = delete;
  TrialProgress& operator=(const TrialProgress&) = delete;
  ~TrialProgress() override { set_progress_sink(below_); }
  void update(const ProgressState& state) override {
    if (below_ != nullptr && state.unit == "trials") below_->update(state);
  }

 private:
  ProgressSink* below_;
};

}  // namespace checkbit
