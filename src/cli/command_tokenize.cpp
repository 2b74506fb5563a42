// checkbit tokenize: text to token ids, for looking and for the oracles.

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <ostream>

#include "cli/command.h"
#include "cli/read_input.h"
#include "file/model_file.h"
#include "file/pull.h"
#include "report/text.h"
#include "run/tokenizer.h"

namespace checkbit {
namespace {

Status check(const Arguments& arguments) {
  if (arguments.has("--file") == arguments.has("TEXT")) {
    return fail(ErrorKind::invalid, "tokenize: give TEXT, or --file FILE (- for standard input)");
  }
  return {};
}

Status run(const Arguments& arguments, Console& console) {
  CB_TRY(const std::string path, resolve_model(arguments.text("MODEL")));
  CB_TRY(const ModelFile file, ModelFile::open(path));
  CB_TRY(const Tokenizer tokenizer, Tokenizer::create(file.metadata()));
  std::string text = arguments.text("TEXT");
  if (arguments.has("--file")) {
    CB_TRY(text, read_text_input(arguments.text("--file"), console));
  }
  const std::vector<TokenId> ids =
      tokenizer.encode(text, {.add_special = !arguments.has("--no-special"),
                              .parse_special = arguments.has("--parse-special")});
  if (arguments.has("--ids")) {
    // Written one by one: as one text they would take twice the memory of what was read.
    for (std::size_t i = 0; i < ids.size(); ++i) console.out << (i == 0 ? "[" : ", ") << ids[i];
    console.out << (ids.empty() ? "[]\n" : "]\n");
    return {};
  }
  for (const TokenId id : ids) {
    console.out << fmt::format("{}  {}\n",
                               console.out_terminal.style(Style::dim, fmt::format("{:>7}", id)),
                               nlohmann::json(valid_utf8(tokenizer.piece(id, true))).dump());
  }
  return {};
}

}  // namespace

extern const Command tokenize_command;
const Command tokenize_command = {
    .name = "tokenize",
    .group = "For developers",
    .summary = "text to token ids",
    .description =
        "Prints the tokens of a text as the model sees them: one id and piece a line, or all ids "
        "as a JSON array.",
    .positionals =
        {{.name = "MODEL", .kind = ValueKind::model, .help = "whose tokenizer"},
         {.name = "TEXT", .kind = ValueKind::text, .help = "the text", .optional = true}},
    .flags = {{.name = "--file",
               .short_name = 'f',
               .kind = ValueKind::path,
               .value_name = "FILE",
               .help = "read the text from FILE; - is standard input"},
              {.name = "--ids", .help = "print only the ids, as one JSON array"},
              {.name = "--no-special", .help = "do not add the tokens that begin and end a text"},
              {.name = "--parse-special",
               .help = "text such as <|im_end|> becomes its control token"}},
    .examples = {{.command = "checkbit tokenize smollm2-135m \"Two words\""},
                 {.command = "checkbit tokenize smollm2-135m --file text.txt --ids"}},
    .check = check,
    .run = run};

}  // namespace checkbit
