#include "cli/startup_notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/resident_memory.h"
#include "kernels/isa_choice.h"
#include "report/number.h"

namespace checkbit {
namespace {

std::string count_of(std::size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string quantity(std::uint64_t bytes) {
  return print_quantity(static_cast<double>(bytes), "bytes");
}

void add(std::vector<std::string>& notes, std::string note) {
  if (!note.empty()) notes.push_back(std::move(note));
}

double packed_bits(const PackedMatrix& matrix) {
  const std::int64_t rows = matrix.panels() * kPanelRows;
  return 8 *
         static_cast<double>(
             PackedMatrix::packed_bytes_for(matrix.format(), rows, matrix.columns())) /
         static_cast<double>(rows * matrix.columns());
}

void add_flags(const Session& session, std::vector<std::string>& notes) {
  const SessionOptions& options = session.options();
  if (!options.repack) {
    notes.push_back("--no-repack: weights are packed again for every product: slower");
  }
  if (options.activations == ActivationMode::f32) {
    notes.push_back("--activations f32: all products are taken in floats: slower");
  }
  if (options.lock_memory && !options.repack) {
    notes.push_back("--lock-memory: with --no-repack there are no packed weights to lock");
  } else if (!session.memory_lock().ok()) {
    notes.push_back(
        fmt::format("--lock-memory: {}; `ulimit -l` shows what is allowed; the run "
                    "goes on without",
                    session.memory_lock().error().message));
  }
}

}  // namespace

std::string matrices_of(std::size_t n) {
  return n == 1 ? "1 matrix" : fmt::format("{} matrices", n);
}

std::string some_names(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 3;
  const std::size_t shown = std::min(names.size(), kShown);
  std::string text = fmt::format(
      "{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

std::string TypeProduct::reason() const {
  if (path == "integer") return fmt::format("{}: the integer form of {}", kernel, format->name);
  if (path == "widened") {
    return fmt::format("{}: {} widened to 8 bits, as no kernel has its form", kernel, format->name);
  }
  if (format->unpack == nullptr) return fmt::format("float: {} has no integer form", format->name);
  return fmt::format("float: {} decoded", format->name);
}

std::vector<TypeProduct> type_products(const Model& model) {
  std::vector<TypeProduct> products;
  const PackedMatrix* embedding = model.matrix(Role::token_embedding);
  for (const PackedMatrix* matrix : model.matrices()) {
    if (matrix == embedding && matrix != model.matrix(Role::output)) continue;  // only looked up
    const auto same = [&](const TypeProduct& p) {
      return p.format == &matrix->format() && p.path == matrix->path() &&
             p.kernel == matrix->kernel_name();
    };
    auto found = std::ranges::find_if(products, same);
    if (found == products.end()) {
      products.push_back(
          {&matrix->format(), matrix->path(), matrix->kernel_name(), {}, packed_bits(*matrix)});
      found = products.end() - 1;
    }
    found->tensors.push_back(matrix->name());
  }
  return products;
}

std::string TypeProduct::note() const {
  constexpr double kNoticeable = 1.5;
  const bool grows = packed_bits > kNoticeable * format->bits_per_weight();
  std::string what;
  if (path == "float") {
    what = format->unpack == nullptr
               ? "products in floats: slower than a type with integer form"
               : "products in floats, as its blocks do not fit the rows: slower";
  } else if (path == "widened" || grows) {
    what = fmt::format("{:.3g} bits a weight in memory, {:.3g} in the file: more to read{}",
                       packed_bits, format->bits_per_weight(),
                       path == "widened" ? ", as no kernel has its form" : "");
  } else {
    return "";
  }
  return fmt::format("{} ({}: {}): {}", format->name, matrices_of(tensors.size()),
                     some_names(tensors), what);
}

std::vector<std::string> product_notes(const Model& model) {
  std::vector<std::string> notes;
  if (model.options().activations == ActivationMode::f32) return notes;  // a note of its own
  for (const TypeProduct& p : type_products(model)) add(notes, p.note());
  return notes;
}

std::string placement_note(const ThreadPool& pool, Pinning wanted, bool repack) {
  const ThreadPlacement& placement = pool.placement();
  if (placement.processors.empty()) {
    return wanted == Pinning::cores
               ? "--pin cores: the system does not say which processors there are"
               : "";
  }
  if (pool.pinned() < pool.size()) {
    return fmt::format("the system refused to pin {} of {} threads to their processors",
                       pool.size() - pool.pinned(), pool.size());
  }
  if (wanted != Pinning::usual) return "";
  return fmt::format(
      "{} threads are pinned to cores of {} memory nodes{}; --pin off leaves it to the system",
      pool.size(), placement.nodes, repack ? ", next to the weights that they read" : "");
}

std::string isa_note(Isa isa, const char* forced) {
  const Isa best = best_isa();
  if (forced != nullptr && *forced != '\0' && isa != best) {
    return fmt::format("CHECKBIT_ISA={}: slower than {}, which this processor has", forced,
                       to_string(best));
  }
  if (isa != Isa::scalar) return "";
#if defined(__x86_64__)
  return "this processor has no AVX2 with FMA: scalar code runs, many times slower";
#else
  return "there are no kernels for this processor's instruction set: scalar code runs, many times "
         "slower";
#endif
}

std::vector<std::string> thread_notes(int threads, int usable, int allowed,
                                      const MachineLimits& limits) {
  std::vector<std::string> notes;
  if (limits.processors && *limits.processors < allowed) {
    notes.push_back(fmt::format("the control group allows {:.3g} of {}", *limits.processors,
                                count_of(static_cast<std::size_t>(allowed), "processor")));
  }
  if (threads > usable) {
    notes.push_back(fmt::format("{} threads take turns on {}: slower than --threads {}", threads,
                                count_of(static_cast<std::size_t>(usable), "processor"), usable));
  }
  return notes;
}

std::string memory_note(std::uint64_t needed_bytes, std::uint64_t usable_bytes) {
  if (needed_bytes <= usable_bytes) return "";
  return fmt::format(
      "a full context takes {}, and this process may use {}: a smaller --context or "
      "--kv-cache q8_0 takes less, --no-repack leaves the weights in the file",
      quantity(needed_bytes), quantity(usable_bytes));
}

std::string large_page_note() {
  if (!large_pages_are_off()) return "";
  return "the system gives no large pages (transparent_hugepage is never, or off for this "
         "process): weights are read somewhat slower";
}

std::vector<std::string> startup_notes(const Session& session) {
  std::vector<std::string> notes;
  const ThreadPool& pool = session.pool();
  add(notes, isa_note(session.isa(), std::getenv("CHECKBIT_ISA")));
  for (std::string& note :
       thread_notes(pool.size(), usable_processors(), static_cast<int>(allowed_processors().size()),
                    machine_limits())) {
    notes.push_back(std::move(note));
  }
  add(notes, placement_note(pool, session.options().pinning, session.options().repack));
  add_flags(session, notes);
  for (std::string& note : product_notes(session.model())) notes.push_back(std::move(note));
  // Weights are resident by now; the cache's pages and the buffers' come as they are used.
  const std::uint64_t to_come = session.planned_bytes() - session.model().packed_bytes();
  add(notes, memory_note(resident_bytes() + to_come, usable_memory_bytes()));
  return notes;
}

}  // namespace checkbit
