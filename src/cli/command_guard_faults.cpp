// checkbit guard faults: very many faults on single products and on blocks of the file.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/trial_progress.h"
#include "guard/many_faults.h"
#include "report/html.h"
#include "report/render.h"
#include "report/text.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

/// What activations come from: any text does, it only has to be the same every time.
constexpr std::string_view kText =
    "The ship had been at sea for eleven days when the wind turned and the captain counted what "
    "was left of the water.";

struct Hit {
  std::string_view what;  ///< "products", "blocks" or "seals"
  ManyFaults found;
};

GuardLevel level_of(const Arguments& arguments) { return *guard_level(arguments.text("--guard")); }

Table outcome_table(const std::vector<Hit>& hits) {
  Table table{.caption = "How single and double faults ended",
              .columns = {"hit", "faults", "trials"},
              .rows = {}};
  for (std::size_t i = 0; i < kOutcomes; ++i)
    table.columns.emplace_back(to_string(static_cast<Outcome>(i)));
  for (const Hit& hit : hits) {
    for (const auto& [name, counts] :
         {std::pair{"one", &hit.found.single}, std::pair{"two", &hit.found.pair}}) {
      std::vector<std::string> row = {std::string(hit.what), name, std::to_string(counts->total())};
      for (const std::uint64_t count : counts->of) row.push_back(std::to_string(count));
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

std::vector<Record> records_of(const std::vector<Hit>& hits, const Console& console) {
  std::vector<Record> records;
  for (const Hit& hit : hits) {
    OutcomeCounts all = hit.found.single;
    all.add(hit.found.pair);
    const auto add = [&](Record record) {
      record.subject = hit.what;
      records.push_back(std::move(record));
    };
    add(make_record(console, "fault_trials", static_cast<double>(all.total()), "trials"));
    for (std::size_t i = 0; i < kOutcomes; ++i)
      add(share_of(fmt::format("faults_{}", to_string(static_cast<Outcome>(i))), all.of[i],
                   all.total(), console.command_line));
    if (hit.found.checks > 0)
      add(make_record(console, "checks_executed", static_cast<double>(hit.found.checks), "checks"));
    add(make_record(console, "fault_trials_per_second",
                    static_cast<double>(all.total()) / hit.found.seconds, "trials/s"));
  }
  return records;
}

nlohmann::ordered_json as_json(const std::vector<Hit>& hits) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const Hit& hit : hits) {
    nlohmann::ordered_json& one = json[std::string(hit.what)];
    for (const auto& [name, counts] :
         {std::pair{"one", &hit.found.single}, std::pair{"two", &hit.found.pair}}) {
      for (std::size_t i = 0; i < kOutcomes; ++i)
        one[name][std::string(to_string(static_cast<Outcome>(i)))] = counts->of[i];
    }
    one["bits"] = hit.found.bits;
    one["samples"] = hit.found.samples;
  }
  return json;
}

Result<std::vector<Hit>> run_faults(const Arguments& arguments, Session& session,
                                    Console& console) {
  const TrialProgress progress;
  ManyFaultsOptions options;
  options.trials = static_cast<std::uint64_t>(arguments.integer("--trials"));
  options.seed = static_cast<std::uint64_t>(arguments.integer("--seed"));
  options.samples = static_cast<std::size_t>(arguments.integer("--samples"));
  options.threads = static_cast<std::size_t>(console.threads);
  CodeShape shape;
  shape.parity_blocks = static_cast<std::uint32_t>(arguments.integer("--parity"));
  std::vector<Hit> hits;
  const std::string only = arguments.text("--only");
  const auto wanted = [&](std::string_view what) { return only.empty() || only == what; };
  if (wanted("products")) {
    const std::vector<TokenId> text = session.tokenizer().encode(kText);
    CB_TRY(ManyFaults found, faults_on_products(session, text, level_of(arguments), options));
    hits.push_back({"products", std::move(found)});
  }
  if (wanted("blocks")) {
    CB_TRY(ManyFaults found, faults_on_blocks(session.file(), shape, options));
    hits.push_back({"blocks", std::move(found)});
  }
  if (wanted("seals")) {
    constexpr std::uint64_t kSlower = 10;  // files are opened, locked and flushed
    options.trials = std::max<std::uint64_t>(options.trials / kSlower, 1);
    CB_TRY(ManyFaults found, faults_on_seals(session.file(), shape, options));
    hits.push_back({"seals", std::move(found)});
  }
  return hits;
}

/// No fault may be silent, and no product go without its check.
Status judge(const std::vector<Hit>& hits) {
  std::uint64_t silent = 0;
  for (const Hit& hit : hits) {
    const std::uint64_t trials = hit.found.single.total() + hit.found.pair.total();
    silent += hit.found.single[Outcome::silent] + hit.found.pair[Outcome::silent];
    if (hit.what == "products" && hit.found.checks < trials)
      return fail(ErrorKind::corrupt, "{} checks of products were made in {} trials",
                  hit.found.checks, trials);
  }
  if (silent == 0) return {};
  return fail(ErrorKind::corrupt, "{} faults changed results and nobody noticed", silent);
}

Status run(const Arguments& arguments, Console& console) {
  SessionOptions options;
  options.threads = console.threads;
  options.context_tokens = 256;
  options.max_logits = 1;
  CB_TRY(Session session, open_session(arguments.text("MODEL"), options, console));
  CB_TRY(const std::vector<Hit> hits, run_faults(arguments, session, console));
  const std::vector<Record> records = records_of(hits, console);
  if (arguments.has("--json")) {
    console.out << render_json(records, describe_environment(), as_json(hits));
  } else {
    const Table table = outcome_table(hits);
    console.out << table.caption << "\n"
                << text_table(table).render(console.out_terminal, 2) << "\n"
                << render_table(records,
                                {.width = static_cast<std::size_t>(console.out_terminal.width),
                                 .colour = console.out_terminal.colour});
  }
  return level_of(arguments) == GuardLevel::full ? judge(hits) : Status();
}

std::vector<std::string_view> levels() {
  return {to_string(GuardLevel::check), to_string(GuardLevel::full)};
}

}  // namespace

extern const Command guard_faults_command;
const Command guard_faults_command = {
    .name = "guard faults",
    .group = "",
    .summary = "hundreds of thousands of faults, and how each ended",
    .description =
        "Flips one or two bits at a time, drawn evenly over everything that a guard covers, its "
        "own sums, checks and parity included, lets the guard do its work, and compares every bit "
        "of what comes out. Corrected: noticed, and right in the end. Detected: noticed, and not "
        "right. Benign: not noticed, and right all the same. Silent: not noticed, and wrong; with "
        "--guard full one of these is an error.\n\n"
        "Products are single matrix products with weights of the model and activations that a text "
        "gives them, for one token and for a block of them; blocks are stretches of the model's "
        "file in memory, under the code of a seal; seals are stretches on disk with a seal beside "
        "them, which are repaired as `guard repair` does it.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = {{.name = "--trials",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "of products, as many of blocks and a tenth of seals; half have two faults",
               .default_value = "100000",
               .minimum = 1},
              {.name = "--only",
               .kind = ValueKind::choice,
               .value_name = "WHAT",
               .help = "leave out the others",
               .choices = {"products", "blocks", "seals"}},
              {.name = "--guard",
               .kind = ValueKind::choice,
               .value_name = "LEVEL",
               .help = "what checks the products",
               .default_value = "full",
               .choices = levels()},
              {.name = "--parity",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "blocks of parity to 64 of the file",
               .default_value = "2",
               .minimum = 1,
               .maximum = kMostParityBlocks},
              {.name = "--samples",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "matrices, and stretches of the file, spread over the model; at most all",
               .default_value = "16",
               .minimum = 1,
               .maximum = 10000},
              {.name = "--seed",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "what faults are drawn from",
               .default_value = "1"},
              kJsonFlag},
    .examples = {{.command = "checkbit guard faults smollm2-135m"},
                 {.command = "checkbit guard faults smollm2-135m --trials 1000000 --samples 1000 "
                             "--json"}},
    .run = run};

}  // namespace checkbit
