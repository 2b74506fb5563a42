// checkbit template: renders a chat template, for looking and for the oracles.

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/command.h"
#include "cli/read_input.h"
#include "file/model_file.h"
#include "file/pull.h"
#include "run/chat_template.h"

namespace checkbit {
namespace {

/// SOURCE is a model, or a file that holds just a template.
Result<std::string> template_source(const std::string& source, Console& console) {
  const bool plain = source.ends_with(".jinja") || source.ends_with(".txt") || source == "-";
  if (plain) return read_text_input(source, console);
  CB_TRY(const std::string path, resolve_model(source));
  CB_TRY(const ModelFile file, ModelFile::open(path));
  const auto text = file.metadata().get_string("tokenizer.chat_template");
  if (!text) return fail(ErrorKind::not_found, "{}: the model has no chat template", path);
  return std::string(*text);
}

Status run(const Arguments& arguments, Console& console) {
  CB_TRY(const std::string source, template_source(arguments.text("SOURCE"), console));
  const std::string variables_path = arguments.text("--variables");
  CB_TRY(const std::string variables_text, read_text_input(variables_path, console));
  const auto variables = nlohmann::ordered_json::parse(variables_text, nullptr, false);
  if (variables.is_discarded() || !variables.is_object()) {
    return fail(ErrorKind::invalid, "{}: not a JSON object of template variables", variables_path);
  }
  CB_TRY(const ChatTemplate chat_template, ChatTemplate::parse(source));
  const std::int64_t now = arguments.has("--now") ? arguments.integer("--now") : std::time(nullptr);
  CB_TRY(const std::string text, chat_template.render(variables, now));
  console.out << text;
  return {};
}

Status check(const Arguments& arguments) {
  if (!arguments.has("--variables"))
    return fail(ErrorKind::invalid, "template: --variables FILE is missing");
  return {};
}

}  // namespace

extern const Command template_command;
const Command template_command = {
    .name = "template",
    .group = "For developers",
    .summary = "render a chat template",
    .description =
        "Renders a model's chat template, or the template in a .jinja or .txt file, with the "
        "variables "
        "of a JSON file, and prints the text as it is.",
    .positionals = {{.name = "SOURCE",
                     .kind = ValueKind::model,
                     .help = "a model, or a .jinja or .txt file"}},
    .flags = {{.name = "--variables",
               .kind = ValueKind::path,
               .value_name = "FILE",
               .help = "a JSON object: messages, add_generation_prompt, ...; - is standard input"},
              {.name = "--now",
               .kind = ValueKind::integer,
               .value_name = "SECONDS",
               .help = "Unix time for strftime_now, read as UTC [the present]"}},
    .examples = {{.command = "checkbit template smollm2-135m --variables variables.json"}},
    .check = check,
    .run = run};

}  // namespace checkbit
