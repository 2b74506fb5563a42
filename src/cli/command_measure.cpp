// checkbit measure: what a quantized model lost against its reference.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "base/atomic_file.h"
#include "base/output_path.h"
#include "cli/command.h"
#include "cli/comparison_facts.h"
#include "cli/engine_flags.h"
#include "cli/read_input.h"
#include "measure/compare.h"
#include "measure/report.h"
#include "measure/session_source.h"
#include "report/html.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

/// Where the two tokenizers first disagree on the text.
Error tokenizers_differ(const Session& model, const Session& reference, std::size_t at) {
  return fail(ErrorKind::invalid,
              "{} and {} split the text differently from token {} on: they need one tokenizer",
              model.file().path(), reference.file().path(), at);
}

Status check_same_tokens(const Session& model, const Session& reference,
                         std::span<const TokenId> tokens, std::string_view text) {
  const std::vector<TokenId> other = reference.tokenizer().encode(text);
  const auto [mine, theirs] = std::ranges::mismatch(tokens, other);
  if (mine == tokens.end() && theirs == other.end()) return {};
  return tokenizers_differ(model, reference, static_cast<std::size_t>(mine - tokens.begin()));
}

struct Inputs {
  Session model;
  std::optional<Session> reference;
  std::vector<TokenId> tokens;
};

Result<Inputs> open_inputs(const Arguments& arguments, Console& console) {
  CB_TRY(const std::string text, read_text_input(arguments.text("--text"), console));
  CB_TRY_STATUS(check_text(text, arguments.text("--text")));
  SessionOptions options = session_options(arguments, console);
  options.context_tokens = arguments.integer("--context");
  options.max_logits = SessionOptions().max_logits;
  CB_TRY(Session model, open_session(arguments.text("MODEL"), options, console));
  std::vector<TokenId> tokens = model.tokenizer().encode(text);
  Inputs inputs{std::move(model), std::nullopt, std::move(tokens)};
  if (arguments.has("--against")) {
    options.cache_type = std::nullopt;
    CB_TRY(inputs.reference, open_session(arguments.text("--against"), options, console));
    CB_TRY_STATUS(check_same_tokens(inputs.model, *inputs.reference, inputs.tokens, text));
  }
  return inputs;
}

Result<ComparisonResult> compare(const Arguments& arguments, Inputs& inputs) {
  CompareOptions options;
  options.context_tokens = static_cast<std::size_t>(arguments.integer("--context"));
  options.max_windows = static_cast<std::size_t>(arguments.integer("--windows"));
  options.beginning = beginning_token(inputs.model.tokenizer());
  SessionSource model(inputs.model);
  if (!inputs.reference) return compare_models(model, nullptr, inputs.tokens, options);
  SessionSource reference(*inputs.reference);
  return compare_models(model, &reference, inputs.tokens, options);
}

Status run(const Arguments& arguments, Console& console) {
  if (arguments.has("--html")) CB_TRY_STATUS(check_output_path(arguments.text("--html")));
  CB_TRY(Inputs inputs, open_inputs(arguments, console));
  CB_TRY(ComparisonResult result, compare(arguments, inputs));
  if (!result.perplexity.interval)
    console.note(
        fmt::format("{} windows are too few for intervals: a longer text or a smaller "
                    "--context gives more",
                    result.windows.size()));
  std::vector<Record> records = to_records(result, console.command_line);
  for (auto& record : session_records(console, inputs.model)) records.push_back(record);

  ComparisonStory story{
      .model = facts_of(inputs.model),
      .reference = std::nullopt,
      .result = std::move(result),
      .text_name = std::filesystem::path(arguments.text("--text")).filename().string(),
      .layer_bits = layer_bits_of(inputs.model),
      .command = console.command_line,
      .environment = describe_environment()};
  if (inputs.reference) story.reference = facts_of(*inputs.reference);
  if (arguments.has("--html")) {
    CB_TRY_STATUS(write_file_atomically(arguments.text("--html"),
                                        render_html(build_comparison_report(story))));
  }
  if (arguments.has("--json")) {
    const nlohmann::ordered_json extra = {{"model", story.model.name},
                                          {"kv_cache", to_string(inputs.model.cache_type())},
                                          {"text", valid_utf8(story.text_name)}};
    console.out << render_json(records, story.environment, extra);
    return {};
  }
  console.out << wrap(clean_line(describe_change(story)), console.out_terminal.width, 0) << "\n"
              << render_table(records,
                              {.width = static_cast<std::size_t>(console.out_terminal.width),
                               .colour = console.out_terminal.colour});
  return {};
}

Status check(const Arguments& arguments) {
  if (!arguments.has("--text")) return fail(ErrorKind::invalid, "measure: --text FILE is missing");
  return {};
}

std::vector<Flag> flags() {
  std::vector<Flag> list =
      with_engine_flags({{.name = "--against",
                          .kind = ValueKind::model,
                          .value_name = "REFERENCE",
                          .help = "the model before it was quantized"},
                         {.name = "--text",
                          .kind = ValueKind::path,
                          .value_name = "FILE",
                          .help = "what both read; - is standard input"},
                         {.name = "--windows",
                          .kind = ValueKind::integer,
                          .value_name = "N",
                          .help = "only the first N windows of the text; 0 for all",
                          .default_value = "0"},
                         {.name = "--html",
                          .kind = ValueKind::path,
                          .value_name = "FILE",
                          .help = "also write a page with charts"},
                         kJsonFlag});
  for (auto& flag : list) {
    if (flag.name == "--kv-cache")
      flag.help =
          "how MODEL keeps keys and values; REFERENCE keeps f16, with --activations f32 f32";
    if (flag.name != "--context") continue;
    flag.help = "tokens of a window; its second half is scored";
    flag.default_value = "512";
    flag.minimum = kMinContextTokens;
  }
  return list;
}

}  // namespace

extern const Command measure_command;
const Command measure_command = {
    .name = "measure",
    .group = "Models",
    .summary = "what quantization changed",
    .description =
        "Lets a model and its reference read the same text in lockstep and reports perplexity, "
        "Kullback-Leibler divergence and the share of next-token choices that changed, each with "
        "its 95 % interval from a paired bootstrap over windows. Without --against it gives the "
        "perplexity alone. Beside the text itself, memory does not grow with it.\n\n"
        "--kv-cache is of MODEL alone: the same file on both sides measures what the cache costs.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = flags(),
    .examples = {{.command = "checkbit measure a.gguf --against b.gguf --text book.txt"},
                 {.command =
                      "checkbit measure a.gguf --against b.gguf --text book.txt --html a.html"},
                 {.command =
                      "checkbit measure a.gguf --against a.gguf --kv-cache q8_0 --text book.txt"},
                 {.command = "checkbit measure smollm2-135m --text book.txt --windows 8 --json"}},
    .check = check,
    .run = run};

}  // namespace checkbit
