#include "guard/live_guard.h"

#include <algorithm>
#include <atomic>

#include "guard/beacon.h"
#include "guard/guarded_rows.h"
#include "guard/program_image.h"

namespace checkbit {

/// Members in order of construction: the scrubber ends first.
struct LiveGuard::Impl {
  const Model* model = nullptr;
  Executor* executor = nullptr;
  std::mutex mutex;  ///< of failure
  std::optional<Error> failure;
  std::atomic<bool> failed{false};
  RepairTally tally;
  std::vector<std::unique_ptr<GuardedSpan>> spans;
  std::unique_ptr<GuardedRows> rows;
  std::optional<Beacon> beacon;
  std::optional<Scrubber> scrubber;

  void note_failure(Error error) {
    const std::lock_guard lock(mutex);
    if (!failure) failure = std::move(error);
    failed = true;
  }
  Status health() {
    if (!failed) return {};
    const std::lock_guard lock(mutex);
    return *failure;
  }
  std::string matrix_at(std::uint64_t offset) const;
  bool repair(std::span<const PackedMatrix* const> matrices);
  Status add_span(GuardedSpan::Description description, ThreadPool& pool);
  Status guard_memory(ThreadPool& pool, bool program);
  Status guard_rows(Session& session);
};

std::string LiveGuard::Impl::matrix_at(std::uint64_t offset) const {
  const std::uint8_t* at = model->packed_weights().data() + offset;
  for (const PackedMatrix* matrix : model->matrices()) {
    const auto bytes = matrix->packed_from(0);
    if (at >= bytes.data() && at < bytes.data() + bytes.size())
      return fmt::format("tensor {}", matrix->name());
  }
  return "between tensors";
}

/// True when the weights are other ones now. A failure to mend shows in health().
bool LiveGuard::Impl::repair(std::span<const PackedMatrix* const> matrices) {
  std::uint64_t wrong = 0;
  for (const PackedMatrix* matrix : matrices) {
    const auto packed = matrix->packed_from(0);
    if (!packed.empty()) wrong += spans.front()->verify_bytes(packed);
  }
  return wrong > 0;
}

Status LiveGuard::Impl::add_span(GuardedSpan::Description description, ThreadPool& pool) {
  if (description.bytes.empty()) return {};
  description.on_failure = [this](Error error) { note_failure(std::move(error)); };
  CB_TRY(auto span, GuardedSpan::create(std::move(description), tally, &pool));
  spans.push_back(std::move(span));
  return {};
}

/// The packed weights come first: `repair` counts on it.
Status LiveGuard::Impl::guard_memory(ThreadPool& pool, bool program) {
  const auto from_file = [this](std::span<const std::uint8_t> part, std::uint8_t* out) {
    model->read_again(part, out);
    return true;
  };
  CB_TRY_STATUS(add_span({.name = "packed weights",
                          .bytes = model->mendable_weights(),
                          .source = from_file,
                          .place_of = [this](std::uint64_t offset) { return matrix_at(offset); }},
                         pool));
  CB_TRY_STATUS(add_span(
      {.name = "norms and biases", .bytes = model->mendable_vectors(), .source = from_file}, pool));
  for (const std::span<std::uint8_t> bytes : executor->read_only_bytes())
    CB_TRY_STATUS(add_span({.name = "rotary frequencies", .bytes = bytes}, pool));
  if (!program) return {};
  for (const ProgramSegment& segment : program_segments()) {
    CB_TRY_STATUS(add_span({.name = segment.executable ? "program code" : "program tables",
                            .bytes = segment.bytes,
                            .writable = false,
                            .executable = segment.executable},
                           pool));
  }
  return {};
}

/// Where the table's rows are too long or the file too scattered, they stay as they are: the
/// coverage table says so.
Status LiveGuard::Impl::guard_rows(Session& session) {
  const PackedMatrix* table = model->matrix(Role::token_embedding);
  const ModelTensor& tensor = table->tensor();
  if (tensor.info.row_bytes() > GuardedRows::kMostRowBytes) return {};
  auto made = GuardedRows::create(
      session.file().parts()[tensor.part], tensor, tally,
      [this](Error error) { note_failure(std::move(error)); }, &session.pool());
  if (!made) {
    const bool open =
        made.error().kind == ErrorKind::not_found || made.error().kind == ErrorKind::unsupported;
    return open ? Status() : Status(made.error());
  }
  rows = *std::move(made);
  session.model().look_up_through([this](std::span<const std::uint8_t> source, std::uint8_t* out) {
    rows->copy(source, out);
    return true;
  });
  return {};
}

LiveGuard::LiveGuard(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

LiveGuard::~LiveGuard() {
  impl_->scrubber.reset();
  impl_->executor->set_weight_repair({});
  impl_->executor->set_health({});
}

Result<std::unique_ptr<LiveGuard>> LiveGuard::create(Session& session,
                                                     const LiveGuardOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->model = &session.model();
  impl->executor = &session.executor();
  CB_TRY_STATUS(impl->guard_memory(session.pool(), options.program));
  CB_TRY_STATUS(impl->guard_rows(session));
  std::vector<GuardedSpan*> walked;
  std::vector<GuardedRegion> regions;
  for (const auto& span : impl->spans) {
    walked.push_back(span.get());
    regions.push_back({span->name(), reinterpret_cast<std::uintptr_t>(span->bytes().data()),
                       span->bytes().size()});
  }
  Impl* const raw = impl.get();
  if (!impl->model->packed_weights().empty()) {
    session.executor().set_weight_repair(
        [raw](std::span<const PackedMatrix* const> matrices) { return raw->repair(matrices); });
  }
  session.executor().set_health([raw] { return raw->health(); });
  impl->scrubber.emplace(std::move(walked), options.scrub);
  impl->beacon.emplace(regions);
  return std::unique_ptr<LiveGuard>(new LiveGuard(std::move(impl)));
}

LiveCounters LiveGuard::counters() const {
  LiveCounters counters;
  for (const GuardedExtent& extent : extents()) {
    counters.guarded_bytes += extent.bytes;
    counters.extra_bytes += extent.extra_bytes;
  }
  impl_->tally.fill(counters);
  impl_->scrubber->fill(counters);
  if (impl_->rows) counters.rows_verified = impl_->rows->verified();
  return counters;
}

void LiveGuard::scrub() { impl_->scrubber->pass(); }

std::vector<GuardedExtent> LiveGuard::extents() const {
  std::vector<GuardedExtent> all;
  for (const auto& span : impl_->spans) {
    const auto known = std::ranges::find(all, span->name(), &GuardedExtent::name);
    GuardedExtent& extent =
        known != all.end() ? *known : all.emplace_back(GuardedExtent{.name = span->name()});
    extent.bytes += span->bytes().size();
    extent.extra_bytes += span->extra_bytes();
  }
  if (impl_->rows)
    all.push_back({"embedding rows", impl_->rows->bytes(), impl_->rows->extra_bytes(), true});
  return all;
}

GuardedSpan* LiveGuard::span(std::string_view name) {
  const auto found =
      std::ranges::find_if(impl_->spans, [&](const auto& span) { return span->name() == name; });
  return found == impl_->spans.end() ? nullptr : found->get();
}

Status attach_guard(Session& session, const LiveGuardOptions& options) {
  CB_CHECK(session.options().guard != GuardLevel::off && session.guard() == nullptr);
  CB_TRY(std::unique_ptr<LiveGuard> guard, LiveGuard::create(session, options));
  session.set_guard(std::move(guard));
  return {};
}

}  // namespace checkbit
