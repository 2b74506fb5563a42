#include "cli/engine_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/machine_limits.h"
#include "base/resident_memory.h"
#include "cli/guard_session.h"
#include "cli/load_verification.h"
#include "cli/startup_notes.h"
#include "file/pull.h"
#include "measure/compare.h"
#include "report/number.h"

namespace checkbit {

Flag cache_flag(std::string_view help) {
  Flag flag{.name = "--kv-cache", .kind = ValueKind::choice, .value_name = "TYPE", .help = help};
  for (const CacheType type : kCacheTypes) flag.choices.push_back(to_string(type));
  return flag;
}

std::optional<CacheType> cache_type_of(const Arguments& arguments) {
  for (const CacheType type : kCacheTypes) {
    if (arguments.text("--kv-cache") == to_string(type)) return type;
  }
  return std::nullopt;
}

namespace {

Flag guard_flag() {
  Flag flag{.name = "--guard",
            .kind = ValueKind::choice,
            .value_name = "LEVEL",
            .help =
                "find flipped bits: verify seal and weights, check every product exactly, full: "
                "compute products twice as well",
            .default_value = to_string(GuardLevel::off),
            .bare_value = to_string(GuardLevel::check)};
  for (const GuardLevelName& entry : kGuardLevels) flag.choices.push_back(entry.name);
  return flag;
}

}  // namespace

std::vector<Flag> with_engine_flags(std::vector<Flag> own) {
  std::vector<Flag> flags = std::move(own);
  flags.push_back({.name = "--context",
                   .short_name = 'c',
                   .kind = ValueKind::integer,
                   .value_name = "N",
                   .help = "tokens of context [the model's own, at most 4096]",
                   .minimum = 1});
  flags.push_back(cache_flag("how keys and values are kept [f16, with --activations f32 as f32]"));
  flags.push_back({.name = "--no-repack",
                   .help = "compute from the mapped file: slower, less memory, the same bits"});
  flags.push_back(
      {.name = "--lock-memory", .help = "keep the packed weights from being swapped out"});
  flags.push_back({.name = "--pin",
                   .kind = ValueKind::choice,
                   .value_name = "WHERE",
                   .help = "cores: each thread stays on a processor of its own [cores where memory "
                           "has several nodes, else off]",
                   .choices = {"off", "cores"}});
  flags.push_back({.name = "--activations",
                   .kind = ValueKind::choice,
                   .value_name = "TYPE",
                   .help = "what matrix products take as input",
                   .default_value = "int8",
                   .choices = {"int8", "f32"}});
  flags.push_back(guard_flag());
  add_guard_flags(flags);
  return flags;
}

Flag& flag_named(std::vector<Flag>& flags, std::string_view name) {
  const auto found = std::ranges::find(flags, name, &Flag::name);
  CB_CHECK(found != flags.end());
  return *found;
}

void describe_windows(std::vector<Flag>& flags, std::string_view default_tokens) {
  Flag& context = flag_named(flags, "--context");
  context.help = "tokens of a window; its second half is scored";
  context.default_value = default_tokens;
  context.minimum = kMinContextTokens;
}

void describe_compared_cache(std::vector<Flag>& flags) {
  flag_named(flags, "--kv-cache").help =
      "how MODEL keeps keys and values; REFERENCE keeps f16, with --activations f32 f32";
}

SessionOptions session_options(const Arguments& arguments, const Console& console) {
  SessionOptions options;
  if (arguments.has("--context")) options.context_tokens = arguments.integer("--context");
  options.threads = console.threads;
  options.max_logits = 1;  // what generating needs; commands that read all logits ask for more
  options.repack = !arguments.has("--no-repack");
  options.activations =
      arguments.text("--activations") == "f32" ? ActivationMode::f32 : ActivationMode::int8;
  options.cache_type = cache_type_of(arguments);
  options.lock_memory = arguments.has("--lock-memory");
  options.guard = guard_level(arguments.text("--guard")).value_or(GuardLevel::off);
  take_guard_flags(arguments, options);
  if (arguments.has("--pin"))
    options.pinning = arguments.text("--pin") == "cores" ? Pinning::cores : Pinning::off;
  return options;
}

namespace {

/// A group's limit ends the process without a word, so it is said before.
void note_memory_limit(const std::string& path, const SessionOptions& options, Console& console) {
  std::error_code unknown;
  const std::uintmax_t bytes = std::filesystem::file_size(path, unknown);
  const std::uint64_t usable = usable_memory_bytes();
  if (unknown || !options.repack || bytes < usable) return;
  console.note(fmt::format(
      "{}: the weights alone take {}, and this process may use {}: --no-repack computes from the "
      "file",
      path, print_quantity(static_cast<double>(bytes), "bytes"),
      print_quantity(static_cast<double>(usable), "bytes")));
}

}  // namespace

Result<Session> open_session(const std::string& model, const SessionOptions& options,
                             Console& console) {
  CB_TRY(const std::string path, resolve_model(model));
  if (options.guard != GuardLevel::off)
    CB_TRY_STATUS(verify_before_load(path, options.threads, console));
  note_memory_limit(path, options, console);
  CB_TRY(Session session, Session::open(path, options));
  for (const std::string& note : startup_notes(session)) console.note_once(note);
  CB_TRY_STATUS(start_guard(session, console));
  return session;
}

void note_missing_template(const Session& session, Console& console) {
  if (session.chat_template_source() != nullptr) return;
  console.note("the model has no chat template: it continues the prompt as plain text");
}

std::string model_name(const std::string& path) {
  return std::filesystem::path(path).stem().string();
}

Record make_record(const Console& console, std::string name, double value, std::string unit) {
  return {.name = std::move(name),
          .value = value,
          .unit = std::move(unit),
          .command = console.command_line};
}

double bits_per_weight(const ModelFile& file) {
  double bytes = 0;
  double elements = 0;
  for (const auto& tensor : file.tensors()) {
    bytes += static_cast<double>(tensor.bytes.size());
    elements += static_cast<double>(tensor.info.elements());
  }
  return elements > 0 ? 8 * bytes / elements : 0;
}

std::string guard_summary(const Session& session) {
  if (session.options().guard < GuardLevel::check) return "";
  const GuardCounters& c = session.guard_counters();
  const auto a_token = [&](std::uint64_t n) { return c.tokens == 0 ? 0 : n / c.tokens; };
  std::string text =
      fmt::format("checked {} products a token over {} tokens", a_token(c.checks), c.tokens);
  if (c.unchecked > 0) {
    text += fmt::format(
        "; {} a token are of float weights, {}", a_token(c.unchecked),
        session.options().guard == GuardLevel::full ? "computed twice" : "which nothing checks");
  }
  if (c.alarms == 0) return text + ": no alarm";
  return text + fmt::format(": {} alarms, {} products computed again, {} after a repair", c.alarms,
                            c.recomputed, c.repaired);
}

namespace {

void add_guard_records(const Console& console, const Session& session,
                       std::vector<Record>& records) {
  if (session.options().guard < GuardLevel::check) return;
  const GuardCounters& c = session.guard_counters();
  const auto add = [&](std::string name, std::uint64_t value, std::string unit) {
    records.push_back(
        make_record(console, std::move(name), static_cast<double>(value), std::move(unit)));
  };
  add("guard_checks", c.checks, "checks");
  add("guard_checks_per_token", c.tokens == 0 ? 0 : c.checks / c.tokens, "checks/token");
  add("guard_unchecked", c.unchecked, "products");
  add("guard_alarms", c.alarms, "checks");
  add("guard_recomputed", c.recomputed, "products");
  add("guard_repaired", c.repaired, "products");
}

}  // namespace

std::vector<Record> session_records(const Console& console, const Session& session) {
  std::vector<Record> records = {
      make_record(console, "file_bytes", static_cast<double>(session.file().size_bytes()), "bytes"),
      make_record(console, "bits_per_weight", bits_per_weight(session.file()), "bits"),
      make_record(console, "peak_bytes", static_cast<double>(peak_resident_bytes()), "bytes")};
  add_guard_records(console, session, records);
  std::ranges::move(memory_records(console, session), std::back_inserter(records));
  return records;
}

}  // namespace checkbit
