// A session as a source of logits for comparisons.
//
// What: adapts run/session.h to measure/logits_source.h. The session's sequence is restarted per
//   window; rows of logits stay where the executor wrote them.
// Lifetime: the session must outlive the source. Threads: as the session.
#pragma once

#include <string>
#include <vector>

#include "measure/logits_source.h"
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
  Result<LogitsView> read(std::span<const TokenId> tokens, bool want_logits) override;
  std::size_t max_logits() const override {
    return static_cast<std::size_t>(session_.executor().max_logits());
  }
  ThreadPool* pool() override { return &session_.pool(); }

 private:
  Session& session_;
  std::vector<BatchToken> batch_;
};

}  // namespace checkbit
