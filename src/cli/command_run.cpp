// checkbit run: a prompt in, text out.

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/output_path.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/guard_session.h"
#include "cli/logits_file.h"
#include "cli/read_input.h"
#include "cli/sampler_flags.h"
#include "report/render.h"
#include "report/text.h"
#include "run/generate.h"

namespace checkbit {
namespace {

Status check(const Arguments& arguments) {
  const int sources =
      arguments.has("--prompt") + arguments.has("--file") + arguments.has("--tokens-file");
  if (sources != 1) {
    return fail(ErrorKind::invalid, "run: give one of -p TEXT, --file FILE and --tokens-file FILE");
  }
  if (arguments.has("--logits-out") && arguments.integer("--tokens") != 0) {
    return fail(ErrorKind::invalid, "run: --logits-out is for the prompt: add -n 0");
  }
  if (arguments.has("--system") && (arguments.has("--raw") || arguments.has("--tokens-file"))) {
    return fail(ErrorKind::invalid,
                "run: --system needs the chat template, which this prompt does without");
  }
  return check_sampler_flags(arguments);
}

Result<std::vector<TokenId>> read_ids(const std::string& path, Console& console) {
  CB_TRY(const std::string text, read_text_input(path, console));
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const bool whole =
      json.is_array() && std::ranges::all_of(json, [](const auto& id) {
        return id.is_number_unsigned() && id.template get<std::uint64_t>() <= INT32_MAX;
      });
  if (!whole) return fail(ErrorKind::invalid, "{}: not a JSON array of token ids", path);
  return json.get<std::vector<TokenId>>();
}

nlohmann::ordered_json messages_of(const std::string& system, const std::string& prompt) {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", valid_utf8(system)}});
  messages.push_back({{"role", "user"}, {"content", valid_utf8(prompt)}});
  return messages;
}

Result<std::vector<TokenId>> prompt_tokens(const Arguments& arguments, const Session& session,
                                           Console& console) {
  if (arguments.has("--tokens-file")) return read_ids(arguments.text("--tokens-file"), console);
  std::string prompt = arguments.text("--prompt");
  std::string name = "the prompt";
  if (arguments.has("--file")) {
    name = arguments.text("--file");
    CB_TRY(prompt, read_text_input(name, console));
  }
  CB_TRY_STATUS(check_text(prompt, name));
  if (arguments.has("--system"))
    CB_TRY_STATUS(check_text(arguments.text("--system"), "the system message"));
  if (!arguments.has("--raw")) note_missing_template(session, console);
  if (arguments.has("--raw") || session.chat_template_source() == nullptr) {
    return session.tokenizer().encode(prompt);
  }
  CB_TRY(const std::string rendered,
         session.render_chat(messages_of(arguments.text("--system"), prompt), std::time(nullptr)));
  return session.tokenizer().encode(rendered, {.add_special = false, .parse_special = true});
}

double rate(std::size_t tokens, double seconds) {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

std::vector<Record> records_of(const Generation& g, const Session& session,
                               const Console& console) {
  std::vector<Record> records = session_records(console, session);
  records.push_back(make_record(console, "prompt_tokens_per_second",
                                rate(g.prompt_tokens, g.prompt_seconds), "tokens/s"));
  if (g.tokens.size() > 1) {
    records.push_back(make_record(console, "generation_tokens_per_second",
                                  rate(g.tokens.size() - 1, g.generation_seconds), "tokens/s"));
  }
  Record hash = make_record(console, "logits_hash", 0, "");
  hash.text = g.logits_hash;
  records.push_back(hash);
  return records;
}

void print_summary(const Generation& g, Console& console) {
  std::string line = fmt::format("{} prompt tokens at {:.0f}/s", g.prompt_tokens,
                                 rate(g.prompt_tokens, g.prompt_seconds));
  if (g.tokens.size() > 1) {
    line += fmt::format(", {} generated at {:.0f}/s", g.tokens.size(),
                        rate(g.tokens.size() - 1, g.generation_seconds));
  }
  if (const std::string cut = describe_cut(g); !cut.empty()) line += "; " + cut;
  console.err << console.err_terminal.style(Style::dim, line) << "\n";
}

Status run(const Arguments& arguments, Console& console) {
  SessionOptions session_choices = session_options(arguments, console);
  if (arguments.has("--logits-out")) session_choices.max_logits = SessionOptions().max_logits;
  CB_TRY(Session session, open_session(arguments.text("MODEL"), session_choices, console));
  CB_TRY(const std::vector<TokenId> prompt, prompt_tokens(arguments, session, console));
  const bool json = arguments.has("--json");
  Generation g;
  if (arguments.has("--logits-out")) {
    CB_TRY_STATUS(check_output_path(arguments.text("--logits-out")));
    CB_TRY(g.logits_hash, write_logits(session, prompt, arguments.text("--logits-out")));
    g.prompt_tokens = prompt.size();
  } else {
    const TextCallback stream = [&](std::string_view text) {
      console.out << (console.out_terminal.is_terminal ? clean_lines(text) : std::string(text))
                  << std::flush;
    };
    GenerateOptions options = generate_options(arguments);
    options.hash_logits = json;
    CB_TRY(g, generate(session, prompt, options, json ? TextCallback() : stream));
    if (g.reason == StopReason::cancelled && json) return cancelled_error();
  }
  if (json) {
    const nlohmann::ordered_json extra = {{"text", valid_utf8(g.text)},
                                          {"tokens", g.tokens},
                                          {"prompt_tokens", g.prompt_tokens},
                                          {"kv_cache", to_string(session.cache_type())},
                                          {"stop_reason", to_string(g.reason)}};
    console.out << render_json(records_of(g, session, console), describe_environment(), extra);
    return {};
  }
  if (!g.text.ends_with('\n') && !g.tokens.empty()) console.out << "\n";
  console.out.flush();
  if (const std::string guard = memory_summary(session); !guard.empty()) console.note(guard);
  if (g.reason == StopReason::cancelled) return cancelled_error();
  if (console.out_terminal.is_terminal && !console.quiet) {
    console.out << "\n" << std::flush;
    print_summary(g, console);
  } else if (g.reason == StopReason::context_full) {
    console.note(describe_cut(g));
  }
  if (const std::string checked = guard_summary(session); !checked.empty()) console.note(checked);
  return {};
}

std::vector<Flag> flags() {
  std::vector<Flag> list = {
      {.name = "--prompt",
       .short_name = 'p',
       .kind = ValueKind::text,
       .value_name = "TEXT",
       .help = "the prompt"},
      {.name = "--file",
       .short_name = 'f',
       .kind = ValueKind::path,
       .value_name = "FILE",
       .help = "read the prompt from FILE; - is standard input"},
      {.name = "--tokens-file",
       .kind = ValueKind::path,
       .value_name = "FILE",
       .help = "take the prompt as token ids: a JSON array, used as it is"},
      {.name = "--raw", .help = "continue the prompt as text, without the chat template"},
      {.name = "--system",
       .kind = ValueKind::text,
       .value_name = "TEXT",
       .help = "a system message"}};
  for (auto& flag : sampler_flags()) list.push_back(flag);
  list.push_back({.name = "--logits-out",
                  .kind = ValueKind::path,
                  .value_name = "FILE",
                  .help = "with -n 0: write the logits of every prompt token as .npy"});
  list.push_back(kJsonFlag);
  return with_engine_flags(list);
}

}  // namespace

extern const Command run_command;
const Command run_command = {
    .name = "run",
    .group = "Models",
    .summary = "generate text from a prompt",
    .description =
        "Generates text. The prompt goes through the model's chat template when it has one; --raw "
        "continues it as it is. The same model, prompt and seed give the same text on every "
        "machine, "
        "with any number of threads.\n\n"
        "When the context is full, generation stops and says so.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = flags(),
    .examples =
        {{.command = "checkbit run smollm2-135m -p \"Name three rivers.\""},
         {.command =
              "checkbit run smollm2-135m --raw -p \"Once upon a time\" -n 64 --temperature 0"},
         {.command = "checkbit run smollm2-135m -f question.txt --json"}},
    .check = check,
    .run = run};

}  // namespace checkbit
