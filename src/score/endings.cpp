#include "score/endings.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/progress.h"
#include "run/jinja/unicode.h"
#include "score/divergence.h"

namespace checkbit {
namespace {

/// Tokens that all items begin with deserve a cache of their own from here on.
constexpr std::size_t kWorthForking = 16;

std::size_t common_start(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

/// One ending of a wave. Its last token is only predicted, never read.
struct Branch {
  EncodedEnding encoded;
  EndingScore score;
  std::optional<KvCache> own;  ///< none: reads its tail into the item's cache, or has no tail
  std::span<const TokenId> inputs() const {
    return std::span(encoded.tokens).first(encoded.tokens.size() - 1);
  }
  /// The first input after which a token is scored.
  std::size_t first_wanted() const { return encoded.first_scored - 1; }
};

struct Item {
  std::size_t request = 0;
  std::vector<Branch> branches;
  std::size_t shared = 0;        ///< inputs that all branches begin with
  std::size_t first_wanted = 0;  ///< of all branches
  std::size_t longest = 0;       ///< inputs of a branch
  std::optional<KvCache> cache;
};

Item make_item(std::size_t request, std::vector<EncodedEnding> endings) {
  Item item{.request = request};
  for (EncodedEnding& ending : endings)
    item.branches.push_back({.encoded = std::move(ending), .own = std::nullopt});
  const Branch& first = item.branches.front();
  item.shared = first.inputs().size();
  item.first_wanted = first.first_wanted();
  for (const Branch& branch : item.branches) {
    item.shared = std::min(item.shared, common_start(first.inputs(), branch.inputs()));
    item.first_wanted = std::min(item.first_wanted, branch.first_wanted());
    item.longest = std::max(item.longest, branch.inputs().size());
  }
  return item;
}

/// Collects tokens and evaluates them in passes as full as the executor allows.
class Passes {
 public:
  explicit Passes(Session& session) : session_(session) {}

  /// `cache` must not be forked or read before the next flush.
  Status add(KvCache& cache, TokenId token) {
    if (std::ssize(batch_) == session_.executor().max_batch()) CB_TRY_STATUS(flush());
    batch_.push_back({&cache, token, false});
    return {};
  }

  /// The token added last decides how likely `target` is in `branch`. Null branch: nothing asked.
  Status want(const Item& item, Branch& branch, TokenId target) {
    BatchToken& last = batch_.back();
    if (!last.wants_logits && rows_ == session_.executor().max_logits()) {
      const BatchToken held = last;
      batch_.pop_back();
      CB_TRY_STATUS(flush());
      batch_.push_back(held);
    }
    if (!batch_.back().wants_logits) ++rows_;
    batch_.back().wants_logits = true;
    wanted_.push_back({rows_ - 1, &item, &branch, target});
    return {};
  }

  Status flush() {
    if (batch_.empty()) return {};
    if (cancel_requested()) return cancelled_error();
    CB_TRY(const LogitsView logits, session_.executor().evaluate(batch_));
    summaries_.resize(static_cast<std::size_t>(logits.rows));
    session_.pool().for_ranges(logits.rows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        summaries_[static_cast<std::size_t>(row)] = summarize_row(logits.row(row));
    });
    for (const Wanted& wanted : wanted_) CB_TRY_STATUS(take(wanted, logits));
    batch_.clear();
    wanted_.clear();
    rows_ = 0;
    return {};
  }

 private:
  struct Wanted {
    std::int64_t row;
    const Item* item;
    Branch* branch;
    TokenId target;
  };

  Status take(const Wanted& wanted, const LogitsView& logits) {
    const RowSummary& row = summaries_[static_cast<std::size_t>(wanted.row)];
    const auto target = static_cast<std::size_t>(wanted.target);
    const double value =
        row.finite ? log_probability(logits.row(wanted.row), row, target) : std::nan("");
    if (!std::isfinite(value)) {
      return fail(ErrorKind::corrupt,
                  "{}: logits are not finite in item {}: the model is damaged or not supported",
                  session_.file().path(), wanted.item->request + 1);
    }
    wanted.branch->score.log_probability += value;
    wanted.branch->score.greedy &= row.top == target;
    return {};
  }

  Session& session_;
  std::vector<BatchToken> batch_;
  std::vector<Wanted> wanted_;
  std::vector<RowSummary> summaries_;
  std::int64_t rows_ = 0;
};

class Scorer {
 public:
  Scorer(Session& session, std::span<const EndingRequest> requests, const EndingOptions& options)
      : session_(session), requests_(requests), options_(options), passes_(session) {}

  Status run(const EndingCallback& done) {
    Progress progress(options_.label, requests_.size(), "items");
    for (std::size_t next = 0; next < requests_.size();) {
      CB_TRY(std::vector<Item> wave, take_wave(next));
      if (next == 0 && !options_.one_by_one) CB_TRY_STATUS(read_base(wave));
      CB_TRY_STATUS(options_.one_by_one ? read_alone(wave) : read_wave(wave));
      for (const Item& item : wave) {
        std::vector<EndingScore> scores;
        for (const Branch& branch : item.branches) scores.push_back(branch.score);
        CB_TRY_STATUS(done(item.request, scores));
      }
      next += wave.size();
      progress.advance(wave.size());
    }
    return {};
  }

 private:
  const Hyperparameters& shape() const { return session_.model().hyperparameters(); }
  std::uint64_t cache_bytes(std::size_t inputs) const {
    return KvCache::bytes_for(shape(), std::max<std::int64_t>(1, static_cast<std::int64_t>(inputs)),
                              session_.cache_type());
  }

  Result<Item> encode(std::size_t request) const {
    std::vector<EncodedEnding> endings;
    for (const std::string& ending : requests_[request].endings) {
      endings.push_back(encode_ending(session_.tokenizer(), requests_[request].context, ending,
                                      static_cast<std::size_t>(session_.context_tokens())));
      if (endings.back().first_scored < endings.back().tokens.size()) continue;
      return fail(ErrorKind::invalid, "item {}: ending {} has no tokens", request + 1,
                  endings.size());
    }
    if (endings.empty()) return fail(ErrorKind::invalid, "item {}: has no endings", request + 1);
    Item item = make_item(request, std::move(endings));
    for (std::size_t i = 0; i < item.branches.size(); ++i) {
      Branch& branch = item.branches[i];
      branch.score.tokens = branch.encoded.tokens.size() - branch.encoded.first_scored;
      branch.score.bytes = requests_[request].endings[i].size();
      branch.score.greedy = true;
    }
    return item;
  }

  /// Items from `first` on whose caches fit together, at least one.
  Result<std::vector<Item>> take_wave(std::size_t first) const {
    std::vector<Item> wave;
    std::uint64_t bytes = 0;
    for (std::size_t request = first; request < requests_.size(); ++request) {
      CB_TRY(Item item, encode(request));
      bytes += cache_bytes(item.longest) * item.branches.size();
      if (!wave.empty() && (bytes > options_.cache_bytes || options_.one_by_one)) break;
      wave.push_back(std::move(item));
    }
    return wave;
  }

  /// Reads once what all items of the first wave begin with; later ones are likely to as well.
  Status read_base(std::span<Item> wave) {
    if (wave.size() < 2) return {};
    const std::span<const TokenId> first = wave.front().branches.front().inputs();
    std::size_t common = wave.front().first_wanted;
    for (const Item& item : wave)
      common = std::min({common, item.first_wanted,
                         common_start(first, item.branches.front().inputs()), item.shared});
    if (common < kWorthForking) return {};
    base_tokens_.assign(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(common));
    CB_TRY(base_,
           KvCache::create(shape(), static_cast<std::int64_t>(common), session_.cache_type()));
    for (const TokenId token : base_tokens_) CB_TRY_STATUS(passes_.add(*base_, token));
    return passes_.flush();
  }

  /// First what each item's endings share, of all items together; then all tails.
  Status read_wave(std::span<Item> wave) {
    for (Item& item : wave) {
      const std::span<const TokenId> inputs = item.branches.front().inputs();
      CB_TRY(item.cache, start_cache(inputs, item));
      for (auto at = static_cast<std::size_t>(item.cache->length()); at < item.shared; ++at) {
        CB_TRY_STATUS(passes_.add(*item.cache, inputs[at]));
        for (Branch& branch : item.branches) CB_TRY_STATUS(want(item, branch, at));
      }
    }
    CB_TRY_STATUS(passes_.flush());
    for (Item& item : wave) CB_TRY_STATUS(add_tails(item));
    return passes_.flush();
  }

  /// With as much of the common start of all items as it may take over.
  Result<KvCache> start_cache(std::span<const TokenId> inputs, const Item& item) {
    const auto capacity = static_cast<std::int64_t>(std::max<std::size_t>(item.longest, 1));
    if (!base_) return KvCache::create(shape(), capacity, session_.cache_type());
    const std::size_t known =
        std::min({common_start(base_tokens_, inputs), item.shared, item.first_wanted});
    return base_->fork(static_cast<std::int64_t>(known), capacity);
  }

  /// The last branch goes on in the item's own cache, the others in forks of it.
  Status add_tails(Item& item) {
    const auto shared = static_cast<std::int64_t>(item.shared);
    for (std::size_t b = 0; b < item.branches.size(); ++b) {
      Branch& branch = item.branches[b];
      if (branch.inputs().size() == item.shared) continue;
      if (b + 1 < item.branches.size()) {
        CB_TRY(branch.own,
               item.cache->fork(shared, static_cast<std::int64_t>(branch.inputs().size())));
      }
    }
    for (Branch& branch : item.branches) {
      KvCache& cache = branch.own ? *branch.own : *item.cache;
      for (std::size_t at = item.shared; at < branch.inputs().size(); ++at) {
        CB_TRY_STATUS(passes_.add(cache, branch.inputs()[at]));
        CB_TRY_STATUS(want(item, branch, at));
      }
    }
    return {};
  }

  Status want(const Item& item, Branch& branch, std::size_t input) {
    if (input < branch.first_wanted()) return {};
    return passes_.want(item, branch, branch.encoded.tokens[input + 1]);
  }

  /// Every branch from its start, in a pass or passes of its own.
  Status read_alone(std::span<Item> wave) {
    for (Item& item : wave) {
      for (Branch& branch : item.branches) {
        const std::span<const TokenId> inputs = branch.inputs();
        CB_TRY(KvCache cache, KvCache::create(shape(), static_cast<std::int64_t>(inputs.size()),
                                              session_.cache_type()));
        for (std::size_t at = 0; at < inputs.size(); ++at) {
          CB_TRY_STATUS(passes_.add(cache, inputs[at]));
          CB_TRY_STATUS(want(item, branch, at));
        }
        CB_TRY_STATUS(passes_.flush());
      }
    }
    return {};
  }

  Session& session_;
  std::span<const EndingRequest> requests_;
  const EndingOptions& options_;
  Passes passes_;
  std::vector<TokenId> base_tokens_;  ///< what base_ holds
  std::optional<KvCache> base_;
};

/// Tokens of a text as the model begins texts, without the token it may end them with.
std::vector<TokenId> encode_open(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> tokens = tokenizer.encode(text, {.add_special = false});
  const std::vector<TokenId> special = tokenizer.encode("");
  if (!special.empty() && special.front() == tokenizer.bos())
    tokens.insert(tokens.begin(), special.front());
  return tokens;
}

}  // namespace

EncodedEnding encode_ending(const Tokenizer& tokenizer, std::string_view context,
                            std::string_view ending, std::size_t context_tokens) {
  const std::size_t space = jinja::trailing_space(context);
  const std::string whole = std::string(context) + std::string(ending);
  EncodedEnding encoded{encode_open(tokenizer, context.substr(0, context.size() - space)), 0};
  const std::vector<TokenId> together = encode_open(tokenizer, whole);
  const std::size_t split = encoded.tokens.size();
  if (split < together.size())
    encoded.tokens.insert(encoded.tokens.end(),
                          together.begin() + static_cast<std::ptrdiff_t>(split), together.end());
  encoded.first_scored = split;
  if (split == 0) {
    const auto beginning = tokenizer.bos() ? tokenizer.bos() : tokenizer.eos();
    encoded.tokens.insert(encoded.tokens.begin(), beginning.value_or(0));
    encoded.first_scored = 1;
  }
  if (encoded.tokens.size() > context_tokens + 1) {
    const std::size_t dropped = encoded.tokens.size() - context_tokens - 1;
    encoded.tokens.erase(encoded.tokens.begin(),
                         encoded.tokens.begin() + static_cast<std::ptrdiff_t>(dropped));
    encoded.first_scored = encoded.first_scored > dropped ? encoded.first_scored - dropped : 1;
    encoded.first_scored = std::max<std::size_t>(encoded.first_scored, 1);
  }
  return encoded;
}

Status score_endings(Session& session, std::span<const EndingRequest> requests,
                     const EndingOptions& options, const EndingCallback& done) {
  return Scorer(session, requests, options).run(done);
}

Result<std::vector<std::vector<EndingScore>>> score_endings(Session& session,
                                                            std::span<const EndingRequest> requests,
                                                            const EndingOptions& options) {
  std::vector<std::vector<EndingScore>> all;
  CB_TRY_STATUS(score_endings(session, requests, options,
                              [&](std::size_t, std::span<const EndingScore> scores) -> Status {
                                all.emplace_back(scores.begin(), scores.end());
                                return {};
                              }));
  return all;
}

}  // namespace checkbit
