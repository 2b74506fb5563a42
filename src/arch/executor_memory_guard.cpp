// Guards of what the executor reads and computes beside matrix products: keys and values verified
// against their sums and computed again, steps computed twice.

#include <algorithm>
#include <cstring>
#include <utility>

#include "arch/executor.h"
#include "base/random.h"

namespace checkbit {
namespace {
/// In one evaluation keys and values may be hit again while they are computed again.
constexpr int kAttempts = 4;
}  // namespace

void Executor::set_guard_every(std::uint32_t tokens) {
  constexpr std::uint32_t kUsual = 64;
  guard_every_ = tokens > 0 ? tokens : guard_ == GuardLevel::full ? 1 : kUsual;
}

std::vector<std::span<std::uint8_t>> Executor::read_only_bytes() {
  std::vector<std::span<std::uint8_t>> all;
  for (Rope& rope : ropes_) all.push_back(rope.read_only_bytes());
  return all;
}

/// evaluate_once until no keys or values that it read were found wrong.
Result<LogitsView> Executor::evaluate_guarded(std::span<const BatchToken> batch,
                                              std::int64_t n_logits) {
  std::vector<std::pair<KvCache*, std::int64_t>> before;
  for (const BatchToken& b : batch) {
    b.sequence->keep_checks();
    if (before.empty() || before.back().first != b.sequence)
      before.emplace_back(b.sequence, b.sequence->length());
  }
  // From the back: of a sequence that stands there twice the first entry holds.
  const auto undo = [&] {
    for (auto entry = before.rbegin(); entry != before.rend(); ++entry) {
      if (entry->first->length() > entry->second) entry->first->truncate(entry->second);
    }
  };
  damage_.clear();
  step_failure_ = {};
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Result<LogitsView> logits = evaluate_once(batch, n_logits);
    if (!logits) {
      undo();
      return logits;
    }
    verify_sequences(batch);
    if (damage_.empty()) {
      if (step_failure_.ok() && health_) step_failure_ = health_();
      if (step_failure_.ok()) return logits;
      undo();
      return step_failure_.error();
    }
    undo();
    CB_TRY_STATUS(recompute_damaged());
  }
  undo();
  return fail(ErrorKind::corrupt,
              "keys and values of a sequence were wrong {} times in one pass: memory or processor "
              "fails; start the sequence again, elsewhere if it stays so",
              kAttempts);
}

void Executor::note_damage(KvCache* sequence, std::int64_t position) {
  for (auto& [known, first] : damage_) {
    if (known != sequence) continue;
    first = std::min(first, position);
    return;
  }
  damage_.emplace_back(sequence, position);
}

/// Some of what was read, in turn: it has been right all the time if it is right now.
void Executor::verify_sequences(std::span<const BatchToken> batch) {
  const KvCache* last = nullptr;
  for (const BatchToken& b : batch) {
    if (b.sequence == std::exchange(last, b.sequence)) continue;
    KvChecks& checks = *b.sequence->checks();
    const std::uint64_t verified = checks.verified();
    const auto wrong = checks.verify_next(*b.sequence, guard_every_, *pool_);
    memory_counters_.kv_blocks_verified += checks.verified() - verified;
    if (wrong) note_damage(b.sequence, *wrong);
  }
}

/// Every damaged sequence from its first wrong block on.
Status Executor::recompute_damaged() {
  for (int attempt = 0; attempt < kAttempts && !damage_.empty(); ++attempt) {
    for (const auto& [sequence, position] : std::exchange(damage_, {})) {
      ++memory_counters_.kv_damaged;
      const std::int64_t from = std::min(position, sequence->length());
      const auto known = sequence->tokens().subspan(static_cast<std::size_t>(from));
      const std::vector<std::int32_t> tokens(known.begin(), known.end());
      if (std::ranges::find(tokens, KvCache::kUnknownToken) != tokens.end()) {
        return fail(ErrorKind::corrupt,
                    "keys and values of a sequence are wrong from position {} on, and the tokens "
                    "there are not known; start the sequence again",
                    from);
      }
      sequence->truncate(from);
      memory_counters_.kv_recomputed_tokens += tokens.size();
      for (std::size_t at = 0; at < tokens.size();) {
        std::vector<BatchToken> batch;
        while (at < tokens.size() && std::ssize(batch) < max_batch_)
          batch.push_back({sequence, tokens[at++], false});
        if (auto logits = evaluate_once(batch, 0); !logits) return logits.error();
      }
    }
  }
  return {};
}

/// Blocks that this pass stores into.
void Executor::plan_stores() {
  stores_.clear();
  if (guard_ == GuardLevel::off) return;
  for (std::size_t t = 0; t < caches_.size(); ++t) {
    const std::int64_t block = positions_[t] / kCacheBlock;
    if (!stores_.empty() && stores_.back().cache == caches_[t] && stores_.back().block == block)
      continue;
    caches_[t]->checks()->make_room(caches_[t]->length());
    // A block whose first position is stored now has nothing to keep.
    stores_.push_back({caches_[t], block, positions_[t] % kCacheBlock != 0, true});
  }
}

template <class F>
void Executor::for_stores(F&& f) {
  constexpr std::size_t kWorthwhile = 8;
  if (stores_.size() < kWorthwhile) {
    std::ranges::for_each(stores_, f);
    return;
  }
  pool_->for_ranges(std::ssize(stores_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) f(stores_[static_cast<std::size_t>(i)]);
  });
}

void Executor::verify_before_store(std::int64_t layer) {
  for_stores([&](StoredBlock& s) {
    s.right = !s.holds_earlier || s.cache->checks()->verify(*s.cache, layer, s.block);
  });
  for (const StoredBlock& s : stores_) {
    memory_counters_.kv_blocks_verified += s.holds_earlier ? 1 : 0;
    if (!s.right) note_damage(s.cache, s.block * kCacheBlock);
  }
}

void Executor::seal_after_store(std::int64_t layer) {
  for_stores([&](StoredBlock& s) { s.cache->checks()->seal(*s.cache, layer, s.block); });
}

/// Steps other than matrix products, which have checks of their own.
void Executor::run_guarded_step(const Step& step, std::int64_t layer) {
  static const std::uint64_t key = squares_key(0x5eed);
  const bool twice =
      guard_ >= GuardLevel::check && squares32(memory_counters_.steps, key) % guard_every_ == 0;
  ++memory_counters_.steps;
  if (!twice) return run_step(step, layer);
  ++memory_counters_.steps_twice;
  const Buffer& out = buffers_[static_cast<int>(step.out)];
  const std::size_t bytes = static_cast<std::size_t>(n_tokens_ * out.stride) * sizeof(float);
  std::uint8_t* data = reinterpret_cast<std::uint8_t*>(out.row(0));
  step_copies_.resize(3 * bytes);
  std::uint8_t* const before = step_copies_.data();
  std::uint8_t* const first = before + bytes;
  std::uint8_t* const second = first + bytes;
  const auto again = [&] {
    std::memcpy(data, before, bytes);  // many steps change their input in place
    run_step(step, layer);
  };
  std::memcpy(before, data, bytes);
  run_step(step, layer);
  std::memcpy(first, data, bytes);
  again();
  if (std::memcmp(first, data, bytes) == 0) return;
  ++memory_counters_.steps_disagreed;
  std::memcpy(second, data, bytes);
  again();
  if (std::memcmp(first, data, bytes) == 0 || std::memcmp(second, data, bytes) == 0) return;
  step_failure_ = fail(ErrorKind::corrupt,
                       "a step of layer {} gave three different answers: a processor or its "
                       "memory fails (`checkbit guard selftest` names processors)",
                       layer);
}

}  // namespace checkbit
