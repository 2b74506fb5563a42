#include "measure/session_source.h"

#include <algorithm>

namespace checkbit {

Status SessionSource::begin_window() {
  session_.cache().truncate(0);
  return {};
}

Result<LogitsView> SessionSource::read(std::span<const TokenId> tokens, bool want_logits) {
  CB_CHECK(!want_logits || tokens.size() <= max_logits());
  const auto most = static_cast<std::size_t>(session_.executor().max_batch());
  LogitsView rows;
  for (std::size_t at = 0; at < tokens.size();) {
    const std::size_t count = std::min(most, tokens.size() - at);
    batch_.clear();
    for (const TokenId token : tokens.subspan(at, count)) {
      batch_.push_back({&session_.cache(), token, want_logits});
    }
    CB_TRY(rows, session_.executor().evaluate(batch_));
    at += count;
  }
  return rows;
}

}  // namespace checkbit
