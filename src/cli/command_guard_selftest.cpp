// checkbit guard selftest: known answers on every processor.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/cpu_topology.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "guard/selftest.h"
#include "report/render.h"

namespace checkbit {
namespace {

std::vector<Isa> isas_to_test(const Arguments& arguments) {
  std::vector<Isa> isas;
  for (const Isa isa : all_isas()) {
    const bool wanted = !arguments.has("--isa") || arguments.text("--isa") == to_string(isa);
    if (wanted && machine_has(isa)) isas.push_back(isa);
  }
  return isas;
}

std::vector<std::string_view> isa_names() {
  std::vector<std::string_view> names;
  for (const Isa isa : all_isas()) names.push_back(to_string(isa));
  return names;
}

Status run(const Arguments& arguments, Console& console) {
  const std::vector<Isa> isas = isas_to_test(arguments);
  if (isas.empty()) {
    return fail(ErrorKind::unsupported, "guard selftest: this machine does not have {}",
                arguments.text("--isa"));
  }
  SelftestResult result;
  for (std::int64_t round = 0; round < arguments.integer("--rounds"); ++round) {
    SelftestResult one = run_selftest(allowed_processors(), isas);
    one.answers += result.answers;
    one.seconds += result.seconds;
    std::ranges::move(result.faults, std::back_inserter(one.faults));
    result = std::move(one);
  }
  std::vector<std::string_view> names;
  for (const Isa isa : isas) names.push_back(to_string(isa));
  if (arguments.has("--json")) {
    const std::vector<Record> records = {
        make_record(console, "selftest_processors", static_cast<double>(result.processors.size()),
                    ""),
        make_record(console, "selftest_answers", static_cast<double>(result.answers), ""),
        make_record(console, "selftest_faults", static_cast<double>(result.faults.size()), ""),
        make_record(console, "selftest_seconds", result.seconds, "s")};
    nlohmann::ordered_json extra = {{"instruction_sets", names},
                                    {"faults", nlohmann::ordered_json::array()},
                                    {"unreached_processors", result.unreached}};
    for (const SelftestFault& fault : result.faults) {
      extra["faults"].push_back({{"processor", fault.processor},
                                 {"instruction_set", to_string(fault.isa)},
                                 {"kernel", fault.kernel}});
    }
    console.out << render_json(records, describe_environment(), extra);
  } else {
    console.out << fmt::format(
        "{} answers of {} kernels on {} processors ({}) in {:.2f} s: {} wrong\n", result.answers,
        golden_answers().size(), result.processors.size(), fmt::join(names, ", "), result.seconds,
        result.faults.size());
    if (!result.unreached.empty())
      console.note(fmt::format("not tested, the system holds no thread there: processors {}",
                               fmt::join(result.unreached, ", ")));
  }
  if (result.faults.empty()) return {};
  return fail(ErrorKind::corrupt, "{}: take it out of use (taskset, or offline)",
              describe_faults(result));
}

}  // namespace

extern const Command guard_selftest_command;
const Command guard_selftest_command = {
    .name = "guard selftest",
    .group = "",
    .summary = "known answers of every kernel on every processor",
    .description =
        "Computes small problems whose answers are known, with every kernel of every instruction "
        "set that the machine has, on one processor after the other. A processor that gives "
        "another answer computes wrongly now and then, or always; it is named, and the exit status "
        "is 1. `run --guard=...` does the same at its start with the kernels that it will use.",
    .flags = {{.name = "--isa",
               .kind = ValueKind::choice,
               .value_name = "NAME",
               .help = "only this instruction set",
               .choices = isa_names()},
              {.name = "--rounds",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "how often: some faults come and go",
               .default_value = "1",
               .minimum = 1,
               .maximum = 1e6},
              kJsonFlag},
    .examples = {{.command = "checkbit guard selftest"},
                 {.command = "checkbit guard selftest --rounds 100 --isa avx2"}},
    .run = run};

}  // namespace checkbit
