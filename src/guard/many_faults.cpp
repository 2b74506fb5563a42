#include "guard/many_faults.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>

#include "base/progress.h"
#include "guard/code_faults.h"
#include "guard/product_faults.h"
#include "guard/seal_faults.h"

namespace checkbit {
namespace {

constexpr std::uint64_t kPiece = 64;  // trials that a thread takes at once
constexpr std::uint64_t kMostMatrixBytes = 32u << 20;
constexpr std::size_t kSealedBytes = 16 * kCodeBlockBytes;

using Clock = std::chrono::steady_clock;
using Inputs = std::map<std::string, std::vector<float>>;

/// Keeps what goes into linear steps.
class InputRecorder : public StepObserver {
 public:
  explicit InputRecorder(const Model& model) : model_(model) {}
  void before(const StepView& view) override {
    if (view.step.kind != StepKind::linear) return;
    const PackedMatrix* matrix = model_.matrix(view.step.weight, view.layer);
    if (matrix == nullptr) return;
    std::vector<float>& rows = inputs[matrix->name()];
    rows.clear();
    const std::int64_t tokens = std::min<std::int64_t>(view.n_tokens, kWidestBlock);
    for (std::int64_t t = view.n_tokens - tokens; t < view.n_tokens; ++t) {
      const float* row = view.in + t * view.in_stride;
      rows.insert(rows.end(), row, row + view.in_size);
    }
  }
  Inputs inputs;

 private:
  const Model& model_;
};

using Trial = std::function<Result<Outcome>(const FaultSpec&, std::uint64_t)>;
/// What a thread runs trials with.
using TrialFactory = std::function<Result<Trial>()>;

/// Trials over threads, counted together.
class Trials {
 public:
  Trials(const char* what, const ManyFaultsOptions& options)
      : options_(options), progress_(what, options.trials, "trials") {}

  /// Of one sample; even numbers have one fault, odd ones two.
  Status run(const TrialFactory& make, std::uint64_t trials, std::uint64_t seed) {
    if (trials == 0) return {};
    std::vector<Trial> workers;
    const std::uint64_t most = (trials + kPiece - 1) / kPiece;
    for (std::size_t i = 0; i < std::min<std::uint64_t>(options_.threads, most); ++i) {
      CB_TRY(Trial worker, make());
      workers.push_back(std::move(worker));
    }
    next_ = 0;
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < workers.size(); ++i)
      threads.emplace_back([&, i] { work(workers[i], trials, seed); });
    work(workers[0], trials, seed);
    for (std::thread& thread : threads) thread.join();
    if (error_) return *error_;
    return cancel_requested() ? Status(cancelled_error()) : Status();
  }

  /// Everything so far.
  ManyFaults& found() { return found_; }
  ManyFaults finish() {
    found_.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    return std::move(found_);
  }

 private:
  void work(const Trial& trial, std::uint64_t trials, std::uint64_t seed) {
    FaultSpec single;
    single.seed = seed;
    FaultSpec pair = single;
    pair.count = 2;
    OutcomeCounts singles;
    OutcomeCounts pairs;
    std::optional<Error> error;
    while (!cancel_requested() && !error) {
      const std::uint64_t begin = next_.fetch_add(kPiece);
      if (begin >= trials) break;
      const std::uint64_t end = std::min(begin + kPiece, trials);
      for (std::uint64_t n = begin; n < end && !error; ++n) {
        const Result<Outcome> outcome = trial(n % 2 == 0 ? single : pair, n);
        if (!outcome) {
          error = outcome.error();
        } else {
          (n % 2 == 0 ? singles : pairs).add(*outcome);
        }
      }
      progress_.advance(end - begin);
    }
    const std::scoped_lock lock(mutex_);
    if (error && !error_) error_ = error;
    found_.single.add(singles);
    found_.pair.add(pairs);
  }

  const ManyFaultsOptions& options_;
  Progress progress_;
  const Clock::time_point start_ = Clock::now();
  std::atomic<std::uint64_t> next_ = 0;
  std::mutex mutex_;  ///< of what follows
  ManyFaults found_;
  std::optional<Error> error_;
};

/// Evenly over all that qualify, in the order of the file.
template <class T>
std::vector<T> sample_of(const std::vector<T>& all, std::size_t count) {
  std::vector<T> sample;
  count = std::min(count, all.size());
  for (std::size_t i = 0; i < count; ++i)
    sample.push_back(all[(2 * i + 1) * all.size() / (2 * count)]);
  return sample;
}

/// Trials of the part [before, before + part) of `whole`: the parts' add up.
std::uint64_t share_of_trials(std::uint64_t trials, std::uint64_t before, std::uint64_t part,
                              std::uint64_t whole) {
  const auto up_to = [&](std::uint64_t at) {
    return static_cast<std::uint64_t>(static_cast<double>(trials) * static_cast<double>(at) /
                                      static_cast<double>(whole));
  };
  return (before + part == whole ? trials : up_to(before + part)) - up_to(before);
}

/// Trials of one product with this input.
Status run_product(Trials& trials, const ModelTensor& tensor, const std::vector<float>& x,
                   GuardLevel level, std::uint64_t check_seed, std::uint64_t count,
                   std::uint64_t seed) {
  std::vector<std::unique_ptr<ProductFaults>> products;
  const TrialFactory make = [&]() -> Result<Trial> {
    CB_TRY(auto product, ProductFaults::create(tensor, x, level, check_seed));
    products.push_back(std::move(product));
    return Trial([&product = *products.back()](const FaultSpec& spec, std::uint64_t n) {
      return Result<Outcome>(product.trial(spec, n));
    });
  };
  CB_TRY_STATUS(trials.run(make, count, seed));
  if (products.empty()) return {};
  ManyFaults& found = trials.found();
  found.bits += products[0]->bits();
  for (const auto& product : products) found.checks += product->checks();
  found.samples.push_back(fmt::format("{} ({}), {} tokens", tensor.info.name,
                                      products[0]->format().name, products[0]->tokens()));
  return {};
}

/// Of the first part of the model, `stretch` bytes each.
std::vector<std::span<const std::uint8_t>> stretches_of(const ModelFile& file, std::size_t stretch,
                                                        std::size_t samples) {
  const std::span<const std::uint8_t> bytes = file.parts()[0].bytes();
  stretch = std::min(stretch, bytes.size());
  std::vector<std::span<const std::uint8_t>> all;
  for (std::size_t at = 0; at + stretch <= bytes.size(); at += stretch)
    all.push_back(bytes.subspan(at, stretch));
  return sample_of(all, samples);
}

/// Trials of every stretch with an object made of it.
template <class Faults>
Result<ManyFaults> faults_on_stretches(
    const char* what, const ModelFile& file, std::size_t stretch, CodeShape shape,
    const ManyFaultsOptions& options,
    const std::function<Result<std::unique_ptr<Faults>>(std::span<const std::uint8_t>, CodeShape)>&
        create) {
  CB_TRY_STATUS(check_shape(shape));
  Trials trials(what, options);
  const auto sample = stretches_of(file, stretch, options.samples);
  for (std::size_t i = 0; i < sample.size(); ++i) {
    std::vector<std::unique_ptr<Faults>> made;
    const TrialFactory make = [&]() -> Result<Trial> {
      CB_TRY(std::unique_ptr<Faults> faults, create(sample[i], shape));
      made.push_back(std::move(faults));
      return Trial([&faults = *made.back()](const FaultSpec& spec, std::uint64_t n) {
        return Result<Outcome>(faults.trial(spec, n));
      });
    };
    CB_TRY_STATUS(
        trials.run(make, share_of_trials(options.trials, i, 1, sample.size()), options.seed + i));
    if (made.empty()) continue;
    trials.found().bits += made[0]->bits();
    const auto at = sample[i].data() - file.parts()[0].bytes().data();
    trials.found().samples.push_back(fmt::format("bytes {} to {}", at, at + std::ssize(sample[i])));
  }
  return trials.finish();
}

}  // namespace

Result<Inputs> inputs_of_products(Session& session, std::span<const TokenId> text) {
  InputRecorder recorder(session.model());
  session.cache().truncate(0);
  session.executor().add_observer(&recorder);
  const Status status = session.evaluate(
      text, Logits::last, [](std::size_t, std::span<const float>) -> Status { return {}; });
  session.executor().clear_observers();
  session.cache().truncate(0);
  if (!status) return status.error();
  return std::move(recorder.inputs);
}

Result<ManyFaults> faults_on_products(Session& session, std::span<const TokenId> text,
                                      GuardLevel level, const ManyFaultsOptions& options) {
  CB_TRY(const Inputs inputs, inputs_of_products(session, text));
  std::vector<const PackedMatrix*> fitting;
  for (const PackedMatrix* matrix : session.model().matrices()) {
    if (matrix->quantizes() && matrix->packed_bytes() <= kMostMatrixBytes &&
        inputs.contains(matrix->name()))
      fitting.push_back(matrix);
  }
  if (fitting.empty()) {
    return fail(ErrorKind::unsupported, "{}: no matrix has integer products to check",
                session.file().path());
  }
  const auto sample = sample_of(fitting, options.samples);
  std::uint64_t whole = 0;
  for (const PackedMatrix* matrix : sample) whole += matrix->packed_bytes();
  Trials trials("faults on products", options);
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const ModelTensor* tensor = session.file().find(sample[i]->name());
    CB_CHECK(tensor != nullptr);
    const std::uint64_t bytes = sample[i]->packed_bytes();
    const std::uint64_t count = share_of_trials(options.trials, before, bytes, whole);
    before += bytes;
    const std::vector<float>& rows = inputs.at(sample[i]->name());
    const std::vector<float> last(rows.end() - sample[i]->columns(), rows.end());
    const std::uint64_t of_blocks = rows.size() > last.size() ? count / 2 : 0;
    CB_TRY_STATUS(
        run_product(trials, *tensor, rows, level, options.seed, of_blocks, options.seed + 2 * i));
    CB_TRY_STATUS(run_product(trials, *tensor, last, level, options.seed, count - of_blocks,
                              options.seed + 2 * i + 1));
  }
  return trials.finish();
}

Result<ManyFaults> faults_on_blocks(const ModelFile& file, CodeShape shape,
                                    const ManyFaultsOptions& options) {
  return faults_on_stretches<CodeFaults>(
      "faults on blocks", file, std::size_t{shape.data_blocks} * kCodeBlockBytes, shape, options,
      [](std::span<const std::uint8_t> bytes, CodeShape of) -> Result<std::unique_ptr<CodeFaults>> {
        CB_TRY(CodeFaults code, CodeFaults::create(bytes, of));
        return std::make_unique<CodeFaults>(std::move(code));
      });
}

Result<ManyFaults> faults_on_seals(const ModelFile& file, CodeShape shape,
                                   const ManyFaultsOptions& options) {
  return faults_on_stretches<SealFaults>("faults on seals", file, kSealedBytes, shape, options,
                                         SealFaults::create);
}

}  // namespace checkbit
