// checkbit bench: how fast a model reads and writes here.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "base/atomic_file.h"
#include "base/resident_memory.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/profile_table.h"
#include "cli/speed_measurement.h"
#include "report/render.h"

namespace checkbit {
namespace {

/// Median with its 95 % interval, the range between two of the values in order; from six values
/// on, fewer cannot cover it.
Record median_record(const Console& console, std::string name, std::vector<double> values,
                     std::string unit) {
  std::ranges::sort(values);
  const std::size_t n = values.size();
  Record record = make_record(console, std::move(name), (values[(n - 1) / 2] + values[n / 2]) / 2,
                              std::move(unit));
  if (n >= 6) {
    // Of the binomial distribution of how many values lie below the median, by its normal form.
    const double half = static_cast<double>(n) / 2;
    const auto rank =
        static_cast<std::size_t>(std::max(1.0, half - 1.96 * std::sqrt(half / 2))) - 1;
    record.low = values[rank];
    record.high = values[n - 1 - rank];
  }
  return record;
}

double value_of(const std::vector<Record>& records, std::string_view name) {
  const auto found = std::ranges::find(records, name, &Record::name);
  return found == records.end() ? 0 : found->value;
}

Status run(const Arguments& arguments, Console& console) {
  const SpeedPlan plan = {.prompt_tokens = arguments.integer("--prompt-tokens"),
                          .generated_tokens = arguments.integer("--tokens"),
                          .depth_tokens = arguments.integer("--depth"),
                          .runs = arguments.integer("--runs")};
  SessionOptions options = session_options(arguments, console);
  if (options.context_tokens == 0) options.context_tokens = context_tokens(plan);
  const std::int64_t sequences = arguments.integer("--sequences");
  options.batch_tokens = std::max(options.batch_tokens, sequences);
  options.max_logits = std::max(options.max_logits, sequences);
  CB_TRY(Session session, open_session(arguments.text("MODEL"), options, console));
  CB_TRY(const Speeds speeds, measure_speeds(session, plan));
  std::vector<Record> records =
      session_records(console, session);  // before the bandwidth's buffer counts
  if (!speeds.prompt.empty())
    records.push_back(
        median_record(console, "prompt_tokens_per_second", speeds.prompt, "tokens/s"));
  records.push_back(
      median_record(console, "generation_tokens_per_second", speeds.generation, "tokens/s"));
  if (options.repack) {
    CB_TRY(const ReadShares shares, measure_read_shares(session, plan.depth_tokens));
    records.push_back(median_record(console, "read_bandwidth", shares.bandwidth, "bytes/s"));
    records.push_back(median_record(console, "read_bandwidth_share", shares.share, "share"));
  }
  if (sequences > 1) {
    CB_TRY(const std::vector<double> together, measure_sequences(session, sequences, plan));
    records.push_back(median_record(console, "sequences_tokens_per_second", together, "tokens/s"));
  }
  records.push_back(
      make_record(console, "integer_peak", measure_integer_peak(session), "products/s"));
  std::optional<Profiles> profiles;
  if (arguments.has("--profile") || arguments.has("--trace")) {
    CB_TRY(profiles, measure_profiles(session, plan));
  }
  if (arguments.has("--trace")) {
    CB_TRY_STATUS(write_file_atomically(
        arguments.text("--trace"), profiles->generation.trace(model_name(session.file().path()))));
  }
  nlohmann::ordered_json extra = {
      {"model", model_name(session.file().path())},
      {"threads", session.pool().size()},
      {"isa", to_string(session.isa())},
      {"pinned_threads", session.pool().pinned()},
      {"kv_cache", to_string(session.cache_type())},
      {"kernels", kernels_json(session.model())},
      {"large_page_bytes", large_page_bytes(session.model().packed_weights())},
      {"bytes_per_token", bytes_per_token(session, plan.depth_tokens)},
      {"products_per_token", products_per_token(session.model())}};
  const SpeedLimits limits = {.bandwidth = value_of(records, "read_bandwidth"),
                              .integer_peak = value_of(records, "integer_peak")};
  if (arguments.has("--json")) {
    if (profiles) {
      extra["profile"] = {{"prompt", profile_json(profiles->prompt)},
                          {"generation", profile_json(profiles->generation)}};
      extra["layers"] = {{"prompt", layers_json(profiles->prompt)},
                         {"generation", layers_json(profiles->generation)}};
    }
    console.out << render_json(records, describe_environment(), extra);
    return {};
  }
  console.out << fmt::format(
      "{}  {} threads{}, {}, {} cache, {} prompt tokens, {} generated{}\n\n",
      console.out_terminal.style(Style::bold, model_name(session.file().path())),
      session.pool().size(), session.pool().pinned() > 0 ? " pinned to cores" : "",
      to_string(session.isa()), to_string(session.cache_type()), plan.prompt_tokens,
      plan.generated_tokens,
      plan.depth_tokens > 0 ? fmt::format(", from {} tokens of context", plan.depth_tokens) : "");
  console.out << render_table(records,
                              {.width = static_cast<std::size_t>(console.out_terminal.width),
                               .colour = console.out_terminal.colour});
  if (!arguments.has("--profile")) return {};
  if (plan.prompt_tokens > 0)
    console.out << profile_table("Prompt", profiles->prompt, plan.prompt_tokens, limits);
  console.out << profile_table("Generation", profiles->generation, plan.generated_tokens, limits)
              << layer_table(profiles->prompt, plan.prompt_tokens, profiles->generation,
                             plan.generated_tokens, limits)
              << kernel_table(session);
  return {};
}

}  // namespace

extern const Command bench_command;
const Command bench_command = {
    .name = "bench",
    .group = "Models",
    .summary = "prompt and generation speed",
    .description =
        "Reads a prompt and generates text several times and prints the median speeds with their "
        "95 % intervals (from six runs on). Both start from --depth tokens of context. "
        "read_bandwidth_share is the share of the memory bandwidth that generating uses: "
        "generating alternates with reading a buffer as large as what one token reads (weights, "
        "and "
        "keys and values of the context), by the same threads, and the figure is the median over "
        "these pairs. integer_peak is how many 8-bit products the threads add up in a second when "
        "nothing has to be read.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = with_engine_flags(
        {{.name = "--prompt-tokens",
          .kind = ValueKind::integer,
          .value_name = "N",
          .help = "length of the prompt; 0: none",
          .default_value = "512",
          .minimum = 0},
         {.name = "--tokens",
          .short_name = 'n',
          .kind = ValueKind::integer,
          .value_name = "N",
          .help = "tokens to generate",
          .default_value = "64",
          .minimum = 1},
         {.name = "--depth",
          .kind = ValueKind::integer,
          .value_name = "N",
          .help = "tokens already in the context",
          .default_value = "0",
          .minimum = 0},
         {.name = "--sequences",
          .kind = ValueKind::integer,
          .value_name = "N",
          .help = "also let N sequences generate together, each a token a pass",
          .default_value = "1",
          .minimum = 1},
         {.name = "--runs",
          .kind = ValueKind::integer,
          .value_name = "N",
          .help = "runs that count",
          .default_value = "6",
          .minimum = 1},
         {.name = "--profile",
          .help = "also print where the time of a token goes, and the kernels with why"},
         {.name = "--trace",
          .kind = ValueKind::path,
          .value_name = "FILE",
          .help = "write a timeline of generation for ui.perfetto.dev"},
         kJsonFlag}),
    .examples = {{.command = "checkbit bench smollm2-135m"},
                 {.command = "checkbit bench smollm2-135m --threads 1 --json"},
                 {.command = "checkbit bench smollm2-135m --profile --trace trace.json"},
                 {.command = "checkbit bench smollm2-135m --sequences 8"},
                 {.command = "checkbit bench smollm2-135m --depth 8000 --prompt-tokens 0"},
                 {.command = "checkbit bench smollm2-135m --depth 8000 --kv-cache q8_0"}},
    .run = run};

}  // namespace checkbit
