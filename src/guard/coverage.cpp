#include "guard/coverage.h"

#include <fmt/format.h>

#include <algorithm>

#include "arch/steps.h"
#include "base/resident_memory.h"
#include "guard/guarded_rows.h"
#include "guard/program_image.h"

namespace checkbit {
namespace {

using Cells = std::array<std::string, kGuardLevels.size()>;

/// Kept by whoever checks products with them, twice over.
std::uint64_t check_sum_bytes(const Model& model) {
  std::uint64_t bytes = 0;
  for (const PackedMatrix* matrix : model.matrices())
    bytes += matrix->check_sums().columns.size() * sizeof(std::int32_t);
  return bytes;
}

/// The same from `verify` on.
Cells from_verify(const std::string& how) { return {std::string(kOpen), how, how, how}; }
Cells never() {
  Cells cells;
  cells.fill(std::string(kOpen));
  return cells;
}

struct Operations {
  std::uint64_t integer_products = 0;
  std::uint64_t float_products = 0;
  std::uint64_t others = 0;
};

/// Matrix products and other steps of one token.
Operations count_operations(const Model& model) {
  Operations counts;
  const auto add = [&](std::span<const Step> steps, std::int64_t layer) {
    for (const Step& step : steps) {
      if (step.kind != StepKind::linear) {
        ++counts.others;
        continue;
      }
      const PackedMatrix* matrix = model.matrix(step.weight, layer);
      if (matrix != nullptr)
        ++(matrix->quantizes() ? counts.integer_products : counts.float_products);
    }
  };
  add(model.architecture().prologue, -1);
  for (std::int64_t layer = 0; layer < model.hyperparameters().layers; ++layer)
    add(model.architecture().layer, layer);
  add(model.architecture().epilogue, -1);
  return counts;
}

void add_weights(Session& session, std::vector<CoverageRow>& rows) {
  const Model& model = session.model();
  rows.push_back({"packed weights",
                  model.packed_weights().size(),
                  true,
                  {std::string(kOpen), "scrubbed", "each product", "each product"}});
  std::uint64_t mapped = 0;
  for (const PackedMatrix* matrix : model.matrices()) {
    const bool only_looked_up =
        matrix == model.matrix(Role::token_embedding) && model.matrix(Role::output) != matrix;
    if (matrix->packed_bytes() == 0 && !only_looked_up) mapped += matrix->tensor().bytes.size();
  }
  if (mapped > 0) rows.push_back({"weights in the file's map", mapped, true, never()});
  const ModelTensor& table = model.matrix(Role::token_embedding)->tensor();
  const bool guarded = table.info.row_bytes() <= GuardedRows::kMostRowBytes;
  rows.push_back({"embedding rows", table.bytes.size(), true,
                  guarded ? from_verify("each look-up") : never()});
  if (const std::uint64_t sums = check_sum_bytes(model); sums > 0) {
    rows.push_back({"sums of exact checks",
                    sums,
                    true,
                    {std::string(kOpen), std::string(kOpen), "each product", "each product"}});
  }
  rows.push_back(
      {"norms and biases", model.mendable_vectors().size(), true, from_verify("scrubbed")});
}

void add_program(Session& session, std::vector<CoverageRow>& rows) {
  std::uint64_t rotary = 0;
  for (const auto bytes : session.executor().read_only_bytes()) rotary += bytes.size();
  rows.push_back({"rotary frequencies", rotary, true, from_verify("scrubbed")});
  std::uint64_t code = 0, tables = 0;
  for (const ProgramSegment& segment : program_segments())
    (segment.executable ? code : tables) += segment.bytes.size();
  rows.push_back({"program code", code, true, from_verify("scrubbed")});
  rows.push_back({"program tables", tables, true, from_verify("scrubbed")});
}

void add_sequence(Session& session, std::vector<CoverageRow>& rows) {
  const Hyperparameters& h = session.model().hyperparameters();
  const std::uint32_t every = session.executor().guard_every();
  const std::string sampled = every <= 1 ? "each token" : fmt::format("1 in {}", every);
  rows.push_back({"keys and values",
                  KvCache::bytes_for(h, session.cache().capacity(), session.cache_type()),
                  true,
                  {std::string(kOpen), sampled, sampled, "each token"}});
  rows.push_back({"activations between steps", session.executor().buffer_bytes(), true, never()});
}

void add_operations(Session& session, std::vector<CoverageRow>& rows) {
  const Operations counts = count_operations(session.model());
  const std::uint32_t every = session.executor().guard_every();
  const std::string sampled = every <= 1 ? "twice" : fmt::format("1 in {} twice", every);
  const auto row = [&](std::string part, std::uint64_t count, Cells cells) {
    if (count > 0) rows.push_back({std::move(part), count, false, std::move(cells)});
  };
  const std::string open(kOpen);
  row("integer sums of products", counts.integer_products, {open, open, "exactly", "exactly"});
  row("float part of products", counts.integer_products, {open, open, open, "twice"});
  row("products of float weights", counts.float_products, {open, open, open, "verified"});
  row("norms, attention, other steps", counts.others, {open, open, sampled, "twice"});
  row("choice of the token", 1, {open, open, sampled, "twice"});
}

}  // namespace

std::vector<CoverageRow> coverage_table(Session& session) {
  std::vector<CoverageRow> rows;
  add_weights(session, rows);
  add_program(session, rows);
  add_sequence(session, rows);
  std::uint64_t known = 0;
  for (const CoverageRow& row : rows) known += row.count;
  // What lies in the file's map or is reserved for later is not all resident.
  const std::uint64_t resident = resident_bytes();
  const std::uint64_t counted = std::min(known, resident);
  if (session.guard() != nullptr) {
    const std::uint64_t extra = session.guard()->counters().extra_bytes;
    rows.push_back({"checks and parity", extra, true, from_verify("each other")});
  }
  rows.push_back({"tokenizer, libraries, stacks", resident - counted, true, never()});
  add_operations(session, rows);
  return rows;
}

CoverageSum sum_coverage(const std::vector<CoverageRow>& rows, GuardLevel level) {
  CoverageSum sum;
  for (const CoverageRow& row : rows) {
    const bool open = row.by_level[static_cast<std::size_t>(level)] == kOpen;
    if (row.is_bytes) (open ? sum.open_bytes : sum.covered_bytes) += row.count;
    if (!row.is_bytes) (open ? sum.open_operations : sum.covered_operations) += row.count;
  }
  return sum;
}

}  // namespace checkbit
