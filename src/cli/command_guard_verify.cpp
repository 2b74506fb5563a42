// checkbit guard verify: is a sealed model what it was, and if not, what was hit?

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/seal_output.h"
#include "guard/repair_journal.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

constexpr std::size_t kJsonPlaces = 1000;

std::vector<Record> records_of(const std::string& path, const VerifyReport& report,
                               const DamageList& list, const std::optional<Bandwidth>& bandwidth,
                               const Console& console) {
  std::vector<Record> records = speed_records(
      console, "verify", static_cast<double>(report.bytes_read) / report.seconds, bandwidth);
  const auto add = [&](const char* name, std::uint64_t value, const char* unit = "") {
    records.push_back(make_record(console, name, static_cast<double>(value), unit));
  };
  add("sealed_bytes", report.sealed_bytes, "bytes");
  add("sealed_blocks", report.blocks);
  add("damaged_blocks", report.damaged.size());
  add("missing_blocks", report.missing);
  add("mendable_blocks", list.mendable());
  add("lost_blocks", list.lost);
  add("damaged_seal_pieces", report.damaged_parity.size() + report.own_damage);
  add("threads", static_cast<std::uint64_t>(report.threads));
  for (Record& record : records) record.subject = valid_utf8(model_name(path));
  return records;
}

void print_report(const std::string& path, const Seal& seal, const VerifyReport& report,
                  const DamageList& list, const std::optional<Bandwidth>& bandwidth,
                  Console& console) {
  const std::string name = clean_line(path);
  if (report.model_is_right()) {
    console.out << fmt::format("{}: every block is as it was sealed ({})\n", name,
                               clean_line(seal.path()));
  } else if (!report.damaged.empty()) {
    console.out << fmt::format("{}: {}\n", name, damage_sentence(report, list));
    print_damage(list, report.damaged.size(), console);
  }
  if (report.extra_bytes() > 0) {
    console.out << fmt::format("  {} bytes stand behind what was sealed\n",
                               format_grouped(report.extra_bytes()));
  }
  if (!report.seal_is_right()) {
    console.out << fmt::format("  of the seal itself {} pieces are damaged\n",
                               format_grouped(report.damaged_parity.size() + report.own_damage));
  }
  if (report.key == KeyState::agrees) console.out << "  the keyed hash agrees\n";
  console.out << fmt::format(
      "  {} in {:.2f} s by {} threads: {}\n", format_bytes(report.bytes_read), report.seconds,
      report.threads,
      speed_text(static_cast<double>(report.bytes_read) / report.seconds, bandwidth));
}

/// What is wrong, as the one line that ends the command; nothing when all is right.
Status verdict(const std::string& path, const VerifyReport& report, const DamageList& list) {
  const auto bad = [&](const std::string& what) {
    return fail(ErrorKind::corrupt, "{}: {}", path, what);
  };
  const std::string mend =
      fmt::format("mend it with `{}`", shell_quote({"checkbit", "guard", "repair", path}));
  if (report.looks_like_another_file()) {
    return bad(
        fmt::format("{} of {} blocks differ: the seal seems to be another file's, or the "
                    "model was changed on purpose; seal it again if it is right",
                    report.damaged.size(), report.blocks));
  }
  if (list.lost > 0) {
    return bad(
        fmt::format("{} blocks are lost beyond parity; {} for the rest, or fetch the model "
                    "again",
                    list.lost, mend));
  }
  if (!report.damaged.empty()) return bad(fmt::format("is damaged; {}", mend));
  if (report.extra_bytes() > 0) {
    return bad(fmt::format(
        "is {} bytes longer than what was sealed; cut it with `{}`", report.extra_bytes(),
        shell_quote({"truncate", "-s", std::to_string(report.sealed_bytes), path})));
  }
  if (report.key == KeyState::differs) {
    return bad(
        "the keyed hash differs although every block agrees: the model was changed and sealed "
        "anew by somebody without the key, or this is another key");
  }
  if (report.key == KeyState::absent)
    return bad("its seal has no keyed hash: nothing says that the holder of the key sealed it");
  if (!report.seal_is_right())
    return bad(fmt::format("is right, but its seal is damaged; {}", mend));
  return {};
}

struct Outcome {
  std::vector<Record> records;
  nlohmann::ordered_json damage;
  Status verdict;
};

Result<Outcome> verify_one(const std::string& path, const Arguments& arguments,
                           std::span<const std::uint8_t> key, ThreadPool& pool, Console& console) {
  CB_TRY(const Seal seal, Seal::open(path));
  CB_TRY(const SpanFile model, SpanFile::open(path, SpanFile::Mode::read));
  CB_TRY_STATUS(model.lock(SpanFile::Lock::shared));
  CB_TRY(const VerifyReport report, verify_seal(seal, model, key, pool));
  std::optional<Bandwidth> bandwidth;
  if (arguments.has("--bandwidth")) {
    CB_TRY(bandwidth, measure_bandwidth(model, report.sealed_bytes, pool));
  }
  DamageList list;
  const bool json = arguments.has("--json");
  if (!report.damaged.empty() && !report.looks_like_another_file()) {
    const auto places = static_cast<std::size_t>(arguments.integer("--places"));
    CB_TRY(list, list_damage(seal, model, report, json ? std::max(places, kJsonPlaces) : places));
  }
  CB_TRY(const auto journal, read_journal(path));
  if (journal) console.note(path + ": a repair was interrupted; `checkbit guard repair` goes on");
  if (!json) print_report(path, seal, report, list, bandwidth, console);
  return Outcome{records_of(path, report, list, bandwidth, console), damage_json(list),
                 verdict(path, report, list)};
}

Status run(const Arguments& arguments, Console& console) {
  CB_TRY(const auto paths, model_files(arguments));
  CB_TRY(const auto key, read_key(arguments));
  ThreadPool pool(console.threads);
  std::vector<Record> records;
  auto damage = nlohmann::ordered_json::object();
  Status worst;
  for (const std::string& path : paths) {
    CB_TRY(Outcome one,
           verify_one(path, arguments, key ? *key : std::vector<std::uint8_t>(), pool, console));
    for (Record& record : one.records) records.push_back(std::move(record));
    damage[valid_utf8(path)] = std::move(one.damage);
    if (worst.ok()) worst = one.verdict;
  }
  if (arguments.has("--json"))
    console.out << render_json(records, describe_environment(), {{"damage", std::move(damage)}});
  return worst;
}

}  // namespace

extern const Command guard_verify_command;
const Command guard_verify_command = {
    .name = "guard verify",
    .group = "",
    .summary = "compare a model with its seal: which tensor, which block, which field",
    .description =
        "Reads a sealed model once and compares every 4 KiB with its checksum, at about the speed "
        "of reading. Of damaged blocks it computes the right bytes from the parity and says what "
        "was "
        "hit: the tensor, its row, the block of its number format and the field in it (quant, "
        "scale, "
        "min). Nothing is written. The exit status is 1 when anything differs, the seal included.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a sealed GGUF file or a pulled name"}},
    .flags = {key_flag("also compare the keyed hash; without one in the seal that is an error"),
              {.name = "--places",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "damaged blocks to list",
               .default_value = "20"},
              bandwidth_flag(),
              kJsonFlag},
    .examples = {{.command = "checkbit guard verify model.gguf"},
                 {.command = "checkbit guard verify model.gguf --key secret.key"},
                 {.command = "checkbit guard verify model.gguf --bandwidth --json"}},
    .run = run};

}  // namespace checkbit
