// checkbit demo: the main job on a small model, told to a stranger. `make demo` runs it.

#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/atomic_file.h"
#include "cli/command.h"
#include "cli/comparison_facts.h"
#include "cli/damaged_run.h"
#include "cli/engine_flags.h"
#include "cli/read_input.h"
#include "cli/run_cli.h"
#include "measure/demo_report.h"
#include "measure/session_source.h"
#include "report/number.h"
#include "report/text.h"
#include "run/generate.h"

namespace checkbit {
namespace {

constexpr const char* kModel = "smollm2-135m";
constexpr std::int64_t kContext = 512;
constexpr std::int64_t kAnswerTokens = 48;
constexpr const char* kPrompts[] = {"What is the capital of France, and what is it known for?",
                                    "Explain in two sentences why the sky is blue."};

using Clock = std::chrono::steady_clock;

/// Says what comes next, then runs it as a user would type it.
Status step(Console& console, DemoStory& story, std::string_view title,
            const std::vector<std::string>& words) {
  const std::string command = "checkbit " + shell_quote(words);
  story.commands.push_back(command);
  console.out << "\n"
              << console.out_terminal.style(Style::heading, title) << "\n"
              << console.out_terminal.style(Style::dim, "$ " + command) << "\n"
              << std::flush;
  if (run_cli(words, console) == kExitDone) return {};
  return fail(ErrorKind::invalid, "demo: this step failed: {}", command);
}

Result<Session> open_for_demo(const std::string& model, Console& console) {
  SessionOptions options;
  options.threads = console.threads;
  options.context_tokens = kContext;
  return open_session(model, options, console);
}

Result<std::string> answer(Session& session, const std::string& prompt, ModelFacts& facts,
                           const Console& console) {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  messages.push_back({{"role", "user"}, {"content", prompt}});
  CB_TRY(const std::string text, session.render_chat(messages, std::time(nullptr)));
  GenerateOptions options;
  options.max_tokens = kAnswerTokens;
  options.sampler.temperature = 0;
  session.cache().truncate(0);
  CB_TRY(const Generation g,
         generate(session,
                  session.tokenizer().encode(text, {.add_special = false, .parse_special = true}),
                  options));
  const auto rate = [](double tokens, double seconds) {
    return seconds > 0 ? tokens / seconds : 0;
  };
  facts.records = {
      make_record(console, "prompt_tokens_per_second",
                  rate(static_cast<double>(g.prompt_tokens), g.prompt_seconds), "tokens/s"),
      make_record(console, "generation_tokens_per_second",
                  rate(static_cast<double>(g.tokens.size()) - 1, g.generation_seconds),
                  "tokens/s")};
  return g.text + (g.reason == StopReason::token_limit ? " ..." : "");
}

Status compare(DemoStory& story, Session& fitted, Session& original, const std::string& text_path,
               Console& console) {
  CB_TRY(const std::string text, read_text_input(text_path, console));
  CompareOptions options;
  options.context_tokens = static_cast<std::size_t>(kContext);
  options.beginning = beginning_token(original.tokenizer());
  SessionSource model(fitted);
  SessionSource reference(original);
  const TokenClasses classes(original.tokenizer());
  options.classes = &classes;
  CB_TRY(ComparisonResult result,
         compare_models(model, &reference, original.tokenizer().encode(text), options));
  CandidateStory& candidate = story.comparison.candidates.front();
  candidate.result = std::move(result.candidates.front());
  story.comparison.run = std::move(result);
  story.comparison.text_name = std::filesystem::path(text_path).filename().string();
  candidate.command = fmt::format("checkbit measure {} --against {} --text {}",
                                  fitted.file().path(), kModel, text_path);
  story.commands.push_back(candidate.command);
  story.comparison.environment = describe_environment();
  return {};
}

/// The fitted model once more, in a process of its own whose memory is damaged from here.
Status harm(DemoStory& story, const std::string& fitted_path, Console& console) {
  constexpr std::uint64_t kFlips = 200;
  const std::string prompt = kPrompts[0];
  console.out << "\n"
              << console.out_terminal.style(
                     Style::heading,
                     fmt::format("6. Flip {} bits of its weights while it writes", kFlips))
              << "\n"
              << std::flush;
  CB_TRY(const DamagedRun run,
         run_damaged(fitted_path,
                     {"-p", prompt, "-n", std::to_string(kAnswerTokens), "--temperature", "0"},
                     kFlips, 1));
  story.commands.push_back(run.command);
  story.harm = {run.flips, run.repaired_bits, run.repaired_blocks, run.repair_p99_seconds,
                prompt,    run.unharmed_text, run.damaged_text,    run.same_logits};
  if (!run.mended()) {
    return fail(ErrorKind::corrupt,
                "demo: of {} flipped bits {} were put back, {} blocks came from the file, and the "
                "logits are {}",
                run.flips, run.repaired_bits, run.from_file,
                run.same_logits ? "the same" : "other ones");
  }
  console.out
      << fmt::format(
             "{} bits flipped from outside, {} put back in {} blocks, each within {} (99 of "
             "100),\nwith the model's file out of reach. Every logit is the same to the "
             "bit, and so is the text:\n",
             run.flips, run.repaired_bits, run.repaired_blocks,
             print_quantity(run.repair_p99_seconds, "s"))
      << wrap(clean_line(run.damaged_text), console.out_terminal.width, 2) << "\n";
  return {};
}

void print_answers(const DemoStory& story, Console& console) {
  for (const AnswerPair& pair : story.answers) {
    const auto say = [&](std::string_view who, const std::string& text) {
      console.out << console.out_terminal.style(Style::bold, who) << "\n"
                  << wrap(clean_line(text), console.out_terminal.width, 2) << "\n";
    };
    say("prompt", pair.prompt);
    say("original", pair.original);
    say("fitted", pair.fitted);
  }
}

void print_speeds(const DemoStory& story, Console& console) {
  for (const auto& [who, facts] : {std::pair{"original", *story.comparison.reference},
                                   {"fitted", story.comparison.candidates.front().facts}}) {
    console.out << fmt::format(
        "{:<9} reads a prompt at {:.0f} and writes at {:.0f} tokens a second\n", who,
        facts.records[0].value, facts.records[1].value);
  }
}

Status run(const Arguments& arguments, Console& console) {
  const auto start = Clock::now();
  const std::string folder = arguments.text("--output");
  const std::string fitted_path = folder + "/smollm2-fitted.gguf";
  const std::string page = folder + "/report.html";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(ErrorKind::io, "{}: cannot make the folder: {}", folder, error.message());
  DemoStory story;
  story.title_name = "SmolLM2 135M";
  CB_TRY_STATUS(step(console, story, "1. Fetch a small language model (98 MB)", {"pull", kModel}));
  CB_TRY_STATUS(step(console, story, "2. Fit it into less memory, where that hurts least",
                     {"quantize", kModel, "-o", fitted_path, "--fit", arguments.text("--fit"),
                      "--context", std::to_string(kContext)}));
  CB_TRY(Session original, open_for_demo(kModel, console));
  CB_TRY(Session fitted, open_for_demo(fitted_path, console));
  story.comparison.candidates.emplace_back();
  story.comparison.candidates.front().facts = facts_of(fitted);
  story.comparison.reference = facts_of(original);
  console.out << "\n"
              << console.out_terminal.style(Style::heading,
                                            "3. Measure what that cost, on a text neither has seen")
              << "\n"
              << std::flush;
  CB_TRY_STATUS(compare(story, fitted, original, arguments.text("--text"), console));
  console.out << wrap(clean_line(describe_change(story.comparison)), console.out_terminal.width, 0)
              << "\n\n"
              << console.out_terminal.style(Style::heading, "4. Ask both the same") << "\n";
  for (const char* prompt : kPrompts) {
    AnswerPair pair{prompt, "", ""};
    CB_TRY(pair.original, answer(original, prompt, *story.comparison.reference, console));
    CB_TRY(pair.fitted, answer(fitted, prompt, story.comparison.candidates.front().facts, console));
    story.answers.push_back(std::move(pair));
  }
  print_answers(story, console);
  print_speeds(story, console);
  CB_TRY_STATUS(step(console, story, "5. Seal it: checksums and parity in a file beside it",
                     {"guard", "seal", fitted_path}));
  CB_TRY_STATUS(harm(story, fitted_path, console));
  story.demo_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  CB_TRY_STATUS(write_file_atomically(page, render_html(build_demo_report(story))));
  console.out << "\n"
              << console.out_terminal.style(Style::bold,
                                            fmt::format("The whole story with pictures: {}", page))
              << "\n";
  return {};
}

}  // namespace

extern const Command demo_command;
const Command demo_command = {
    .name = "demo",
    .group = "Help",
    .summary = "fetch, fit, measure, ask and damage a small model",
    .description =
        "Fetches a 98 MB model, fits it into less memory, measures what that cost on a text, asks "
        "both models the same questions, seals it, flips 200 bits in its memory while it writes, "
        "mends them, and writes a page with the results. Takes about two minutes.",
    .flags = {{.name = "--output",
               .short_name = 'o',
               .kind = ValueKind::path,
               .value_name = "FOLDER",
               .help = "where files go",
               .default_value = "out/demo"},
              {.name = "--fit",
               .kind = ValueKind::bytes,
               .value_name = "SIZE",
               .help = "memory that the fitted model may take",
               .default_value = "120MiB"},
              {.name = "--text",
               .kind = ValueKind::path,
               .value_name = "FILE",
               .help = "text to measure on",
               .default_value = "data/demo_text.txt"}},
    .examples = {{.command = "checkbit demo"},
                 {.command = "checkbit demo -o out/small --fit 100MiB"}},
    .run = run};

}  // namespace checkbit
