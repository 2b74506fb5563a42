// A source of logits that answers from memory what it has been asked before.
//
// What: many candidates are compared with one reference on the same windows; its logits of a window
//   are kept the first time, while there is room, and later candidates take them from here. The
//   model below runs only for what is not kept.
// Memory: `limit_bytes` of logits. Errors: those of the source below.
// Threads: as the source below.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "measure/logits_source.h"

namespace checkbit {

class RememberedSource : public LogitsSource {
 public:
  RememberedSource(LogitsSource& below, std::uint64_t limit_bytes)
      : below_(below), limit_bytes_(limit_bytes) {}

  std::string name() const override { return below_.name(); }
  std::size_t vocabulary_size() const override { return below_.vocabulary_size(); }
  Status begin_window() override;
  Result<LogitsView> read(std::span<const TokenId> tokens, bool want_logits) override;
  std::size_t max_logits() const override { return below_.max_logits(); }
  ThreadPool* pool() override { return below_.pool(); }

  /// Tokens whose logits were taken from memory.
  std::uint64_t remembered_tokens() const { return remembered_tokens_; }

 private:
  LogitsView view_of(const std::vector<float>& rows) const;
  Status catch_up();

  LogitsSource& below_;
  std::uint64_t limit_bytes_;
  std::uint64_t held_bytes_ = 0;
  std::uint64_t remembered_tokens_ = 0;
  /// By everything read in a window up to and with the chunk.
  std::map<std::vector<TokenId>, std::vector<float>> rows_;
  std::vector<TokenId> window_;   ///< read so far
  std::size_t below_tokens_ = 0;  ///< of them, those that the model below has read
};

}  // namespace checkbit
