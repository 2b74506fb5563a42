#include "measure/sweep/session_candidate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/progress.h"

namespace checkbit {
namespace {

constexpr std::int64_t kPromptTokens = 16;
constexpr std::int64_t kTimedTokens = 32;

class SessionCandidate : public OpenCandidate {
 public:
  explicit SessionCandidate(Session session) : session_(std::move(session)), source_(session_) {}
  LogitsSource& source() override { return source_; }

  Result<StoredSpeed> measure_speed() override {
    using Clock = std::chrono::steady_clock;
    session_.cache().truncate(0);
    const auto nothing = [](std::size_t, std::span<const float>) -> Status { return {}; };
    // Any ids will do: what a pass takes does not depend on them.
    const std::int64_t context = session_.context_tokens();
    const std::int64_t prompt_tokens = std::min<std::int64_t>(kPromptTokens, context / 2);
    const std::int64_t timed_tokens = std::min<std::int64_t>(kTimedTokens, context - prompt_tokens);
    const std::vector<TokenId> prompt(static_cast<std::size_t>(prompt_tokens), 1);
    CB_TRY_STATUS(session_.evaluate(prompt, Logits::last, nothing));
    std::vector<double> seconds;
    for (std::int64_t i = 0; i < timed_tokens; ++i) {
      if (cancel_requested()) return cancelled_error();
      const auto start = Clock::now();
      CB_TRY_STATUS(session_.evaluate(std::span(prompt).first(1), Logits::last, nothing));
      seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    session_.cache().truncate(0);
    return median_speed(std::move(seconds));
  }

 private:
  Session session_;
  SessionSource source_;
};

}  // namespace

StoredSpeed median_speed(std::vector<double> seconds) {
  CB_CHECK(!seconds.empty());
  std::ranges::sort(seconds);
  const std::size_t n = seconds.size();
  const double median = n % 2 == 1 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2;
  // The largest k with P(Binomial(n, 1/2) < k) at most 2.5 %: the interval is [x_k, x_(n-k+1)].
  double term = std::pow(0.5, static_cast<double>(n));
  double below = term;
  std::size_t k = 0;
  while (below <= 0.025 && k < n / 2) {
    ++k;
    term *= static_cast<double>(n - k + 1) / static_cast<double>(k);
    below += term;
  }
  const std::size_t low = k > 0 ? k - 1 : 0;
  return {median, seconds[low], seconds[n - 1 - low]};
}

Result<std::unique_ptr<OpenCandidate>> open_session_candidate(const std::string& path,
                                                              const SessionOptions& options) {
  CB_TRY(Session session, Session::open(path, options));
  return std::unique_ptr<OpenCandidate>(std::make_unique<SessionCandidate>(std::move(session)));
}

}  // namespace checkbit
