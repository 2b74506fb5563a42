// A session as a probe sees it.
//
// What: adapts run/session.h to ProbeModel. A prompt that begins as the last one did is read from
//   where they part. Chat templates are rendered for one fixed day, so that answers do not change
//   with the calendar.
// Choices: tokenized apart from what stands before them, so that the context's tokens are the same
//   for every choice.
// Errors: those of the session; invalid for a choice without tokens; corrupt for logits that are
//   not finite.
// Lifetime: the session must outlive the model. Threads: as the session.
#pragma once

#include "measure/probes/probe.h"
#include "score/divergence.h"

namespace checkbit {

/// A good SessionOptions::max_logits for probes.
inline constexpr std::int64_t kProbeLogits = 96;

class SessionModel : public ProbeModel {
 public:
  explicit SessionModel(Session& session);
  std::string name() const override;
  Session* session() override { return &session_; }
  Result<ChoiceScores> choose(const Question& question) override;
  Result<std::vector<ChoiceScores>> follow(std::span<const Gap> gaps) override;
  Result<std::string> answer(const Question& question, std::int64_t max_tokens) override;

 private:
  struct FilledText {
    std::vector<BatchToken> batch;              ///< logits are wanted before each gap
    std::vector<std::vector<TokenId>> choices;  ///< of each gap
  };
  Result<FilledText> fill(std::span<const Gap> gaps);
  Result<RowSummary> summarize(std::span<const float> logits) const;
  Result<std::vector<TokenId>> tokens_of(const Question& question) const;
  std::vector<TokenId> continued(std::string_view text) const;
  Result<std::vector<TokenId>> choice_tokens(const std::string& choice) const;
  Status read_prompt(std::span<const TokenId> prompt);
  using RowCallback = std::function<void(std::size_t row, std::span<const float> logits,
                                         const RowSummary& summary)>;
  Status evaluate(std::span<const BatchToken> batch, const RowCallback& row);
  Result<ChoiceScores> score_endings(const std::vector<std::vector<TokenId>>& endings);
  Status check_room(std::int64_t tokens) const;

  Session& session_;
  std::vector<TokenId> read_;  ///< what the cache holds
  std::vector<float> last_;    ///< logits after it
};

}  // namespace checkbit
