// checkbit guard repair: puts a sealed model right in place.

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/seal_output.h"
#include "guard/seal_repair.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

std::vector<Record> records_of(const std::string& path, const RepairReport& report,
                               const Console& console) {
  std::vector<Record> records;
  const auto add = [&](const char* name, std::uint64_t value) {
    records.push_back(make_record(console, name, static_cast<double>(value), ""));
  };
  add("damaged_blocks", report.before.damaged.size());
  add("mended_by_bit", report.by_bit);
  add("mended_by_parity", report.by_parity);
  add("bits_changed", report.bits_changed);
  add("lost_blocks", report.lost.size());
  add("seal_pieces_written", report.seal_pieces);
  add("pieces_taken_up", report.taken_up);
  add("damaged_blocks_after", report.after.damaged.size());
  records.push_back(make_record(console, "repair_seconds", report.seconds, "s"));
  for (Record& record : records) record.subject = valid_utf8(model_name(path));
  return records;
}

void print_report(const std::string& path, const RepairReport& report, Console& console) {
  const std::string name = clean_line(path);
  if (report.taken_up > 0) {
    console.out << fmt::format("{}: an interrupted repair was finished ({} pieces)\n", name,
                               format_grouped(report.taken_up));
  }
  const std::uint64_t mended = report.by_bit + report.by_parity;
  if (mended > 0) {
    console.out << fmt::format(
        "{}: mended {} of {} blocks in {:.2f} s: {} by their one flipped bit, {} from parity; {} "
        "bits "
        "differed\n",
        name, format_grouped(mended), format_grouped(report.before.damaged.size()), report.seconds,
        format_grouped(report.by_bit), format_grouped(report.by_parity),
        format_grouped(report.bits_changed));
  }
  if (report.seal_pieces > 0) {
    console.out << fmt::format("{}: put {} pieces of its seal right\n", name,
                               format_grouped(report.seal_pieces));
  }
  if (report.after.model_is_right() && report.after.seal_is_right())
    console.out << fmt::format("{}: every block is as it was sealed\n", name);
}

Status verdict(const std::string& path, const RepairReport& report) {
  if (!report.after.damaged.empty()) {
    return fail(ErrorKind::corrupt,
                "{}: {} blocks are lost beyond parity, the first at byte {}; fetch the model again",
                path, report.after.damaged.size(), report.after.damaged[0] * kCodeBlockBytes);
  }
  if (report.after.extra_bytes() > 0) {
    return fail(ErrorKind::corrupt, "{}: is {} bytes longer than what was sealed; cut it with `{}`",
                path, report.after.extra_bytes(),
                shell_quote({"truncate", "-s", std::to_string(report.after.sealed_bytes), path}));
  }
  if (!report.after.seal_is_right()) {
    return fail(ErrorKind::corrupt,
                "{}: is right, but its seal could not be put right; seal it again", path);
  }
  return {};
}

Status run(const Arguments& arguments, Console& console) {
  CB_TRY(const auto paths, model_files(arguments));
  ThreadPool pool(console.threads);
  std::vector<Record> records;
  Status worst;
  for (const std::string& path : paths) {
    CB_TRY(const RepairReport report, repair_model(path, pool));
    for (Record& record : records_of(path, report, console)) records.push_back(std::move(record));
    if (!arguments.has("--json")) print_report(path, report, console);
    if (worst.ok()) worst = verdict(path, report);
  }
  if (arguments.has("--json")) console.out << render_json(records, describe_environment());
  return worst;
}

}  // namespace

extern const Command guard_repair_command;
const Command guard_repair_command = {
    .name = "guard repair",
    .group = "",
    .summary = "mend a damaged model from its seal",
    .description =
        "Verifies MODEL, computes the right bytes of damaged blocks (one flipped bit from the "
        "checksum, more from the parity), writes those that agree with the seal, and verifies "
        "again. "
        "A lost end is written anew. A damaged seal is put right too. What is to be written stands "
        "in MODEL.repair first, so that power may fail at any moment: the next repair goes on.\n\n"
        "What parity cannot mend is left as it is and named.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a sealed GGUF file or a pulled name"}},
    .flags = {kJsonFlag},
    .examples = {{.command = "checkbit guard repair model.gguf"}},
    .run = run};

}  // namespace checkbit
