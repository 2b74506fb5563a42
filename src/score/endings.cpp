#include "score/endings.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/progress.h"
#include "score/divergence.h"
#include "score/ending_tree.h"

namespace checkbit {
namespace {

/// Tokens that all items begin with deserve a cache of their own from here on.
constexpr std::size_t kWorthForking = 16;
/// Shared tokens that are worth a level of the tree: every level ends with a pass that is not full.
constexpr std::size_t kWorthSharing = 2;
/// One ending of a wave. Its last token is only predicted, never read.
struct Branch {
  std::size_t request = 0;
  EncodedEnding encoded;
  EndingScore score;
  std::span<const TokenId> inputs() const {
    return std::span(encoded.tokens).first(encoded.tokens.size() - 1);
  }
  /// The first input after which a token is scored.
  std::size_t first_wanted() const { return encoded.first_scored - 1; }
};

/// Items that are read together: all their endings, in order.
struct Wave {
  std::size_t items = 0;
  std::vector<Branch> branches;
};

/// Collects tokens and evaluates them in passes as full as the executor allows.
class Passes {
 public:
  /// `on_pass` hears how many tokens were read.
  Passes(Session& session, std::function<void(std::size_t)> on_pass)
      : session_(session), on_pass_(std::move(on_pass)) {}

  /// `cache` must not be forked or read before the next flush.
  Status add(KvCache& cache, TokenId token) {
    if (std::ssize(batch_) == session_.executor().max_batch()) CB_TRY_STATUS(flush());
    batch_.push_back({&cache, token, false});
    return {};
  }

  /// The token added last, number `input` of the branch, decides how likely the next one is there.
  Status want(Branch& branch, std::size_t input) {
    if (input < branch.first_wanted()) return {};
    BatchToken& last = batch_.back();
    if (!last.wants_logits && rows_ == session_.executor().max_logits()) {
      const BatchToken held = last;
      batch_.pop_back();
      CB_TRY_STATUS(flush());
      batch_.push_back(held);
    }
    if (!batch_.back().wants_logits) ++rows_;
    batch_.back().wants_logits = true;
    wanted_.push_back({rows_ - 1, &branch, branch.encoded.tokens[input + 1]});
    return {};
  }

  Status flush() {
    if (batch_.empty()) return {};
    if (cancel_requested()) return cancelled_error();
    CB_TRY(const LogitsView logits, session_.executor().evaluate(batch_));
    summaries_.resize(static_cast<std::size_t>(logits.rows));
    session_.pool().for_ranges(logits.rows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        summaries_[static_cast<std::size_t>(row)] = sum_row(logits.row(row));
    });
    for (const Wanted& wanted : wanted_) CB_TRY_STATUS(take(wanted, logits));
    on_pass_(batch_.size());
    batch_.clear();
    wanted_.clear();
    rows_ = 0;
    return {};
  }

 private:
  struct Wanted {
    std::int64_t row;
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
                  session_.file().path(), wanted.branch->request + 1);
    }
    wanted.branch->score.log_probability += value;
    wanted.branch->score.greedy &= row.top == target;
    return {};
  }

  Session& session_;
  std::function<void(std::size_t)> on_pass_;
  std::vector<BatchToken> batch_;
  std::vector<Wanted> wanted_;
  std::vector<RowSummary> summaries_;
  std::int64_t rows_ = 0;
};

class Scorer {
 public:
  Scorer(Session& session, std::span<const EndingRequest> requests, const EndingOptions& options)
      : session_(session),
        requests_(requests),
        options_(options),
        progress_(options.label, requests.size(), "items"),
        passes_(session, [this](std::size_t tokens) { advance(tokens); }),
        order_(requests.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
  }

  Status run(const EndingCallback& done) {
    CB_TRY_STATUS(encode_all());
    if (!options_.one_by_one) {
      sort_items();
      CB_TRY_STATUS(read_base());
    }
    for (std::size_t next = 0; next < requests_.size();) {
      Wave wave = take_wave(next);
      wave_begin_ = next;
      wave_items_ = wave.items;
      wave_tokens_done_ = 0;
      CB_TRY_STATUS(options_.one_by_one ? read_alone(wave.branches) : read_wave(wave.branches));
      for (const Branch& branch : wave.branches) scores_[branch.request].push_back(branch.score);
      CB_TRY_STATUS(hand_over(done));
      next += wave.items;
      progress_.set(next);
    }
    return {};
  }

 private:
  /// A node of the tree, with the cache that its tokens are read into.
  struct Reader {
    const EndingNode* node = nullptr;
    std::size_t longest = 0;       ///< inputs of a branch below
    std::size_t first_wanted = 0;  ///< of all branches below
    std::size_t last_child = EndingNode::kNone;
    std::optional<KvCache> cache;
  };

  const Hyperparameters& shape() const { return session_.model().hyperparameters(); }
  std::uint64_t cache_bytes(std::size_t inputs) const {
    return KvCache::bytes_for(shape(), std::max<std::int64_t>(1, static_cast<std::int64_t>(inputs)),
                              session_.cache_type());
  }

  void advance(std::size_t tokens) {
    wave_tokens_done_ += tokens;
    if (wave_tokens_ == 0) return;
    const std::size_t items = wave_items_ * wave_tokens_done_ / wave_tokens_;
    progress_.set(wave_begin_ + std::min(items, wave_items_));
  }

  Result<std::vector<Branch>> encode(std::size_t request) const {
    const EndingRequest& asked = requests_[request];
    if (asked.endings.empty())
      return fail(ErrorKind::invalid, "item {}: has no endings", request + 1);
    const std::vector<TokenId> before = encode_context(session_.tokenizer(), asked.context);
    std::vector<Branch> branches;
    for (const std::string& ending : asked.endings) {
      Branch branch{.request = request,
                    .encoded = join_ending(session_.tokenizer(), before, asked.context + ending,
                                           static_cast<std::size_t>(session_.context_tokens()))};
      const EncodedEnding& encoded = branch.encoded;
      if (encoded.first_scored >= encoded.tokens.size()) {
        return fail(ErrorKind::invalid, "item {}: ending {} has no tokens", request + 1,
                    branches.size() + 1);
      }
      branch.score = {.tokens = encoded.tokens.size() - encoded.first_scored,
                      .bytes = ending.size(),
                      .greedy = true};
      branches.push_back(std::move(branch));
    }
    return branches;
  }

  Status encode_all() {
    branches_.resize(requests_.size());
    scores_.resize(requests_.size());
    std::vector<Status> encoded(requests_.size());
    session_.pool().for_ranges(std::ssize(requests_), [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
        if (cancel_requested()) return;
        Result<std::vector<Branch>> branches = encode(i);
        if (branches.ok()) {
          branches_[i] = *std::move(branches);
        } else {
          encoded[i] = branches.error();
        }
      }
    });
    for (const Status& status : encoded) CB_TRY_STATUS(status);
    return cancel_requested() ? cancelled_error() : Status{};
  }

  /// Items that begin alike stand together, so that one wave reads what they share.
  void sort_items() {
    std::ranges::stable_sort(order_, [this](std::size_t a, std::size_t b) {
      return std::ranges::lexicographical_compare(branches_[a].front().encoded.tokens,
                                                  branches_[b].front().encoded.tokens);
    });
  }

  /// Items from the first of the order on whose caches fit together, at least one.
  Wave take_wave(std::size_t first) {
    Wave wave;
    std::uint64_t bytes = 0;
    for (std::size_t place = first; place < order_.size(); ++place) {
      std::vector<Branch>& branches = branches_[order_[place]];
      for (const Branch& branch : branches) bytes += cache_bytes(branch.inputs().size());
      if (wave.items > 0 && (bytes > options_.cache_bytes || options_.one_by_one)) break;
      std::ranges::move(branches, std::back_inserter(wave.branches));
      branches = {};
      ++wave.items;
    }
    return wave;
  }

  /// Whatever is known and has nothing unknown before it.
  Status hand_over(const EndingCallback& done) {
    for (; next_done_ < scores_.size() && !scores_[next_done_].empty(); ++next_done_) {
      CB_TRY_STATUS(done(next_done_, scores_[next_done_]));
      scores_[next_done_] = {};
    }
    return {};
  }

  /// Reads once what all items begin with.
  Status read_base() {
    if (requests_.size() < 2) return {};
    const Branch& one = branches_.front().front();
    std::size_t common = one.first_wanted();
    for (const std::vector<Branch>& branches : branches_) {
      for (const Branch& branch : branches)
        common =
            std::min({common, branch.first_wanted(), common_start(one.inputs(), branch.inputs())});
    }
    if (common < kWorthForking) return {};
    const std::span<const TokenId> shared = one.inputs().first(common);
    base_tokens_.assign(shared.begin(), shared.end());
    CB_TRY(base_,
           KvCache::create(shape(), static_cast<std::int64_t>(common), session_.cache_type()));
    for (const TokenId token : base_tokens_) CB_TRY_STATUS(passes_.add(*base_, token));
    return passes_.flush();
  }

  /// What branches share is read once, all nodes of one depth together.
  Status read_wave(std::span<Branch> wave) {
    std::vector<std::span<const TokenId>> inputs;
    for (const Branch& branch : wave) inputs.push_back(branch.inputs());
    const EndingTree tree = grow_ending_tree(inputs, kWorthSharing);
    std::vector<Reader> readers;
    std::size_t deepest = 0;
    wave_tokens_ = 0;
    for (const EndingNode& node : tree.nodes) {
      Reader reader{.node = &node, .first_wanted = wave[tree.order[node.first]].first_wanted()};
      for (std::size_t place = node.first; place < node.last; ++place) {
        const Branch& branch = wave[tree.order[place]];
        reader.longest = std::max(reader.longest, branch.inputs().size());
        reader.first_wanted = std::min(reader.first_wanted, branch.first_wanted());
      }
      if (node.parent != EndingNode::kNone) readers[node.parent].last_child = readers.size();
      deepest = std::max(deepest, node.depth);
      wave_tokens_ += node.end - node.begin;
      readers.push_back(std::move(reader));
    }
    for (std::size_t depth = 0; depth <= deepest; ++depth)
      CB_TRY_STATUS(read_depth(tree, readers, depth, wave));
    return {};
  }

  Status read_depth(const EndingTree& tree, std::span<Reader> readers, std::size_t depth,
                    std::span<Branch> wave) {
    CB_TRY_STATUS(start_caches(tree, readers, depth, wave));
    for (Reader& reader : readers) {
      const EndingNode& node = *reader.node;
      if (node.depth != depth) continue;
      const std::span<const TokenId> inputs = wave[tree.order[node.first]].inputs();
      for (auto at = static_cast<std::size_t>(reader.cache->length()); at < node.end; ++at) {
        CB_TRY_STATUS(passes_.add(*reader.cache, inputs[at]));
        for (std::size_t place = node.first; place < node.last; ++place)
          CB_TRY_STATUS(passes_.want(wave[tree.order[place]], at));
      }
    }
    return passes_.flush();
  }

  /// The caches of one depth: nodes that fork the same one, which stand together, in turn, others
  /// at the same time. To copy what is forked is a share of the work.
  Status start_caches(const EndingTree& tree, std::span<Reader> readers, std::size_t depth,
                      std::span<Branch> wave) {
    std::vector<std::size_t> nodes;
    std::vector<std::size_t> families;  // where each begins
    for (std::size_t i = 0; i < readers.size(); ++i) {
      if (readers[i].node->depth != depth) continue;
      const std::size_t parent = readers[i].node->parent;
      const bool forks = parent != EndingNode::kNone || base_;
      if (!forks || nodes.empty() || parent != readers[nodes.back()].node->parent)
        families.push_back(nodes.size());
      nodes.push_back(i);
    }
    families.push_back(nodes.size());
    std::vector<Status> started(nodes.size());
    session_.pool().for_ranges(std::ssize(families) - 1, [&](std::int64_t begin, std::int64_t end) {
      const std::size_t last = families[static_cast<std::size_t>(end)];
      for (std::size_t at = families[static_cast<std::size_t>(begin)]; at < last; ++at) {
        Reader& reader = readers[nodes[at]];
        Result<KvCache> cache =
            start_cache(readers, nodes[at], wave[tree.order[reader.node->first]].inputs());
        if (cache.ok()) {
          reader.cache = *std::move(cache);
        } else {
          started[at] = cache.error();
        }
      }
    });
    for (const Status& status : started) CB_TRY_STATUS(status);
    return {};
  }

  /// A node goes on in a fork of its parent's cache, the last one in that cache itself. One without
  /// a parent takes over as much of the common start of all items as it may.
  Result<KvCache> start_cache(std::span<Reader> readers, std::size_t index,
                              std::span<const TokenId> inputs) {
    const Reader& reader = readers[index];
    const EndingNode& node = *reader.node;
    const auto capacity = static_cast<std::int64_t>(std::max<std::size_t>(reader.longest, 1));
    if (node.parent != EndingNode::kNone) {
      Reader& parent = readers[node.parent];
      if (parent.last_child == index) return *std::move(parent.cache);
      return parent.cache->fork(static_cast<std::int64_t>(node.begin), capacity);
    }
    if (!base_) return KvCache::create(shape(), capacity, session_.cache_type());
    const std::size_t known =
        std::min({common_start(base_tokens_, inputs), node.end, reader.first_wanted});
    return base_->fork(static_cast<std::int64_t>(known), capacity);
  }

  /// Every branch from its start, in a pass or passes of its own.
  Status read_alone(std::span<Branch> wave) {
    wave_tokens_ = 0;
    for (const Branch& branch : wave) wave_tokens_ += branch.inputs().size();
    for (Branch& branch : wave) {
      const std::span<const TokenId> inputs = branch.inputs();
      CB_TRY(KvCache cache, KvCache::create(shape(), static_cast<std::int64_t>(inputs.size()),
                                            session_.cache_type()));
      for (std::size_t at = 0; at < inputs.size(); ++at) {
        CB_TRY_STATUS(passes_.add(cache, inputs[at]));
        CB_TRY_STATUS(passes_.want(branch, at));
      }
      CB_TRY_STATUS(passes_.flush());
    }
    return {};
  }

  Session& session_;
  std::span<const EndingRequest> requests_;
  const EndingOptions& options_;
  Progress progress_;
  Passes passes_;
  std::vector<std::vector<Branch>> branches_;  ///< of each request, until its wave
  std::vector<std::vector<EndingScore>> scores_;
  std::vector<std::size_t> order_;  ///< in which requests are read
  std::size_t next_done_ = 0;       ///< the first request that is not handed over
  std::size_t wave_begin_ = 0;
  std::size_t wave_items_ = 0;
  std::size_t wave_tokens_ = 0;  ///< to read; 0: not known
  std::size_t wave_tokens_done_ = 0;
  std::vector<TokenId> base_tokens_;  ///< what base_ holds
  std::optional<KvCache> base_;
};

}  // namespace

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
