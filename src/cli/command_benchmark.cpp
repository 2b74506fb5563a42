// checkbit bench: how fast a model reads and writes here.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/read_bandwidth.h"
#include "report/render.h"
#include "run/generate.h"

namespace checkbit {
namespace {

/// Tokens that any vocabulary has and no end token interrupts.
std::vector<TokenId> bench_prompt(const Session& session, std::size_t count) {
  const auto vocabulary = static_cast<std::size_t>(session.model().hyperparameters().vocabulary);
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; tokens.size() < count; ++i)
    tokens.push_back(static_cast<TokenId>((i * 7919 + 13) % vocabulary));
  return tokens;
}

/// Weights that one generated token reads: every matrix, but of the embedding one row unless it is
/// also the output.
double bytes_per_token(const Model& model) {
  double bytes = static_cast<double>(model.packed_bytes());
  const PackedMatrix* embedding = model.matrix(Role::token_embedding);
  if (embedding != nullptr && embedding != model.matrix(Role::output))
    bytes -= static_cast<double>(embedding->packed_bytes());
  return bytes;
}

struct Speeds {
  std::vector<double> prompt;
  std::vector<double> generation;
};

Result<Speeds> measure_speeds(Session& session, std::int64_t prompt_tokens, std::int64_t generated,
                              std::int64_t runs) {
  Speeds speeds;
  const std::vector<TokenId> prompt =
      bench_prompt(session, static_cast<std::size_t>(prompt_tokens));
  GenerateOptions options;
  options.max_tokens = generated;
  options.ignore_end = true;
  options.sampler.temperature = 0;
  Progress progress("benchmark", static_cast<std::uint64_t>(runs + 1), "runs");
  // The first run warms caches and clocks and does not count.
  for (std::int64_t i = 0; i <= runs; ++i) {
    session.cache().truncate(0);
    CB_TRY(const Generation g, generate(session, prompt, options));
    if (cancel_requested()) return cancelled_error();
    progress.advance();
    if (i == 0) continue;
    speeds.prompt.push_back(static_cast<double>(prompt.size()) / g.prompt_seconds);
    speeds.generation.push_back(static_cast<double>(g.tokens.size() - 1) / g.generation_seconds);
  }
  return speeds;
}

/// Median, with smallest and largest as its interval: six runs cover the median with 97 %.
Record speed_record(const Console& console, std::string name, std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t n = values.size();
  Record record =
      make_record(console, std::move(name), (values[(n - 1) / 2] + values[n / 2]) / 2, "tokens/s");
  if (n >= 6) {
    record.low = values.front();
    record.high = values.back();
  }
  return record;
}

Status run(const Arguments& arguments, Console& console) {
  const std::int64_t prompt_tokens = arguments.integer("--prompt-tokens");
  const std::int64_t generated = arguments.integer("--tokens");
  SessionOptions options = session_options(arguments, console);
  if (options.context_tokens == 0) options.context_tokens = prompt_tokens + generated;
  CB_TRY(Session session, open_session(arguments.text("MODEL"), options, console));
  CB_TRY(const Speeds speeds,
         measure_speeds(session, prompt_tokens, generated, arguments.integer("--runs")));
  std::vector<Record> records =
      session_records(console, session);  // before the bandwidth's buffer counts
  records.push_back(speed_record(console, "prompt_tokens_per_second", speeds.prompt));
  records.push_back(speed_record(console, "generation_tokens_per_second", speeds.generation));
  const double bandwidth = measure_read_bandwidth(session.pool());
  if (bandwidth > 0 && options.repack) {
    records.push_back(make_record(console, "read_bandwidth", bandwidth, "bytes/s"));
    Record share = records[records.size() - 2];
    const double scale = bytes_per_token(session.model()) / bandwidth;
    share.name = "read_bandwidth_share";
    share.unit = "share";
    share.value *= scale;
    if (share.low) share.low = *share.low * scale;
    if (share.high) share.high = *share.high * scale;
    records.push_back(share);
  }
  const nlohmann::ordered_json extra = {{"model", model_name(session.file().path())},
                                        {"threads", session.pool().size()},
                                        {"isa", to_string(session.isa())}};
  if (arguments.has("--json")) {
    console.out << render_json(records, describe_environment(), extra);
    return {};
  }
  console.out << fmt::format(
      "{}  {} threads, {}, {} prompt tokens, {} generated\n\n",
      console.out_terminal.style(Style::bold, model_name(session.file().path())),
      session.pool().size(), to_string(session.isa()), prompt_tokens, generated);
  console.out << render_table(records,
                              {.width = static_cast<std::size_t>(console.out_terminal.width),
                               .colour = console.out_terminal.colour});
  return {};
}

}  // namespace

extern const Command bench_command;
const Command bench_command = {
    .name = "bench",
    .group = "Models",
    .summary = "prompt and generation speed",
    .description =
        "Reads a prompt and generates text several times and prints the median speeds, with the "
        "range of "
        "the runs as interval (from six runs on). read_bandwidth_share is the share of the memory "
        "bandwidth, measured in the same process, that generating uses: weights read per token "
        "times "
        "tokens per second.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = with_engine_flags({{.name = "--prompt-tokens",
                                 .kind = ValueKind::integer,
                                 .value_name = "N",
                                 .help = "length of the prompt",
                                 .default_value = "512",
                                 .minimum = 1},
                                {.name = "--tokens",
                                 .short_name = 'n',
                                 .kind = ValueKind::integer,
                                 .value_name = "N",
                                 .help = "tokens to generate",
                                 .default_value = "64",
                                 .minimum = 2},
                                {.name = "--runs",
                                 .kind = ValueKind::integer,
                                 .value_name = "N",
                                 .help = "runs that count",
                                 .default_value = "6",
                                 .minimum = 1},
                                kJsonFlag}),
    .examples = {{.command = "checkbit bench smollm2-135m"},
                 {.command = "checkbit bench smollm2-135m --threads 1 --json"}},
    .run = run};

}  // namespace checkbit
