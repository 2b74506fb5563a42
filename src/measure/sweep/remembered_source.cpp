#include "measure/sweep/remembered_source.h"

namespace checkbit {

Status RememberedSource::begin_window() {
  window_.clear();
  below_tokens_ = 0;
  return {};
}

/// Lets the model below read what was answered from memory.
Status RememberedSource::catch_up() {
  if (below_tokens_ == 0) CB_TRY_STATUS(below_.begin_window());
  const auto missed = std::span<const TokenId>(window_).subspan(below_tokens_);
  if (missed.empty()) return {};
  CB_TRY(const auto ignored, below_.read(missed, false));
  static_cast<void>(ignored);
  below_tokens_ = window_.size();
  return {};
}

LogitsView RememberedSource::view_of(const std::vector<float>& rows) const {
  const auto vocabulary = static_cast<std::int64_t>(vocabulary_size());
  return {rows.data(), static_cast<std::int64_t>(rows.size()) / vocabulary, vocabulary, vocabulary};
}

Result<LogitsView> RememberedSource::read(std::span<const TokenId> tokens, bool want_logits) {
  if (!want_logits) {  // read when it is needed, if ever
    window_.insert(window_.end(), tokens.begin(), tokens.end());
    return LogitsView{};
  }
  std::vector<TokenId> key = window_;
  key.insert(key.end(), tokens.begin(), tokens.end());
  if (const auto known = rows_.find(key);
      known != rows_.end() && known->second.size() == tokens.size() * vocabulary_size()) {
    window_ = std::move(key);
    remembered_tokens_ += tokens.size();
    return view_of(known->second);
  }
  CB_TRY_STATUS(catch_up());
  CB_TRY(const LogitsView rows, below_.read(tokens, true));
  window_ = key;
  below_tokens_ = window_.size();
  const auto floats = static_cast<std::size_t>(rows.rows * rows.vocabulary);
  if (held_bytes_ + floats * sizeof(float) > limit_bytes_) return rows;
  held_bytes_ += floats * sizeof(float);
  std::vector<float> copy;
  copy.reserve(floats);
  for (std::int64_t i = 0; i < rows.rows; ++i)
    copy.insert(copy.end(), rows.row(i).begin(), rows.row(i).end());
  return view_of(rows_.insert_or_assign(std::move(key), std::move(copy)).first->second);
}

}  // namespace checkbit
