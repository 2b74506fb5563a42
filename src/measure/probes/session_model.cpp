#include "measure/probes/session_model.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/progress.h"
#include "run/generate.h"

namespace checkbit {
namespace {

/// For templates that print the date: 2025-01-01.
constexpr std::int64_t kTemplateDay = 1735689600;

std::size_t index_of(TokenId token) { return static_cast<std::size_t>(token); }

std::size_t common_length(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

/// How many tokens from the start one pass can take.
std::size_t pass_length(std::span<const BatchToken> batch, const Executor& executor) {
  std::size_t count = 0;
  std::int64_t wanted = 0;
  while (count < batch.size() && static_cast<std::int64_t>(count) < executor.max_batch()) {
    wanted += batch[count].wants_logits ? 1 : 0;
    if (wanted > executor.max_logits()) break;
    ++count;
  }
  return count;
}

}  // namespace

SessionModel::SessionModel(Session& session) : session_(session) { session_.cache().truncate(0); }

std::string SessionModel::name() const {
  return std::filesystem::path(session_.file().path()).stem().string();
}

Result<RowSummary> SessionModel::summarize(std::span<const float> logits) const {
  const RowSummary row = summarize_row(logits);
  if (row.finite) return row;
  return fail(ErrorKind::corrupt, "{}: the model's logits are not finite: the file is broken",
              session_.file().path());
}

Status SessionModel::check_room(std::int64_t tokens) const {
  if (tokens <= session_.context_tokens()) return {};
  return fail(ErrorKind::invalid,
              "{}: {} tokens do not fit into the context of {}; use --context N", name(), tokens,
              session_.context_tokens());
}

std::vector<TokenId> SessionModel::continued(std::string_view text) const {
  return session_.tokenizer().encode(text, {.add_special = false});
}

Result<std::vector<TokenId>> SessionModel::choice_tokens(const std::string& choice) const {
  std::vector<TokenId> tokens = continued(choice);
  if (tokens.empty()) return fail(ErrorKind::invalid, "{}: a choice has no tokens", name());
  return tokens;
}

Result<std::vector<TokenId>> SessionModel::tokens_of(const Question& question) const {
  const Tokenizer& tokenizer = session_.tokenizer();
  std::vector<TokenId> tokens;
  if (!question.chat) {
    tokens = tokenizer.encode(question.prompt + question.begin);
  } else if (session_.chat_template_source() == nullptr) {
    tokens =
        tokenizer.encode("### User:\n" + question.prompt + "\n\n### Assistant:\n" + question.begin);
  } else {
    const nlohmann::ordered_json messages = {{{"role", "user"}, {"content", question.prompt}}};
    CB_TRY(const std::string rendered, session_.render_chat(messages, kTemplateDay));
    tokens = tokenizer.encode(rendered, {.add_special = false, .parse_special = true});
    std::ranges::copy(continued(question.begin), std::back_inserter(tokens));
  }
  if (tokens.empty()) return fail(ErrorKind::invalid, "{}: a prompt has no tokens", name());
  return tokens;
}

/// Leaves the prompt in the cache and the logits after it in `last_`.
Status SessionModel::read_prompt(std::span<const TokenId> prompt) {
  std::size_t kept = std::min(common_length(prompt, read_), prompt.size() - 1);
  kept = std::min(kept, static_cast<std::size_t>(session_.cache().length()));
  session_.cache().truncate(static_cast<std::int64_t>(kept));
  read_.assign(prompt.begin(), prompt.end());
  return session_.evaluate(prompt.subspan(kept), Logits::last,
                           [&](std::size_t, std::span<const float> row) -> Status {
                             last_.assign(row.begin(), row.end());
                             return {};
                           });
}

/// Calls `row` with the logits of each token that wants them, in order.
Status SessionModel::evaluate(std::span<const BatchToken> batch, const RowCallback& row) {
  Executor& executor = session_.executor();
  std::size_t rows = 0;
  for (std::size_t at = 0; at < batch.size();) {
    if (cancel_requested()) return cancelled_error();
    const std::size_t count = pass_length(batch.subspan(at), executor);
    CB_TRY(const LogitsView logits, executor.evaluate(batch.subspan(at, count)));
    for (std::int64_t r = 0; r < logits.rows; ++r) {
      CB_TRY(const RowSummary summary, summarize(logits.row(r)));
      row(rows++, logits.row(r), summary);
    }
    at += count;
  }
  return {};
}

/// Likelihood of each ending after what is read. Endings run side by side on copies of the cache.
Result<ChoiceScores> SessionModel::score_endings(const std::vector<std::vector<TokenId>>& endings) {
  KvCache& cache = session_.cache();
  CB_TRY(const RowSummary first, summarize(last_));
  ChoiceScores scores;
  std::vector<KvCache> copies;
  copies.reserve(endings.size());
  std::vector<BatchToken> batch;
  std::vector<std::pair<std::size_t, TokenId>> predicted;  // ending and token, for each of batch
  for (const std::vector<TokenId>& ending : endings) {
    CB_TRY_STATUS(check_room(static_cast<std::int64_t>(ending.size()) - 1 + cache.length()));
    scores.push_back({log_probability(last_, first, index_of(ending.front())), ending.size()});
    if (ending.size() == 1) continue;
    CB_TRY(KvCache copy, cache.fork(cache.length()));
    copies.push_back(std::move(copy));
    for (std::size_t i = 0; i + 1 < ending.size(); ++i) {
      batch.push_back({&copies.back(), ending[i], true});
      predicted.emplace_back(scores.size() - 1, ending[i + 1]);
    }
  }
  CB_TRY_STATUS(
      evaluate(batch, [&](std::size_t i, std::span<const float> row, const RowSummary& summary) {
        const auto [ending, token] = predicted[i];
        scores[ending].log_likelihood += log_probability(row, summary, index_of(token));
      }));
  return scores;
}

Result<ChoiceScores> SessionModel::choose(const Question& question) {
  CB_TRY(const std::vector<TokenId> prompt, tokens_of(question));
  CB_TRY_STATUS(read_prompt(prompt));
  std::vector<std::vector<TokenId>> endings;
  for (const std::string& choice : question.choices) {
    CB_TRY(std::vector<TokenId> ending, choice_tokens(choice));
    endings.push_back(std::move(ending));
  }
  return score_endings(endings);
}

/// The text of all gaps, each filled, and the first tokens of what could fill them.
Result<SessionModel::FilledText> SessionModel::fill(std::span<const Gap> gaps) {
  FilledText text;
  for (const Gap& gap : gaps) {
    const std::vector<TokenId> before =
        text.batch.empty() ? session_.tokenizer().encode(gap.before) : continued(gap.before);
    for (const TokenId token : before) text.batch.push_back({&session_.cache(), token, false});
    if (text.batch.empty()) return fail(ErrorKind::invalid, "{}: a text has no tokens", name());
    text.batch.back().wants_logits = true;
    text.choices.emplace_back();
    for (const std::string& choice : gap.choices) {
      CB_TRY(const std::vector<TokenId> tokens, choice_tokens(choice));
      text.choices.back().push_back(tokens.front());
    }
    for (const TokenId token : continued(gap.choices[gap.right]))
      text.batch.push_back({&session_.cache(), token, false});
  }
  CB_TRY_STATUS(check_room(static_cast<std::int64_t>(text.batch.size())));
  return text;
}

Result<std::vector<ChoiceScores>> SessionModel::follow(std::span<const Gap> gaps) {
  session_.cache().truncate(0);
  read_.clear();
  CB_TRY(const FilledText text, fill(gaps));
  std::vector<ChoiceScores> all;
  CB_TRY_STATUS(evaluate(
      text.batch, [&](std::size_t gap, std::span<const float> row, const RowSummary& summary) {
        ChoiceScores scores;
        for (const TokenId token : text.choices[gap])
          scores.push_back({log_probability(row, summary, index_of(token)), 1});
        all.push_back(std::move(scores));
      }));
  return all;
}

Result<std::string> SessionModel::answer(const Question& question, std::int64_t max_tokens) {
  CB_TRY(const std::vector<TokenId> prompt, tokens_of(question));
  session_.cache().truncate(0);
  read_.clear();
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.sampler.temperature = 0;
  CB_TRY(Generation generation, generate(session_, prompt, options));
  if (generation.reason == StopReason::cancelled) return cancelled_error();
  return std::move(generation.text);
}

}  // namespace checkbit
