// checkbit guard spare: the constant bits of a model's packed weights, and what they mend.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ostream>

#include "base/progress.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "guard/spare_bits.h"
#include "report/render.h"

namespace checkbit {
namespace {

/// Flips drawn evenly over the bits of one field of all matrices of a type.
struct Row {
  std::string type;
  std::string_view field;
  std::uint64_t values = 0;
  std::uint64_t bits = 0;
  std::uint64_t spare = 0;  ///< of bits
  std::uint64_t flips = 0;
  std::uint64_t mended = 0;
};

using Rows = std::map<std::pair<std::string, std::string_view>, Row>;

/// One flip after the other in a copy of the matrix's packed bytes, mended in between.
void flip_and_mend(const SpareBits& spare, const SpareField& field, std::vector<std::uint8_t>& copy,
                   std::uint64_t flips, Random& random, Row& row) {
  for (std::uint64_t i = 0; i < flips; ++i) {
    const std::size_t record = random.below(spare.records);
    const std::size_t start = record * spare.record_bytes;
    const std::size_t byte = start + field.offset + random.below(field.count * field.bytes);
    const auto mask = static_cast<std::uint8_t>(1u << random.below(8));
    const std::uint8_t before = copy[byte];
    copy[byte] ^= mask;
    const std::uint64_t mended =
        mend_spare_bits(spare, std::span(copy).subspan(start, spare.record_bytes));
    CB_CHECK(mended == 0 || copy[byte] == before);
    copy[byte] = before;
    ++row.flips;
    row.mended += mended;
  }
}

Rows measure(const Model& model, std::uint64_t flips, std::uint64_t seed) {
  Rows rows;
  Random random(seed);
  const std::vector<const PackedMatrix*> matrices = model.matrices();
  Progress progress("flipping", matrices.size(), "matrices");
  for (const PackedMatrix* matrix : matrices) {
    const SpareBits spare = find_spare_bits(*matrix);
    const auto image = matrix->packed_from(0);
    std::vector<std::uint8_t> copy(image.begin(), image.end());
    for (const SpareField& field : spare.fields) {
      const std::string type(matrix->format().name);
      Row& row = rows[{type, field.name}];
      row.type = type;
      row.field = field.name;
      row.values += field.values;
      row.bits += field.values * 8 * static_cast<std::uint64_t>(field.bytes);
      row.spare += field.values * static_cast<std::uint64_t>(field.spare_bits());
      flip_and_mend(spare, field, copy, flips / matrices.size() + 1, random, row);
    }
    progress.advance();
  }
  return rows;
}

Status run(const Arguments& arguments, Console& console) {
  SessionOptions options;
  options.threads = console.threads;
  options.context_tokens = 64;
  CB_TRY(const Session session, open_session(arguments.text("MODEL"), options, console));
  const Rows rows =
      measure(session.model(), static_cast<std::uint64_t>(arguments.integer("--flips")),
              static_cast<std::uint64_t>(arguments.integer("--seed")));
  Row all;
  for (const auto& [key, row] : rows) {
    all.bits += row.bits;
    all.spare += row.spare;
    all.flips += row.flips;
    all.mended += row.mended;
  }
  if (!arguments.has("--json")) {
    console.out << "type    field        values      constant bits   flips  mended\n";
    for (const auto& [key, row] : rows) {
      console.out << fmt::format(
          "{:<7} {:<12} {:>9}  {:>5.2f} of {:>2}      {:>6}  {:>5.1f} %\n", row.type, row.field,
          row.values, static_cast<double>(row.spare) / static_cast<double>(row.values),
          row.bits / row.values, row.flips,
          100.0 * static_cast<double>(row.mended) / static_cast<double>(row.flips));
    }
  }
  const double flips = std::max(1.0, static_cast<double>(all.flips));
  const double bits = std::max(1.0, static_cast<double>(all.bits));
  const std::vector<Record> records = {
      make_record(console, "spare_flips", static_cast<double>(all.flips), "flips"),
      make_record(console, "spare_mended", static_cast<double>(all.mended) / flips, "share"),
      make_record(console, "spare_bits", static_cast<double>(all.spare) / bits, "share"),
      make_record(console, "spare_stored_bytes", 0, "bytes")};
  if (arguments.has("--json")) {
    console.out << render_json(records, describe_environment());
  } else {
    console.out << "\n" << render_table(records);
  }
  return {};
}

}  // namespace

extern const Command guard_spare_command;
const Command guard_spare_command = {
    .name = "guard spare",
    .summary = "the constant bits of packed weights, and the flips they mend",
    .description =
        "Scales in memory have bits that are the same in a whole matrix: signs, top exponent bits, "
        "unused bits of sub-scales. They need no copy to be mended. Lists them by type and field, "
        "flips bits of the scales in a copy, drawn evenly, and counts how many come right again.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = {{.name = "--flips",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "bits to flip in each field, spread over the matrices",
               .default_value = "100000",
               .minimum = 1},
              {.name = "--seed",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "what flips are drawn from",
               .default_value = "1"},
              kJsonFlag},
    .examples = {{.command = "checkbit guard spare smollm2-135m"}},
    .run = run};

}  // namespace checkbit
