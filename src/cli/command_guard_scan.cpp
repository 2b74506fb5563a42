// checkbit guard scan: suspicious weights in a model file.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <ostream>
#include <span>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "file/pull.h"
#include "guard/scan.h"
#include "report/render.h"

namespace checkbit {
namespace {

using Json = nlohmann::ordered_json;

Json positions_as_json(std::span<const PositionResult> positions) {
  Json list = Json::array();
  for (const PositionResult& p : positions) {
    list.push_back({{"type", std::string(p.format->name)},
                    {"weights", p.weights},
                    {"excess", p.excess},
                    {"error", p.error},
                    {"position", p.position},
                    {"on_lattice", p.on_lattice},
                    {"crafted", p.crafted}});
  }
  return list;
}

Json as_json(const ScanReport& report) {
  Json findings = Json::array();
  for (const ScanFinding& f : report.findings) {
    findings.push_back({{"check", std::string(scan_check_name(f.check))},
                        {"tensor", f.tensor},
                        {"row", f.row},
                        {"column", f.column},
                        {"offset", f.offset},
                        {"detail", f.detail}});
  }
  Json tensors = Json::array();
  for (const TensorScan& t : report.tensors) {
    tensors.push_back({{"tensor", t.name},
                       {"type", std::string(t.format->name)},
                       {"blocks", t.blocks},
                       {"lonely_octaves", t.lonely_octaves},
                       {"rule_breakers", t.rule_breakers},
                       {"worst_error_ratio", t.worst_error_ratio},
                       {"positions", positions_as_json(t.positions)}});
  }
  return {{"findings", std::move(findings)},
          {"tensors", std::move(tensors)},
          {"positions", positions_as_json(report.positions)}};
}

std::vector<Record> records_of(const ScanReport& report, const Console& console) {
  std::vector<Record> records = {
      make_record(console, "scanned_weights", static_cast<double>(report.weights), "weights")};
  for (int check = 0; check < kScanCheckCount; ++check) {
    records.push_back(
        make_record(console, fmt::format("scan_{}", scan_check_name(static_cast<ScanCheck>(check))),
                    static_cast<double>(report.counts[check]), "findings"));
  }
  return records;
}

void print_report(const ScanReport& report, const std::string& name, Console& console) {
  for (const ScanFinding& f : report.findings) {
    console.out << fmt::format("{}: {} row {}, column {} (byte {} of the tensor): {}\n",
                               scan_check_name(f.check), f.tensor, f.row, f.column, f.offset,
                               f.detail);
  }
  for (int check = 0; check < kScanCheckCount; ++check) {
    const auto shown = std::ranges::count_if(
        report.findings, [&](const ScanFinding& f) { return static_cast<int>(f.check) == check; });
    const std::uint64_t more = report.counts[check] - static_cast<std::uint64_t>(shown);
    if (more > 0)
      console.out << fmt::format("{}: {} more\n", scan_check_name(static_cast<ScanCheck>(check)),
                                 more);
  }
  std::size_t on_lattice = 0;
  std::size_t judged = 0;
  for (const TensorScan& t : report.tensors) {
    on_lattice += !t.positions.empty() && t.positions.front().on_lattice ? 1 : 0;
    judged += !t.positions.empty() && !t.positions.front().on_lattice ? 1 : 0;
  }
  if (on_lattice > 0) {
    console.note(fmt::format(
        "{} tensors hold weights that were quantized before: positions in rounding intervals say "
        "nothing about them",
        on_lattice));
  }
  const std::string positions =
      judged > 0 ? fmt::format(", positions of {} tensors", judged) : std::string();
  if (!report.suspicious())
    console.out << fmt::format("{}: {} tensors{}: nothing suspicious\n", name,
                               report.tensors.size(), positions);
}

Status run(const Arguments& arguments, Console& console) {
  CB_TRY(const std::string path, resolve_model(arguments.text("MODEL")));
  CB_TRY(const ModelFile model, ModelFile::open(path));
  std::optional<ModelFile> original;
  if (arguments.has("--against")) {
    CB_TRY(const std::string other, resolve_model(arguments.text("--against")));
    CB_TRY(original, ModelFile::open(other));
  }
  ThreadPool pool(console.threads);
  ScanOptions options;
  options.position_weights = static_cast<std::uint64_t>(arguments.integer("--sample"));
  if (arguments.has("--type")) options.type = find_format(arguments.text("--type"));
  CB_TRY(const ScanReport report,
         scan_model(model, original ? &*original : nullptr, pool, options));
  if (arguments.has("--json")) {
    console.out << render_json(records_of(report, console), describe_environment(),
                               as_json(report));
  } else {
    print_report(report, model_name(path), console);
  }
  if (!report.suspicious()) return {};
  const std::uint64_t all =
      std::accumulate(std::begin(report.counts), std::end(report.counts), std::uint64_t{0});
  return fail(ErrorKind::corrupt, "{}: {} suspicious places", path, all);
}

std::string describe() {
  std::string text =
      "Reads all weights and says what no honest quantizer writes. Exit status 1 when something is "
      "found. What it looks for:";
  for (int check = 0; check < kScanCheckCount; ++check) {
    text += fmt::format("\n\n{}: {}.", scan_check_name(static_cast<ScanCheck>(check)),
                        scan_check_meaning(static_cast<ScanCheck>(check)));
  }
  return text +
         "\n\nA full-precision model is looked at as every type would round it. With --against, "
         "the "
         "model before it was quantized, every block is compared with what it should have "
         "become.";
}
const std::string kDescription = describe();

Status check(const Arguments& arguments) {
  if (!arguments.has("--type")) return {};
  const Format* format = find_format(arguments.text("--type"));
  if (format != nullptr && has_positions(*format)) return {};
  return fail(ErrorKind::invalid, "guard scan: --type {} has no evenly spaced levels",
              arguments.text("--type"));
}

}  // namespace

extern const Command guard_scan_command;
const Command guard_scan_command = {
    .name = "guard scan",
    .summary = "suspicious weights",
    .description = kDescription,
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = {kAgainstFlag,
              {.name = "--type",
               .kind = ValueKind::text,
               .value_name = "TYPE",
               .help = "look at how this type would round full-precision weights [all types]"},
              {.name = "--sample",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "weights of each tensor whose rounding is looked at",
               .default_value = "65536",
               .minimum = 1024},
              kJsonFlag},
    .examples = {{.command = "checkbit guard scan smollm2-135m"},
                 {.command = "checkbit guard scan small.gguf --against full.gguf"},
                 {.command = "checkbit guard scan full.gguf --type Q4_K --sample 10000000"}},
    .check = check,
    .run = run};

}  // namespace checkbit
