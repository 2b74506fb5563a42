#include "measure/session_source.h"

namespace checkbit {

Status SessionSource::begin_window() {
  session_.cache().truncate(0);
  return {};
}

Result<std::span<const float>> SessionSource::read(std::span<const TokenId> tokens,
                                                   bool want_logits) {
  rows_.clear();
  CB_TRY_STATUS(session_.evaluate(tokens, want_logits ? Logits::all : Logits::none,
                                  [&](std::size_t, std::span<const float> row) -> Status {
                                    rows_.insert(rows_.end(), row.begin(), row.end());
                                    return {};
                                  }));
  return std::span<const float>(rows_);
}

}  // namespace checkbit
