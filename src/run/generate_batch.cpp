#include "run/generate_batch.h"

#include <algorithm>
#include <chrono>

#include "base/progress.h"

namespace checkbit {
namespace {

/// So many tokens are worth waiting for until another row has read them.
constexpr std::size_t kWorthWaiting = 8;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Status check_fits(const Session& session, std::size_t number, std::size_t tokens) {
  if (std::cmp_less_equal(tokens, session.context_tokens())) return {};
  return fail(ErrorKind::invalid,
              "{}: request {}: {} tokens do not fit into the context of {}; use --context N or a "
              "shorter text",
              session.file().path(), number, tokens, session.context_tokens());
}

}  // namespace

BatchGenerator::BatchGenerator(Session& session, const GenerateBatchOptions& options)
    : session_(session) {
  const Executor& executor = session.executor();
  const auto most = static_cast<std::size_t>(std::min(executor.max_logits(), executor.max_batch()));
  const std::size_t rows = std::clamp<std::size_t>(options.sequences, 1, most);
  for (std::size_t i = 0; i < rows; ++i) rows_.push_back(std::make_unique<Row>());
}

Result<std::size_t> BatchGenerator::submit(BatchRequest request) {
  const std::size_t number = next_number_;
  CB_TRY_STATUS(check_fits(session_, number, request.prompt.size()));
  const auto vocabulary = static_cast<std::size_t>(session_.model().hyperparameters().vocabulary);
  request.options.check_draws_every = checked_draws(session_);
  CB_TRY(GrowingText text,
         GrowingText::create(session_.tokenizer(), vocabulary, request.prompt,
                             std::move(request.options), std::move(request.on_text)));
  queue_.push_back({number, std::move(text)});
  ++next_number_;
  return number;
}

std::size_t BatchGenerator::working() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(rows_, [](const auto& row) { return row->text.has_value(); }));
}

void BatchGenerator::cancel(std::size_t number) {
  const auto waiting = std::ranges::find(queue_, number, &Waiting::number);
  if (waiting != queue_.end()) {
    ended_early_.push_back({number, waiting->text.finish(StopReason::cancelled)});
    queue_.erase(waiting);
    return;
  }
  for (const auto& row : rows_) {
    if (row->text && row->number == number) finish(*row, StopReason::cancelled, ended_early_);
  }
}

Result<std::vector<BatchGenerator::Finished>> BatchGenerator::step() {
  std::vector<Finished> finished = std::exchange(ended_early_, {});
  CB_TRY_STATUS(admit());
  fill_batch();
  if (batch_.empty()) return finished;
  if (cancel_requested()) return cancelled_error();
  CB_TRY(const LogitsView logits, session_.executor().evaluate(batch_));
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    Row& row = *asked_[i];
    if (row.prompt_read == 0) row.prompt_read = now_seconds();
    row.text->choose(logits.row(static_cast<std::int64_t>(i)));
    const bool room = row.cache->length() < session_.context_tokens();
    if (const auto over = row.text->take(room)) {
      finish(row, *over, finished);
    } else {
      row.tokens.push_back(row.text->next());
    }
  }
  return finished;
}

/// Fills free rows from the queue, in order. Stops where the next prompt had better wait for
/// another row to read what they share.
Status BatchGenerator::admit() {
  while (!queue_.empty() && working() < rows_.size()) {
    const std::span<const TokenId> prompt = queue_.front().text.tokens();
    Match match = best_match(prompt);
    if (match.row != nullptr) {
      const std::size_t read = match.row->read();
      if (match.shared >= read + kWorthWaiting) return {};
      match.shared = std::min(match.shared, read);
    }
    Waiting waiting = std::move(queue_.front());
    queue_.pop_front();
    CB_TRY_STATUS(start(free_row(match), std::move(waiting), match));
  }
  return {};
}

/// The row whose tokens go furthest along with the prompt, whose last token is always read anew.
BatchGenerator::Match BatchGenerator::best_match(std::span<const TokenId> prompt) const {
  const std::span<const TokenId> useful = prompt.first(prompt.size() - 1);
  Match best;
  for (const auto& row : rows_) {
    if (!row->cache) continue;
    const auto end = std::ranges::mismatch(useful, row->tokens).in1;
    const auto shared = static_cast<std::size_t>(end - useful.begin());
    if (shared > best.shared) best = {row.get(), shared};
  }
  return best;
}

/// The matching row itself where it is free, else one that holds nothing, else any.
BatchGenerator::Row& BatchGenerator::free_row(const Match& match) {
  if (match.row != nullptr && !match.row->text) return *match.row;
  Row* found = nullptr;
  for (const auto& row : rows_) {
    if (row->text) continue;
    if (found == nullptr || (found->cache && !row->cache)) found = row.get();
  }
  CB_CHECK(found != nullptr);
  return *found;
}

Status BatchGenerator::start(Row& row, Waiting waiting, const Match& match) {
  const std::span<const TokenId> prompt = waiting.text.tokens();
  const auto shared = static_cast<std::int64_t>(match.shared);
  const auto prompt_tokens = static_cast<std::int64_t>(prompt.size());
  const std::int64_t context = session_.context_tokens();
  const std::int64_t wanted = waiting.text.options().max_tokens;
  const std::int64_t capacity =
      prompt_tokens + std::clamp<std::int64_t>(wanted, 0, context - prompt_tokens);
  const bool fits = row.cache && row.cache->capacity() >= capacity;
  if (fits && (match.row == &row || match.row == nullptr)) {
    row.cache->truncate(shared);
  } else if (match.row != nullptr) {
    CB_TRY(row.cache, match.row->cache->fork(shared, capacity));
  } else {
    CB_TRY(row.cache,
           KvCache::create(session_.model().hyperparameters(), capacity, session_.cache_type()));
  }
  shared_tokens_ += match.shared;
  row.tokens.assign(prompt.begin(), prompt.end());
  row.text = std::move(waiting.text);
  row.number = waiting.number;
  row.started = now_seconds();
  row.prompt_read = 0;
  return {};
}

/// Rows that generate come first, so that long prompts hold nobody up.
void BatchGenerator::fill_batch() {
  batch_.clear();
  asked_.clear();
  for (const bool generating : {true, false}) {
    for (const auto& row : rows_) {
      if (row->text && (row->tokens.size() - row->read() == 1) == generating) add_unread(*row);
    }
  }
}

void BatchGenerator::add_unread(Row& row) {
  const auto room = static_cast<std::size_t>(session_.executor().max_batch()) - batch_.size();
  const std::size_t end = std::min(row.tokens.size(), row.read() + room);
  for (std::size_t at = row.read(); at < end; ++at) {
    const bool last = at + 1 == row.tokens.size();
    batch_.push_back({&*row.cache, row.tokens[at], last});
    if (last) asked_.push_back(&row);
  }
}

/// The row keeps its cache, for prompts that begin like it.
void BatchGenerator::finish(Row& row, StopReason reason, std::vector<Finished>& finished) {
  Generation generation = row.text->finish(reason);
  const double now = now_seconds();
  const double prompt_read = row.prompt_read > 0 ? row.prompt_read : now;
  generation.prompt_seconds = prompt_read - row.started;
  generation.generation_seconds = now - prompt_read;
  finished.push_back({row.number, std::move(generation)});
  row.text.reset();
  row.tokens.resize(row.read());
}

Result<std::vector<Generation>> generate_batch(Session& session, std::vector<BatchRequest> requests,
                                               const GenerateBatchOptions& options,
                                               const BatchCallback& done,
                                               const std::string& label) {
  for (std::size_t i = 0; i < requests.size(); ++i)
    CB_TRY_STATUS(check_fits(session, i, requests[i].prompt.size()));
  Progress progress(label, requests.size(), "answers");
  BatchGenerator generator(session, options);
  std::vector<Generation> generations(requests.size());
  std::size_t next = 0;
  for (std::size_t finished = 0; finished < requests.size();) {
    while (next < requests.size() && generator.waiting() < options.sequences)
      CB_TRY_STATUS(generator.submit(std::move(requests[next++])));
    CB_TRY(std::vector<BatchGenerator::Finished> ended, generator.step());
    for (BatchGenerator::Finished& one : ended) {
      if (done) CB_TRY_STATUS(done(one.number, one.generation));
      generations[one.number] = std::move(one.generation);
      progress.advance();
    }
    finished += ended.size();
  }
  return generations;
}

}  // namespace checkbit
