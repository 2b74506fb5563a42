#include "run/session.h"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include <algorithm>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "base/progress.h"

namespace checkbit {

struct LogitsHash::State {
  XXH3_state_t xxh;
};

LogitsHash::LogitsHash() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->xxh); }
LogitsHash::~LogitsHash() = default;
LogitsHash::LogitsHash(LogitsHash&&) noexcept = default;
LogitsHash& LogitsHash::operator=(LogitsHash&&) noexcept = default;

void LogitsHash::update(std::span<const float> row) {
  XXH3_64bits_update(&state_->xxh, row.data(), row.size_bytes());
}

std::string LogitsHash::hex() const {
  return fmt::format("{:016x}", XXH3_64bits_digest(&state_->xxh));
}

/// Members in order of construction: each refers to those before it.
struct Session::Impl {
  SessionOptions options;
  std::unique_ptr<ThreadPool> pool;
  std::optional<ModelFile> file;
  std::optional<Tokenizer> tokenizer;
  std::optional<std::string> template_source;
  std::optional<Model> model;
  std::optional<Executor> executor;
  std::optional<KvCache> cache;
  Isa isa = Isa::scalar;
  Status memory_lock;
  std::unique_ptr<SessionGuard> guard;
};

namespace {

ThreadPlacement placement_for(Pinning pinning, int threads) {
  if (pinning == Pinning::off) return {};
  const std::vector<Processor> topology = read_topology(allowed_processors());
  const bool usual = count_nodes(topology) > 1 && threads <= std::ssize(topology);
  return pinning == Pinning::cores || usual ? place_threads(topology, threads) : ThreadPlacement();
}

Result<Model> load_model(const ModelFile& file, const SessionOptions& options, ThreadPool& pool) {
  Progress progress("loading", file.size_bytes(), "bytes");
  PackOptions pack{options.repack, options.activations, options.guard >= GuardLevel::check, 0};
  if (pack.checks) {
    std::random_device secret;
    pack.check_seed = std::uint64_t{secret()} << 32 | secret();
  }
  return Model::load(file, pack, pool,
                     [&](std::uint64_t done, std::uint64_t) { progress.set(done); });
}

}  // namespace

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::open(const std::string& path, const SessionOptions& options) {
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return fail(ErrorKind::invalid, "{} threads is not in 1..{}", options.threads, kMaxThreads);
  }
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  CB_TRY(impl->isa, select_isa());
  CB_TRY(impl->file, ModelFile::open(path));
  const auto named = [&](Error error) {
    error.message = fmt::format("{}: {}", path, error.message);
    return error;
  };
  if (const auto source = impl->file->metadata().get_string("tokenizer.chat_template"))
    impl->template_source = *source;
  // A large vocabulary takes one thread as long as a small model's weights take all of them.
  auto reading =
      std::async(std::launch::async, [&] { return Tokenizer::create(impl->file->metadata()); });
  const int threads = options.threads > 0 ? options.threads : usable_processors();
  impl->pool = std::make_unique<ThreadPool>(threads, placement_for(options.pinning, threads));
  Result<Model> model = load_model(*impl->file, options, *impl->pool);
  Result<Tokenizer> tokenizer = reading.get();
  if (!tokenizer) return named(tokenizer.error());
  impl->tokenizer = *std::move(tokenizer);
  CB_TRY(impl->model, std::move(model));
  if (options.lock_memory) impl->memory_lock = impl->model->lock_weights();
  const Hyperparameters& h = impl->model->hyperparameters();
  if (static_cast<std::int64_t>(impl->tokenizer->size()) > h.vocabulary) {
    return fail(ErrorKind::corrupt,
                "{}: the tokenizer has {} tokens, tensor token_embd.weight has rows for {}", path,
                impl->tokenizer->size(), h.vocabulary);
  }
  std::int64_t context = options.context_tokens;
  if (context == 0) context = std::min(h.context_length, kDefaultContext);
  if (context < 1 || context > h.context_length) {
    return fail(ErrorKind::invalid,
                "{}: a context of {} tokens is not in 1..{}, what the model was trained for", path,
                context, h.context_length);
  }
  const CacheType usual =
      options.activations == ActivationMode::f32 ? CacheType::f32 : CacheType::f16;
  CB_TRY(impl->cache, KvCache::create(h, context, options.cache_type.value_or(usual)));
  const std::int64_t batch =
      std::clamp<std::int64_t>(options.batch_tokens, 1, std::max<std::int64_t>(context, 1));
  CB_TRY(impl->executor,
         Executor::create(*impl->model, kernels_for(impl->isa), *impl->pool, batch,
                          std::clamp<std::int64_t>(options.max_logits, 1, batch), options.guard));
  impl->executor->set_guard_every(options.guard_every);
  return Session(std::move(impl));
}

const ModelFile& Session::file() const { return *impl_->file; }
const Model& Session::model() const { return *impl_->model; }
Model& Session::model() { return *impl_->model; }
const Tokenizer& Session::tokenizer() const { return *impl_->tokenizer; }
const std::string* Session::chat_template_source() const {
  return impl_->template_source ? &*impl_->template_source : nullptr;
}
Executor& Session::executor() { return *impl_->executor; }
const GuardCounters& Session::guard_counters() const { return impl_->executor->guard_counters(); }
const Executor& Session::executor() const { return *impl_->executor; }
ThreadPool& Session::pool() { return *impl_->pool; }
const ThreadPool& Session::pool() const { return *impl_->pool; }
KvCache& Session::cache() { return *impl_->cache; }
CacheType Session::cache_type() const { return impl_->cache->type(); }
Isa Session::isa() const { return impl_->isa; }
std::int64_t Session::context_tokens() const { return impl_->cache->capacity(); }
const SessionOptions& Session::options() const { return impl_->options; }
const Status& Session::memory_lock() const { return impl_->memory_lock; }
void Session::set_guard(std::unique_ptr<SessionGuard> guard) { impl_->guard = std::move(guard); }
SessionGuard* Session::guard() const { return impl_->guard.get(); }

std::uint64_t Session::planned_bytes() const {
  return impl_->model->packed_bytes() +
         KvCache::bytes_for(impl_->model->hyperparameters(), impl_->cache->capacity(),
                            impl_->cache->type()) +
         impl_->executor->buffer_bytes();
}

Status Session::evaluate(std::span<const TokenId> tokens, Logits wanted, const RowCallback& row) {
  KvCache& cache = *impl_->cache;
  Executor& executor = *impl_->executor;
  const std::int64_t start = cache.length();
  if (start + static_cast<std::int64_t>(tokens.size()) > cache.capacity()) {
    const std::string used = start > 0 ? fmt::format(", of which {} are used", start) : "";
    return fail(
        ErrorKind::invalid,
        "{}: {} tokens do not fit into the context of {}{}; use --context N or a shorter text",
        impl_->file->path(), tokens.size(), cache.capacity(), used);
  }
  const auto undo = [&](Error error) {
    cache.truncate(start);
    return error;
  };
  const auto pass = static_cast<std::size_t>(wanted == Logits::all ? executor.max_logits()
                                                                   : executor.max_batch());
  std::vector<BatchToken> batch;
  for (std::size_t at = 0; at < tokens.size();) {
    if (cancel_requested()) return undo(cancelled_error());
    const std::size_t count = std::min(pass, tokens.size() - at);
    batch.clear();
    for (std::size_t i = at; i < at + count; ++i) {
      const bool last = i + 1 == tokens.size();
      batch.push_back(
          {&cache, tokens[i], wanted == Logits::all || (wanted == Logits::last && last)});
    }
    auto logits = executor.evaluate(batch);
    if (!logits) return undo(logits.error());
    const std::size_t first =
        wanted == Logits::all ? at : at + count - static_cast<std::size_t>(logits->rows);
    for (std::int64_t r = 0; r < logits->rows; ++r) {
      if (auto status = row(first + static_cast<std::size_t>(r), logits->row(r)); !status)
        return undo(status.error());
    }
    at += count;
  }
  return {};
}

Result<std::string> Session::render_chat(const nlohmann::ordered_json& messages,
                                         std::int64_t now_seconds) const {
  const std::string* source = chat_template_source();
  if (source == nullptr) {
    return fail(ErrorKind::unsupported, "{}: the model has no chat template; use `run --raw`",
                impl_->file->path());
  }
  CB_TRY(const ChatTemplate parsed, ChatTemplate::parse(*source));
  const Tokenizer& t = *impl_->tokenizer;
  const auto text_of = [&](std::optional<TokenId> id) {
    return id ? std::string(t.piece(*id, true)) : std::string();
  };
  nlohmann::ordered_json variables;
  variables["messages"] = messages;
  variables["add_generation_prompt"] = true;
  variables["bos_token"] = text_of(t.bos());
  variables["eos_token"] = text_of(t.eos());
  return parsed.render(variables, now_seconds);
}

}  // namespace checkbit
