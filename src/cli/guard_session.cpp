#include "cli/guard_session.h"

#include <fmt/format.h>

#include <ostream>

#include "base/cpu_topology.h"
#include "cli/engine_flags.h"
#include "guard/coverage.h"
#include "guard/live_guard.h"
#include "guard/selftest.h"
#include "report/number.h"

namespace checkbit {
namespace {

/// Every processor that the process may use: threads move.
Status test_processors(Isa isa) {
  const std::vector<int> processors = allowed_processors();
  const SelftestResult result = run_selftest(processors, {&isa, 1});
  if (result.faults.empty()) return {};
  return fail(ErrorKind::corrupt,
              "{}: take it out of use (taskset, or offline) and run `checkbit guard selftest`",
              describe_faults(result));
}

std::string bytes_text(std::uint64_t bytes) {
  return print_quantity(static_cast<double>(bytes), "bytes");
}

std::string share_text(std::uint64_t part, std::uint64_t rest) {
  const std::uint64_t all = part + rest;
  return fmt::format("{:.1f} %",
                     all == 0 ? 0.0 : 100 * static_cast<double>(part) / static_cast<double>(all));
}

}  // namespace

void add_guard_flags(std::vector<Flag>& flags) {
  flags.push_back({.name = "--guard-every",
                   .kind = ValueKind::integer,
                   .value_name = "N",
                   .help = "tokens in which --guard verifies all keys and values, and computes a "
                           "step twice, once [64; with full 1]",
                   .minimum = 1,
                   .maximum = 1 << 20});
  flags.push_back({.name = "--scrub-share",
                   .kind = ValueKind::number,
                   .value_name = "PERCENT",
                   .help = "of one processor, that --guard spends on verifying memory; 0: none",
                   .default_value = "0.5",
                   .maximum = 100});
  flags.push_back(
      {.name = "--explain", .help = "print what each level of --guard covers of this model"});
}

void take_guard_flags(const Arguments& arguments, SessionOptions& options) {
  if (arguments.has("--guard-every"))
    options.guard_every = static_cast<std::uint32_t>(arguments.integer("--guard-every"));
  options.scrub_share = arguments.number("--scrub-share") / 100;
  options.explain_guard = arguments.has("--explain");
}

Status start_guard(Session& session, Console& console) {
  if (session.options().guard != GuardLevel::off) {
    CB_TRY_STATUS(test_processors(session.isa()));
    CB_TRY_STATUS(attach_guard(session, {.scrub = {.share = session.options().scrub_share}}));
  }
  if (session.options().explain_guard) console.err << render_coverage(session) << std::flush;
  return {};
}

std::string render_coverage(Session& session) {
  const std::vector<CoverageRow> rows = coverage_table(session);
  constexpr std::string_view kLine = "{:<29} {:>10}  {:<12} {:<12} {:<12}";
  std::string text = fmt::format("What --guard covers of {}\n\n", session.file().path());
  const auto add_line = [&](std::string_view part, const std::string& count,
                            std::string_view verify, std::string_view check,
                            std::string_view full) {
    std::string line = fmt::format(fmt::runtime(kLine), part, count, verify, check, full);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  };
  add_line("", "", "verify", "check", "full");
  bool bytes = true;
  for (const CoverageRow& row : rows) {
    if (bytes && !row.is_bytes) add_line("operations of a token", "", "", "", "");
    bytes = row.is_bytes;
    add_line((bytes ? "" : "  ") + row.part,
             bytes ? bytes_text(row.count) : fmt::format("{}", row.count), row.by_level[1],
             row.by_level[2], row.by_level[3]);
  }
  text += "\n";
  for (const GuardLevelName& entry : kGuardLevels) {
    if (entry.level == GuardLevel::off) continue;
    const CoverageSum sum = sum_coverage(rows, entry.level);
    text += fmt::format("{:<7} covers {} of the bytes and {} of the operations{}\n", entry.name,
                        share_text(sum.covered_bytes, sum.open_bytes),
                        share_text(sum.covered_operations, sum.open_operations),
                        entry.level == session.options().guard ? ": this run" : "");
  }
  text += fmt::format(
      "\nscrubbed: a thread verifies all of it again and again, with {:.2g} % of a processor, and\n"
      "mends what is wrong. each product: a product that does not add up has its weights "
      "verified,\n"
      "mended, and is computed again. 1 in N: within N tokens; keys and values that are wrong are\n"
      "computed again. open: nobody looks, a flipped bit there goes unseen.\n\n",
      100 * session.options().scrub_share);
  return text;
}

std::vector<Record> memory_records(const Console& console, const Session& session) {
  if (session.guard() == nullptr) return {};
  session.guard()->scrub();
  const LiveCounters live = session.guard()->counters();
  const MemoryCounters& memory = session.executor().memory_counters();
  std::vector<Record> records;
  const auto add = [&](const char* name, double value, const char* unit) {
    records.push_back(make_record(console, name, value, unit));
  };
  const auto add_count = [&](const char* name, std::uint64_t value) {
    add(name, static_cast<double>(value), "");
  };
  add("guard_bytes", static_cast<double>(live.guarded_bytes), "bytes");
  add("guard_extra_bytes", static_cast<double>(live.extra_bytes), "bytes");
  add("guard_scrubbed_bytes", static_cast<double>(live.scrubbed_bytes), "bytes");
  add("guard_scrub_share", live.seconds > 0 ? live.scrub_seconds / live.seconds : 0, "share");
  add_count("guard_repaired_bits", live.repaired_bits);
  add_count("guard_repaired_blocks", live.repaired_by_bit + live.repaired_by_parity +
                                         live.repaired_checks + live.repaired_from_file);
  add_count("guard_repaired_from_file", live.repaired_from_file);
  add_count("guard_unrepaired_blocks", live.unrepaired);
  if (live.repair_p99_seconds > 0) add("guard_repair_p99_seconds", live.repair_p99_seconds, "s");
  add_count("guard_sequences_recomputed", memory.kv_damaged);
  add_count("guard_steps_twice", memory.steps_twice);
  add_count("guard_steps_disagreed", memory.steps_disagreed);
  if (live.machine) {
    add_count("machine_errors_corrected", live.machine->corrected);
    add_count("machine_errors_uncorrected", live.machine->uncorrected);
  }
  return records;
}

std::string memory_summary(const Session& session) {
  if (session.guard() == nullptr) return "";
  session.guard()->scrub();
  const LiveCounters live = session.guard()->counters();
  const MemoryCounters& memory = session.executor().memory_counters();
  const std::uint64_t blocks = live.damaged_blocks - live.unrepaired;
  std::string text =
      live.damaged_blocks == 0
          ? fmt::format("guard: no flipped bit in {}", bytes_text(live.guarded_bytes))
          : fmt::format("guard: {} flipped bits in {} blocks of memory mended", live.repaired_bits,
                        blocks);
  if (live.unrepaired > 0) text += fmt::format(", {} blocks could not be", live.unrepaired);
  if (memory.kv_damaged > 0)
    text += fmt::format(", keys and values computed again {} times", memory.kv_damaged);
  if (memory.steps_disagreed > 0)
    text += fmt::format(", {} steps gave two answers", memory.steps_disagreed);
  if (live.machine && live.machine->corrected + live.machine->uncorrected > 0) {
    text +=
        fmt::format("; the machine counted {} memory errors, {} of them not corrected",
                    live.machine->corrected + live.machine->uncorrected, live.machine->uncorrected);
  }
  return text;
}

}  // namespace checkbit
