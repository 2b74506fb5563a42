// checkbit guard flip: bits in the memory of a running process, to see its guard at work.

#include <fmt/format.h>

#include <ostream>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "guard/outside_flips.h"
#include "report/render.h"

namespace checkbit {
namespace {

Status run(const Arguments& arguments, Console& console) {
  const std::int64_t process = arguments.integer("PROCESS");
  const OutsideFlips what{.span = arguments.text("--memory"),
                          .flips = static_cast<std::uint64_t>(arguments.integer("--flips")),
                          .seed = static_cast<std::uint64_t>(arguments.integer("--seed"))};
  CB_TRY(const std::vector<std::uint64_t> bits, flip_from_outside(process, what));
  if (arguments.has("--json")) {
    const std::vector<Record> records = {
        make_record(console, "flipped_bits", static_cast<double>(bits.size()), "")};
    console.out << render_json(records, describe_environment());
    return {};
  }
  console.out << fmt::format("{} bits flipped in the {} of process {}\n", bits.size(), what.span,
                             process);
  return {};
}

}  // namespace

extern const Command guard_flip_command;
const Command guard_flip_command = {
    .name = "guard flip",
    .group = "",
    .summary = "flip bits in the memory of a running checkbit",
    .description =
        "Damages another process, for tests: flips random bits in the memory that a `checkbit` "
        "running with --guard stands guard over, as failing memory would. That process is not "
        "asked and not stopped. It has to belong to the same user; where the system restricts "
        "tracing, this needs an ancestor of it or root.",
    .positionals =
        {{.name = "PROCESS", .kind = ValueKind::integer, .help = "its process id", .minimum = 1}},
    .flags = {{.name = "--flips",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "bits, all different",
               .default_value = "200",
               .minimum = 1},
              {.name = "--seed",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "draws the bits",
               .default_value = "0"},
              {.name = "--memory",
               .kind = ValueKind::choice,
               .value_name = "WHAT",
               .help = "which guarded memory",
               .default_value = "packed weights",
               .choices = {"packed weights", "norms and biases", "rotary frequencies"}},
              kJsonFlag},
    .examples = {{.command = "checkbit guard flip 4711 --flips 200 --seed 1"}},
    .run = run};

}  // namespace checkbit
