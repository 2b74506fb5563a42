// What is slower than it could be when a model runs, and what the machine limits: said before.
//
// What: one sentence a reason. Products are grouped by tensor type; reasons lie with the processor,
//   CHECKBIT_ISA, flags, limits of the control group, the system's large pages or the file's types.
// Threads: pure functions of what they are given, but for CHECKBIT_ISA and the system's state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/machine_limits.h"
#include "run/session.h"

namespace checkbit {

/// Matrices of one type that are multiplied in the same way.
struct TypeProduct {
  const Format* format = nullptr;
  std::string_view path;    ///< PackedMatrix::path()
  std::string_view kernel;  ///< PackedMatrix::kernel_name()
  std::vector<std::string> tensors;
  double packed_bits = 0;  ///< a weight, as it lies in memory when packed

  /// "g32_b4_min: Q4_1's own form"
  std::string reason() const;
  /// What is slow about it, with the tensors; "" for an integer form about as small as in the file.
  std::string note() const;
};
/// In the order of their first tensor; a table of embeddings counts if it is multiplied with too.
std::vector<TypeProduct> type_products(const Model& model);

/// "1 matrix", "2 matrices"
std::string matrices_of(std::size_t n);
/// "a, b, c and 9 more"
std::string some_names(const std::vector<std::string>& names);

/// Types that do not run on an integer kernel of their own.
std::vector<std::string> product_notes(const Model& model);
/// Why `isa` is not the fastest that there could be; "" when it is. `forced`: CHECKBIT_ISA or null.
std::string isa_note(Isa isa, const char* forced);
/// `allowed` processors, of which the limits leave `usable`.
std::vector<std::string> thread_notes(int threads, int usable, int allowed,
                                      const MachineLimits& limits);
/// Where threads are pinned without having been asked, and where that was refused; else "".
std::string placement_note(const ThreadPool& pool, Pinning wanted, bool repack);
/// "" when `needed_bytes` fit.
std::string memory_note(std::uint64_t needed_bytes, std::uint64_t usable_bytes);
/// "" unless the system gives no large pages.
std::string large_page_note();

/// All of these, flags included.
std::vector<std::string> startup_notes(const Session& session);

}  // namespace checkbit
