// A session as a source of logits for comparisons.
//
// What: adapts run/session.h to measure/compare.h. The session's sequence is restarted per window.
// Lifetime: the session must outlive the source. Threads: as the session.
#pragma once

#include "measure/compare.h"
#include "run/session.h"

namespace checkbit {

class SessionSource : public LogitsSource {
 public:
  explicit SessionSource(Session& session) : session_(session) {}
  std::string name() const override { return session_.file().path(); }
  std::size_t vocabulary_size() const override {
    return static_cast<std::size_t>(session_.model().hyperparameters().vocabulary);
  }
  Status begin_window() override;
  Result<std::span<const float>> read(std::span<const TokenId> tokens, bool want_logits) override;

 private:
  Session& session_;
  std::vector<float> rows_;
};

}  // namespace checkbit
