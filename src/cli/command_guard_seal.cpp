// checkbit guard seal: parity and checksums for a model file.

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/seal_output.h"
#include "guard/seal.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

CodeShape shape_of(const Arguments& arguments) {
  return {64, arguments.text("--parity") == "64+4" ? 4U : 2U};
}

Status seal_one(const std::string& path, const SealOptions& options, const Arguments& arguments,
                ThreadPool& pool, Console& console, std::vector<Record>& records) {
  CB_TRY(const SealMade made, make_seal(path, options, pool));
  const double speed = static_cast<double>(made.model_bytes) / made.code_seconds;
  std::optional<Bandwidth> bandwidth;
  if (arguments.has("--bandwidth")) {
    CB_TRY(const SpanFile model, SpanFile::open(path, SpanFile::Mode::read));
    CB_TRY(bandwidth, measure_bandwidth(model, made.model_bytes, pool));
  }
  const double share = static_cast<double>(made.seal_bytes) /
                       static_cast<double>(std::max<std::uint64_t>(made.model_bytes, 1));
  std::vector<Record> mine = speed_records(console, "seal", speed, bandwidth);
  mine.push_back(make_record(console, "seal_bytes", static_cast<double>(made.seal_bytes), "bytes"));
  mine.push_back(make_record(console, "seal_share", share, "share"));
  mine.push_back(make_record(console, "threads", pool.size(), ""));
  for (Record& record : mine) {
    record.subject = valid_utf8(model_name(path));
    records.push_back(std::move(record));
  }
  if (arguments.has("--json")) return {};
  console.out << fmt::format("{}: sealed in {} ({}, {:.2f} % of the model)\n", clean_line(path),
                             clean_line(made.path), format_bytes(made.seal_bytes), 100 * share);
  console.out << fmt::format("  {} read in {:.2f} s by {} threads: {}\n",
                             format_bytes(made.model_bytes), made.code_seconds, pool.size(),
                             speed_text(speed, bandwidth));
  if (options.key)
    console.out << fmt::format("  keyed hash of the whole in {:.2f} s\n", made.hash_seconds);
  return {};
}

Status run(const Arguments& arguments, Console& console) {
  CB_TRY(const auto paths, model_files(arguments));
  SealOptions options{.shape = shape_of(arguments), .in_file = arguments.has("--in-file")};
  CB_TRY(options.key, read_key(arguments));
  ThreadPool pool(console.threads);
  std::vector<Record> records;
  for (const std::string& path : paths)
    CB_TRY_STATUS(seal_one(path, options, arguments, pool, console, records));
  if (arguments.has("--json")) console.out << render_json(records, describe_environment());
  return {};
}

}  // namespace

extern const Command guard_seal_command;
const Command guard_seal_command = {
    .name = "guard seal",
    .group = "",
    .summary = "add checksums and parity to a model",
    .description =
        "Writes MODEL.seal: a CRC64 and a second check of every 4 KiB of the model, and "
        "Reed-Solomon parity over stripes that are spread over the whole file. From then on "
        "`guard verify` finds every flipped bit, and `guard repair` mends single bits anywhere and "
        "any 3 % of the file in one piece (6 % with --parity 64+4), a lost end too. The seal takes "
        "3.4 % of the model (6.5 %) and is protected in the same way. docs/guard.md has the "
        "figures, docs/formats/seal.md the bytes.\n\n"
        "Checksums find accidents. Against somebody who changes model and seal, --key adds an "
        "HMAC-SHA256 of the whole that only holders of the key can make.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name; of a set of parts each is sealed"}},
    .flags = {{.name = "--parity",
               .kind = ValueKind::choice,
               .value_name = "SHAPE",
               .help = "blocks of a stripe and of its parity",
               .default_value = "64+2",
               .choices = {"64+2", "64+4"}},
              {.name = "--in-file",
               .help = "put the seal behind the model's own bytes instead; the file still opens in "
                       "other programs"},
              key_flag("also write a keyed hash of the whole; FILE holds the key"),
              bandwidth_flag(),
              kJsonFlag},
    .examples = {{.command = "checkbit guard seal smollm2-135m"},
                 {.command = "checkbit guard seal model.gguf --parity 64+4 --key secret.key"},
                 {.command = "checkbit guard seal model.gguf --in-file"}},
    .run = run};

}  // namespace checkbit
