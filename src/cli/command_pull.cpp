// checkbit pull: fetch a model into the cache.

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/command.h"
#include "file/catalogue.h"
#include "file/pull.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

Status check(const Arguments& arguments) {
  if (arguments.has("--list") == arguments.has("MODEL")) {
    return fail(ErrorKind::invalid, "pull: name a MODEL, or ask for the names with --list");
  }
  return {};
}

bool is_cached(std::string_view name) {
  for (const auto& model : cached_models()) {
    if (model.name == name) return true;
  }
  return false;
}

void print_catalogue(Console& console) {
  TextTable table{
      .header = {"", "name", "size", "model"}, .right = {false, false, true, false}, .rows = {}};
  bool any = false;
  for (const auto& model : catalogue()) {
    const bool cached = is_cached(model.name);
    any = any || cached;
    table.rows.push_back({cached ? "*" : "", std::string(model.name),
                          format_bytes(model.size_bytes),
                          fmt::format("{} ({})", model.summary, model.licence)});
  }
  console.out << table.render(console.out_terminal, 0);
  if (any) console.out << console.out_terminal.style(Style::dim, "*  pulled") << "\n";
}

void print_catalogue_json(Console& console) {
  nlohmann::ordered_json models = nlohmann::ordered_json::array();
  for (const auto& model : catalogue()) {
    models.push_back({{"name", model.name},
                      {"size_bytes", model.size_bytes},
                      {"licence", model.licence},
                      {"summary", model.summary},
                      {"pulled", is_cached(model.name)}});
  }
  console.out << render_json({}, describe_environment(), {{"models", std::move(models)}});
}

Status run(const Arguments& arguments, Console& console) {
  if (arguments.has("--list")) {
    arguments.has("--json") ? print_catalogue_json(console) : print_catalogue(console);
    return {};
  }
  CB_TRY(const PulledModel model, pull({.source = arguments.text("MODEL")}));
  if (arguments.has("--json")) {
    const std::vector<Record> records = {{.name = "file_bytes",
                                          .value = static_cast<double>(model.size_bytes),
                                          .unit = "bytes",
                                          .command = console.command_line}};
    const nlohmann::ordered_json extra = {{"name", model.name},
                                          {"path", model.path},
                                          {"sha256", model.sha256},
                                          {"already_present", model.already_present}};
    console.out << render_json(records, describe_environment(), extra);
    return {};
  }
  console.out << fmt::format(
      "{}  {}  {}\n{}\n", console.out_terminal.style(Style::bold, clean_line(model.name)),
      format_bytes(model.size_bytes),
      model.already_present ? "was here already" : "fetched and verified", clean_line(model.path));
  return {};
}

}  // namespace

extern const Command pull_command;
const Command pull_command = {
    .name = "pull",
    .group = "Models",
    .summary = "fetch a model into the cache",
    .description =
        "Fetches a model, verifies its SHA-256 and puts it into the cache, where every command "
        "finds "
        "it by name. MODEL is a name from `checkbit pull --list`, an http(s) URL of a GGUF file "
        "(#sha256=HEX at its end states what to expect), or hf:OWNER/REPO/FILE. An interrupted "
        "pull "
        "goes on where it stopped. Nothing that is fetched is executed.\n\n"
        "The cache is $CHECKBIT_HOME, else $XDG_CACHE_HOME/checkbit, else ~/.cache/checkbit.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::catalogue,
                     .help = "name, URL or hf:OWNER/REPO/FILE",
                     .optional = true}},
    .flags = {{.name = "--list", .help = "list the names that can be pulled"}, kJsonFlag},
    .examples = {{.command = "checkbit pull smollm2-135m"},
                 {.command = "checkbit pull https://example.org/models/tiny.gguf"}},
    .check = check,
    .run = run};

}  // namespace checkbit
