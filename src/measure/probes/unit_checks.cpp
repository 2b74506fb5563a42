#include "measure/probes/unit_checks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "run/generate.h"
#include "score/divergence.h"

namespace checkbit {
namespace {

using Tokens = std::vector<TokenId>;
using Rows = std::vector<std::vector<float>>;

constexpr std::size_t kLength = 40;

/// Ordinary tokens, no control ones.
Tokens drawn_tokens(const Session& session, std::uint64_t seed, std::uint64_t stream,
                    std::size_t length = kLength) {
  Random random(seed, stream);
  const Tokenizer& tokenizer = session.tokenizer();
  Tokens tokens;
  while (tokens.size() < length) {
    const auto token = static_cast<TokenId>(random.below(tokenizer.size()));
    if (!tokenizer.is_control(token) && !tokenizer.is_end_of_generation(token))
      tokens.push_back(token);
  }
  return tokens;
}

/// Logits at every position, evaluated `chunk` tokens a pass in the session's own sequence, from
/// where that stands.
Result<Rows> read_on(Session& session, std::span<const TokenId> tokens, std::size_t chunk) {
  Rows rows;
  for (std::size_t at = 0; at < tokens.size(); at += chunk) {
    const auto part = tokens.subspan(at, std::min(chunk, tokens.size() - at));
    CB_TRY_STATUS(
        session.evaluate(part, Logits::all, [&](std::size_t, std::span<const float> row) -> Status {
          rows.emplace_back(row.begin(), row.end());
          return {};
        }));
  }
  return rows;
}

Result<Rows> read_alone(Session& session, std::span<const TokenId> tokens, std::size_t chunk = 32) {
  session.cache().truncate(0);
  return read_on(session, tokens, chunk);
}

/// Where two runs of logits differ first, "" for nowhere.
std::string difference(std::span<const std::vector<float>> a,
                       std::span<const std::vector<float>> b) {
  if (a.size() != b.size()) return fmt::format("{} rows against {}", a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(float)) == 0) continue;
    float most = 0;
    for (std::size_t v = 0; v < a[i].size(); ++v)
      most = std::max(most, std::abs(a[i][v] - b[i][v]));
    return fmt::format("position {} differs, by {:.3g} at most", i, most);
  }
  return std::string();
}

Result<std::string> check_finite(Session& session, std::uint64_t seed) {
  CB_TRY(const Rows rows, read_alone(session, drawn_tokens(session, seed, 0)));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const RowSummary row = summarize_row(rows[i]);
    if (!row.finite) return fmt::format("position {} has a NaN or an infinity", i);
    double sum = 0;
    for (std::size_t v = 0; v < rows[i].size(); ++v)
      sum += std::exp(log_probability(rows[i], row, v));
    if (std::abs(sum - 1) > 1e-6) return fmt::format("position {} sums to {:.9f}", i, sum);
    const auto [low, high] = std::ranges::minmax(rows[i]);
    if (low == high) return fmt::format("position {} finds all tokens equally likely", i);
  }
  return std::string();
}

Result<std::string> check_repeat(Session& session, std::uint64_t seed) {
  const Tokens tokens = drawn_tokens(session, seed, 1);
  CB_TRY(const Rows once, read_alone(session, tokens));
  CB_TRY(const Rows again, read_alone(session, tokens));
  return difference(once, again);
}

Result<std::string> check_batch_size(Session& session, std::uint64_t seed) {
  const Tokens tokens = drawn_tokens(session, seed, 2);
  CB_TRY(const Rows whole, read_alone(session, tokens));
  for (const std::size_t chunk : {1, 7}) {
    CB_TRY(const Rows cut, read_alone(session, tokens, chunk));
    if (const std::string found = difference(whole, cut); !found.empty())
      return fmt::format("{} tokens a pass: {}", chunk, found);
  }
  return std::string();
}

/// Three sequences of different lengths in one batch, in the order given, token by token in turn.
Result<std::vector<Rows>> read_together(Session& session, const std::vector<Tokens>& sequences,
                                        std::span<const std::size_t> order) {
  std::vector<KvCache> caches;
  caches.reserve(sequences.size());
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    CB_TRY(KvCache cache, session.cache().fork(0));
    caches.push_back(std::move(cache));
  }
  std::vector<Rows> rows(sequences.size());
  for (std::size_t at = 0;; ++at) {
    std::vector<BatchToken> batch;
    std::vector<std::size_t> owners;
    for (const std::size_t s : order) {
      if (at >= sequences[s].size()) continue;
      batch.push_back({&caches[s], sequences[s][at], true});
      owners.push_back(s);
    }
    if (batch.empty()) return rows;
    CB_TRY(const LogitsView logits, session.executor().evaluate(batch));
    for (std::int64_t r = 0; r < logits.rows; ++r) {
      const std::span<const float> row = logits.row(r);
      rows[owners[static_cast<std::size_t>(r)]].emplace_back(row.begin(), row.end());
    }
  }
}

std::vector<Tokens> three_sequences(const Session& session, std::uint64_t seed) {
  return {drawn_tokens(session, seed, 3, 17), drawn_tokens(session, seed, 4, 5),
          drawn_tokens(session, seed, 5, 11)};
}

Result<std::string> check_company(Session& session, std::uint64_t seed) {
  const std::vector<Tokens> sequences = three_sequences(session, seed);
  const std::array<std::size_t, 3> order = {0, 1, 2};
  CB_TRY(const std::vector<Rows> together, read_together(session, sequences, order));
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    CB_TRY(const Rows alone, read_alone(session, sequences[s]));
    if (const std::string found = difference(alone, together[s]); !found.empty())
      return fmt::format("a sequence of {} tokens: {}", sequences[s].size(), found);
  }
  return std::string();
}

Result<std::string> check_order(Session& session, std::uint64_t seed) {
  const std::vector<Tokens> sequences = three_sequences(session, seed);
  const std::array<std::size_t, 3> order = {0, 1, 2}, other = {2, 0, 1};
  CB_TRY(const std::vector<Rows> together, read_together(session, sequences, order));
  CB_TRY(const std::vector<Rows> permuted, read_together(session, sequences, other));
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    if (const std::string found = difference(together[s], permuted[s]); !found.empty())
      return fmt::format("sequence {}: {}", s, found);
  }
  return std::string();
}

Result<std::string> check_causality(Session& session, std::uint64_t seed) {
  const Tokens tokens = drawn_tokens(session, seed, 6);
  CB_TRY(const Rows before, read_alone(session, tokens));
  for (const std::size_t changed : {kLength / 2, kLength - 1}) {
    Tokens other = tokens;
    other[changed] = drawn_tokens(session, seed, 7, 1).front();
    if (other[changed] == tokens[changed]) continue;
    CB_TRY(const Rows after, read_alone(session, other));
    const std::span<const std::vector<float>> a(before), b(after);
    if (const std::string found = difference(a.first(changed), b.first(changed)); !found.empty())
      return fmt::format("token {} was changed: {}", changed, found);
    if (difference(a.subspan(changed, 1), b.subspan(changed, 1)).empty())
      return fmt::format("token {} was changed and nothing came of it", changed);
  }
  return std::string();
}

Result<std::string> check_prefix(Session& session, std::uint64_t seed) {
  const Tokens tokens = drawn_tokens(session, seed, 8);
  CB_TRY(const Rows whole, read_alone(session, tokens));
  const std::span<const TokenId> all(tokens);
  for (const std::size_t shared : {std::size_t{1}, std::size_t{16}, std::size_t{23}}) {
    session.cache().truncate(static_cast<std::int64_t>(shared));
    CB_TRY(KvCache copy, session.cache().fork(static_cast<std::int64_t>(shared)));
    std::vector<BatchToken> batch;
    for (const TokenId token : all.subspan(shared)) batch.push_back({&copy, token, false});
    batch.back().wants_logits = true;
    CB_TRY(const LogitsView logits, session.executor().evaluate(batch));
    const std::span<const float> row = logits.row(0);
    const Rows last(1, std::vector<float>(row.begin(), row.end()));
    if (const std::string found = difference(std::span(whole).last(1), last); !found.empty())
      return fmt::format("a copy of {} tokens: {}", shared, found);
    CB_TRY(const Rows again, read_alone(session, tokens));
  }
  return std::string();
}

Result<std::string> check_replay(Session& session, std::uint64_t seed) {
  const Tokens tokens = drawn_tokens(session, seed, 9);
  CB_TRY(const Rows whole, read_alone(session, tokens));
  const std::span<const TokenId> all(tokens);
  for (const std::size_t kept : {std::size_t{0}, std::size_t{15}, std::size_t{16}, kLength - 1}) {
    CB_TRY(const Rows detour, read_alone(session, all.first(kept)));
    CB_TRY(const Rows wrong, read_on(session, drawn_tokens(session, seed, 10, 9), 32));
    session.cache().truncate(static_cast<std::int64_t>(kept));
    CB_TRY(const Rows rest, read_on(session, all.subspan(kept), 32));
    if (const std::string found = difference(std::span(whole).subspan(kept), rest); !found.empty())
      return fmt::format("after going back to {} tokens: {}", kept, found);
  }
  return std::string();
}

Result<std::string> check_edges(Session& session, std::uint64_t seed) {
  const Tokens one = drawn_tokens(session, seed, 11, 1);
  CB_TRY(const Rows row, read_alone(session, one));
  if (row.size() != 1) return std::string("one token gave no logits");
  CB_TRY(const Rows none, read_on(session, {}, 32));
  if (!none.empty() || session.cache().length() != 1)
    return std::string("no tokens changed something");
  CB_TRY(const Rows again, read_alone(session, one));
  return difference(row, again);
}

Result<std::string> check_refusals(Session& session, std::uint64_t seed) {
  const Tokens tokens = drawn_tokens(session, seed, 12);
  CB_TRY(const Rows before, read_alone(session, tokens));
  const auto ignore = [](std::size_t, std::span<const float>) -> Status { return {}; };
  const auto beyond = static_cast<TokenId>(session.model().hyperparameters().vocabulary);
  const Tokens unknown = {tokens[0], beyond};
  const Tokens too_long(static_cast<std::size_t>(session.context_tokens()), tokens[0]);
  if (session.evaluate(unknown, Logits::last, ignore).ok())
    return std::string("an unknown token was read");
  if (session.evaluate(too_long, Logits::last, ignore).ok())
    return std::string("a full context took more");
  if (session.cache().length() != static_cast<std::int64_t>(tokens.size()))
    return std::string("a refused text left tokens behind");
  CB_TRY(const Rows on, read_on(session, tokens, 32));
  CB_TRY(const Rows start, read_alone(session, tokens));
  CB_TRY(const Rows fresh, read_on(session, tokens, 32));
  return difference(on, fresh);
}

Result<std::string> check_round_trip(Session& session, std::uint64_t) {
  const std::array<std::string_view, 7> texts = {
      "A plain sentence, with 12 numbers & signs.",
      "  two spaces in front, three   within, one at the end ",
      "line\nline\n\n\ttab\r\nend",
      "caf\u00e9 na\u00efve \u00fcber \u4f60\u597d \u0441\u043b\u043e\u0432\u043e "
      "\u0645\u0631\u062d\u0628\u0627",
      "\U0001F600\U0001F469\u200D\U0001F4BB e\u0301",
      "int main() { return x[0] ? 1 : -2; }  // code",
      "<|im_start|> is text here, not a control token"};
  const Tokenizer& tokenizer = session.tokenizer();
  for (const std::string_view text : texts) {
    const Tokens ids = tokenizer.encode(text, {.add_special = false});
    if (tokenizer.decode(ids, true) != text)
      return fmt::format("\"{}\" comes back as \"{}\"", text, tokenizer.decode(ids, true));
  }
  return std::string();
}

Result<std::string> check_seed(Session& session, std::uint64_t seed) {
  const Tokens prompt = drawn_tokens(session, seed, 13, 8);
  GenerateOptions options;
  options.max_tokens = 24;
  options.ignore_end = true;
  options.sampler = {.temperature = 1.5f, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed};
  const auto sampled = [&]() -> Result<Tokens> {
    session.cache().truncate(0);
    CB_TRY(Generation generation, generate(session, prompt, options));
    return std::move(generation.tokens);
  };
  CB_TRY(const Tokens first, sampled());
  CB_TRY(const Tokens again, sampled());
  options.sampler.seed = seed + 1;
  CB_TRY(const Tokens other, sampled());
  if (first != again) return std::string("the same seed gave another text");
  return std::string(first == other ? "another seed gave the same text" : "");
}

Result<std::string> check_threads(Session& session, std::uint64_t seed) {
  const Tokens tokens = drawn_tokens(session, seed, 14);
  CB_TRY(const Rows here, read_alone(session, tokens));
  SessionOptions options = session.options();
  options.threads = options.threads == 1 ? 3 : 1;
  options.repack = !options.repack;
  CB_TRY(Session other, Session::open(session.file().path(), options));
  CB_TRY(const Rows there, read_alone(other, tokens));
  return difference(here, there);
}

Result<std::string> check_template(Session& session, std::uint64_t) {
  if (session.chat_template_source() == nullptr) return std::string();
  const std::string message = "a message that stands out";
  const nlohmann::ordered_json messages = {{{"role", "user"}, {"content", message}}};
  CB_TRY(const std::string text, session.render_chat(messages, 1735689600));
  if (text.find(message) == std::string::npos)
    return std::string("the message is not in the prompt");
  const Tokens ids =
      session.tokenizer().encode(text, {.add_special = false, .parse_special = true});
  const bool control =
      std::ranges::any_of(ids, [&](TokenId id) { return session.tokenizer().is_control(id); });
  return std::string(control ? "" : "the prompt has no control token");
}

constexpr std::array kChecks = {
    UnitCheck{"finite", "every row of logits is finite and its probabilities sum to one",
              check_finite},
    UnitCheck{"repeat", "the same tokens give the same logits again", check_repeat},
    UnitCheck{"batch size", "tokens one by one, by sevens and all at once give the same logits",
              check_batch_size},
    UnitCheck{"company", "sequences of other lengths beside it do not change a sequence",
              check_company},
    UnitCheck{"order", "the order of sequences in a batch changes nothing", check_order},
    UnitCheck{"causality", "a later token changes its own logits and no earlier ones",
              check_causality},
    UnitCheck{"prefix", "going on from a copied prefix is reading everything", check_prefix},
    UnitCheck{"replay", "what was read and forgotten leaves no trace", check_replay},
    UnitCheck{"edges", "one token has logits, no token changes nothing", check_edges},
    UnitCheck{"refusals", "an unknown token and a text too long are refused without a trace",
              check_refusals},
    UnitCheck{"threads", "other threads and unpacked weights give the same logits", check_threads},
    UnitCheck{"seed", "a seed names a sampled text, another seed another", check_seed},
    UnitCheck{"round trip", "text becomes tokens and the same text again", check_round_trip},
    UnitCheck{"template", "the chat template sets a message between control tokens",
              check_template},
};

}  // namespace

std::span<const UnitCheck> all_unit_checks() { return kChecks; }

}  // namespace checkbit
