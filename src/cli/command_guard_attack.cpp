// checkbit guard attack: the fewest bits that ruin a model, found on a copy.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/atomic_file.h"
#include "base/output_path.h"
#include "cli/command.h"
#include "cli/comparison_facts.h"
#include "cli/engine_flags.h"
#include "cli/read_input.h"
#include "file/pull.h"
#include "guard/critical_bits.h"
#include "measure/compare.h"
#include "measure/numerics/damaged_copy.h"
#include "measure/session_source.h"
#include "report/render.h"
#include "score/estimate_record.h"

namespace checkbit {
namespace {

using Json = nlohmann::ordered_json;

/// What a number of flips does: chosen ones, and as many random ones.
struct Damage {
  std::size_t flips = 0;
  Estimate perplexity;  ///< infinite: logits are not finite
  std::vector<double> random;
};

/// The copy, open, and the texts.
struct Attack {
  DamagedCopy copy;
  Session session;
  std::vector<TokenId> attacked;  ///< what the search reads
  std::vector<TokenId> text;      ///< what damage is measured on
  CompareOptions compare;
};

BitFields fields_of(const Arguments& arguments) {
  const std::string name = arguments.text("--fields");
  return name == "levels"   ? BitFields::levels
         : name == "scales" ? BitFields::scales
                            : BitFields::any;
}

Result<Attack> open_attack(const Arguments& arguments, Console& console) {
  CB_TRY(const std::string path, resolve_model(arguments.text("MODEL")));
  CB_TRY(const std::string content, read_text_input(arguments.text("--text"), console));
  CB_TRY_STATUS(check_text(content, arguments.text("--text")));
  CB_TRY(const ModelFile source, ModelFile::open(path));
  CB_TRY(DamagedCopy copy, DamagedCopy::create(source));
  SessionOptions options;
  options.threads = console.threads;
  options.repack = false;  // weights are read from the copy each time, with the bits as they are
  options.context_tokens = arguments.integer("--context");
  options.max_logits = arguments.integer("--tokens");
  options.batch_tokens = std::max(options.max_logits, SessionOptions().batch_tokens);
  CB_TRY(Session session, Session::open(copy.path(), options));
  const std::vector<TokenId> tokens = session.tokenizer().encode(content);
  const auto searched = static_cast<std::size_t>(arguments.integer("--tokens"));
  const auto window = static_cast<std::size_t>(arguments.integer("--context"));
  if (tokens.size() < searched + window) {
    return fail(ErrorKind::budget, "{}: {} tokens are fewer than --tokens and one window need: {}",
                arguments.text("--text"), tokens.size(), searched + window);
  }
  const auto split = tokens.begin() + static_cast<std::ptrdiff_t>(searched);
  Attack attack{
      std::move(copy), std::move(session), {tokens.begin(), split}, {split, tokens.end()}, {}};
  attack.compare.context_tokens = window;
  attack.compare.max_windows = static_cast<std::size_t>(arguments.integer("--windows"));
  attack.compare.beginning = beginning_token(attack.session.tokenizer());
  if (attack.compare.beginning) attack.attacked.front() = *attack.compare.beginning;
  return attack;
}

AttackTarget target_of(Attack& attack) {
  static constexpr TokenId kUnscored = -1;
  std::vector<TokenId> targets(attack.attacked.begin() + 1, attack.attacked.end());
  targets.push_back(kUnscored);
  return {.file = &attack.session.file(),
          .flip =
              [&](const BitSite& site) {
                return attack.copy.flip_bit(site.tensor, site.offset, site.bit);
              },
          .loss = [&attack, targets]() -> Result<double> {
            auto loss = loss_and_gradient(attack.session, attack.attacked, targets, nullptr);
            if (!loss && loss.error().kind == ErrorKind::corrupt)
              return std::numeric_limits<double>::infinity();
            return loss;
          },
          .gradient = [&attack, targets](const EachMatrix& each) -> Status {
            const auto loss = loss_and_gradient(attack.session, attack.attacked, targets, each);
            return loss ? Status() : Status(loss.error());
          }};
}

Result<Estimate> perplexity(Attack& attack) {
  SessionSource source(attack.session);
  LogitsSource* const candidate = &source;
  CB_TRY(const ComparisonResult result,
         compare_models({&candidate, 1}, nullptr, attack.text, attack.compare));
  if (!result.candidates[0].broken) return result.candidates[0].perplexity;
  constexpr double kNone = std::numeric_limits<double>::infinity();
  return Estimate{kNone, std::nullopt};
}

/// Perplexity with these bits flipped; they are back when it returns.
Result<Estimate> perplexity_with(Attack& attack, std::span<const BitSite> bits) {
  for (const BitSite& b : bits) CB_TRY_STATUS(attack.copy.flip_bit(b.tensor, b.offset, b.bit));
  Result<Estimate> result = perplexity(attack);
  for (const BitSite& b : bits) CB_TRY_STATUS(attack.copy.flip_bit(b.tensor, b.offset, b.bit));
  return result;
}

/// 0, 1, 2, 3, 5, 10, 20 ... flips, as far as there are, and all.
std::vector<std::size_t> steps_to(std::size_t flips) {
  std::vector<std::size_t> steps;
  for (const std::size_t n : {0, 1, 2, 3, 5, 10, 20, 50, 100}) {
    if (n < flips) steps.push_back(n);
  }
  steps.push_back(flips);
  return steps;
}

Result<std::vector<Damage>> measure_damage(const Arguments& arguments, Attack& attack,
                                           std::span<const CriticalBit> bits) {
  const auto trials = static_cast<std::uint64_t>(arguments.integer("--random"));
  const auto seed = static_cast<std::uint64_t>(arguments.integer("--seed"));
  std::vector<Damage> damage;
  for (const std::size_t n : steps_to(bits.size())) {
    std::vector<BitSite> chosen;
    for (const CriticalBit& bit : bits.first(n)) chosen.push_back(bit.site);
    Damage row{.flips = n, .perplexity = {}, .random = {}};
    CB_TRY(row.perplexity, perplexity_with(attack, chosen));
    for (std::uint64_t trial = 0; n > 0 && trial < trials; ++trial) {
      const std::vector<BitSite> drawn =
          draw_bits(attack.session.file(), fields_of(arguments), n, seed, trial);
      CB_TRY(const Estimate random, perplexity_with(attack, drawn));
      row.random.push_back(random.value);
    }
    std::ranges::sort(row.random);
    damage.push_back(std::move(row));
  }
  return damage;
}

std::string figure(double value) {
  return std::isfinite(value) ? fmt::format("{:.4g}", value) : "not finite";
}

std::string_view field_name(BitField field) {
  return field == BitField::levels ? "level" : "scale";
}

Json bits_as_json(const ModelFile& file, std::span<const CriticalBit> bits) {
  Json list = Json::array();
  for (const CriticalBit& bit : bits) {
    const ModelTensor& tensor = file.tensors()[bit.site.tensor];
    list.push_back({{"tensor", tensor.info.name},
                    {"row", bit.site.offset / tensor.info.row_bytes()},
                    {"byte", bit.site.offset},
                    {"bit", bit.site.bit},
                    {"field", std::string(field_name(bit.field))},
                    {"predicted", bit.predicted},
                    {"loss", std::isfinite(bit.loss) ? Json(bit.loss) : Json()}});
  }
  return list;
}

Json damage_as_json(std::span<const Damage> damage) {
  const auto number = [](double v) { return std::isfinite(v) ? Json(v) : Json(); };
  Json list = Json::array();
  for (const Damage& d : damage) {
    Json random = Json::array();
    for (const double v : d.random) random.push_back(number(v));
    const auto& interval = d.perplexity.interval;
    list.push_back({{"flips", d.flips},
                    {"perplexity", number(d.perplexity.value)},
                    {"low", interval ? number(interval->low) : Json()},
                    {"high", interval ? number(interval->high) : Json()},
                    {"random", std::move(random)}});
  }
  return list;
}

void print_attack(const Attack& attack, std::span<const CriticalBit> bits,
                  std::span<const Damage> damage, Console& console) {
  const ModelFile& file = attack.session.file();
  for (const CriticalBit& bit : bits) {
    const ModelTensor& tensor = file.tensors()[bit.site.tensor];
    console.out << fmt::format("{} row {}, byte {} bit {} ({} of {}): surprise {} nats\n",
                               tensor.info.name, bit.site.offset / tensor.info.row_bytes(),
                               bit.site.offset, bit.site.bit, field_name(bit.field),
                               tensor.info.format->name, figure(bit.loss));
  }
  console.out << "\nflips  perplexity  [95 %]                 random: median  [least, most]\n";
  for (const Damage& d : damage) {
    console.out << fmt::format("{:>5}  {:>10}  {:<22}", d.flips, figure(d.perplexity.value),
                               d.perplexity.interval
                                   ? fmt::format("[{}, {}]", figure(d.perplexity.interval->low),
                                                 figure(d.perplexity.interval->high))
                                   : "");
    if (!d.random.empty())
      console.out << fmt::format(" {:>14}  [{}, {}]", figure(d.random[d.random.size() / 2]),
                                 figure(d.random.front()), figure(d.random.back()));
    console.out << "\n";
  }
}

/// The file with the bits flipped, under its own name.
Status write_attacked(const Attack& attack, std::span<const CriticalBit> bits,
                      const std::string& path) {
  const ModelFile& file = attack.session.file();
  const std::span<const std::uint8_t> bytes = file.parts()[0].bytes();
  std::string content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const CriticalBit& bit : bits) {
    const ModelTensor& tensor = file.tensors()[bit.site.tensor];
    const auto at = static_cast<std::size_t>(tensor.bytes.data() - bytes.data()) + bit.site.offset;
    content[at] = static_cast<char>(content[at] ^ (1 << bit.site.bit));
  }
  return write_file_atomically(path, content);
}

std::vector<Record> records_of(std::span<const Damage> damage, std::size_t flips,
                               const Console& console) {
  std::vector<Record> records = {
      make_record(console, "attack_flips", static_cast<double>(flips), "bits")};
  const auto add = [&](const char* name, const Estimate& e) {
    records.push_back(record_of(name, "", e, console.command_line));
  };
  add("perplexity", damage.front().perplexity);
  add("attack_perplexity", damage.back().perplexity);
  const std::vector<double>& random = damage.back().random;
  if (!random.empty())
    add("attack_perplexity_random",
        {random[random.size() / 2], Interval{random.front(), random.back()}});
  return records;
}

Status run(const Arguments& arguments, Console& console) {
  if (arguments.has("--write")) CB_TRY_STATUS(check_output_path(arguments.text("--write")));
  CB_TRY(Attack attack, open_attack(arguments, console));
  AttackOptions options;
  options.fields = fields_of(arguments);
  options.most_flips = static_cast<std::size_t>(arguments.integer("--flips"));
  options.tries = static_cast<std::size_t>(arguments.integer("--tries"));
  options.target_loss = std::log(arguments.number("--until"));
  const AttackTarget target = target_of(attack);
  CB_TRY(const std::vector<CriticalBit> bits, find_critical_bits(target, options));
  for (const CriticalBit& bit : bits) CB_TRY_STATUS(target.flip(bit.site));
  CB_TRY(const std::vector<Damage> damage, measure_damage(arguments, attack, bits));
  if (arguments.has("--write"))
    CB_TRY_STATUS(write_attacked(attack, bits, arguments.text("--write")));
  if (arguments.has("--json")) {
    console.out << render_json(records_of(damage, bits.size(), console), describe_environment(),
                               Json{{"bits", bits_as_json(attack.session.file(), bits)},
                                    {"damage", damage_as_json(damage)}});
  } else {
    print_attack(attack, bits, damage, console);
  }
  return {};
}

Flag count_flag(std::string_view name, std::string_view help, std::string_view usual,
                double minimum) {
  return {.name = name,
          .kind = ValueKind::integer,
          .value_name = "N",
          .help = help,
          .default_value = usual,
          .minimum = minimum};
}

Status check(const Arguments& arguments) {
  if (!arguments.has("--text")) return fail(ErrorKind::invalid, "attack: --text FILE is missing");
  if (arguments.integer("--tokens") > arguments.integer("--context"))
    return fail(ErrorKind::invalid, "attack: --tokens is over --context");
  if (!(arguments.number("--until") > 1))
    return fail(ErrorKind::invalid, "attack: --until is a perplexity, over 1");
  return {};
}

}  // namespace

extern const Command guard_attack_command;
const Command guard_attack_command = {
    .name = "guard attack",
    .summary = "the fewest bits that ruin a model, found on a copy",
    .description =
        "Searches for the bits of a model's quantized matrices whose flips hurt most: ranks every "
        "bit by the gradient of the loss times the change its flip makes, tries the best by a "
        "forward pass, keeps the worst, and goes on. Then measures perplexity on text that the "
        "search did not see, with the chosen flips and with as many random ones.\n\n"
        "MODEL stays as it is: all happens on a copy in the folder for temporary files. --write "
        "keeps the damaged model, to see `checkbit guard verify` and `repair` find and mend it.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = {{.name = "--text",
               .kind = ValueKind::path,
               .value_name = "FILE",
               .help = "what the model reads; its first --tokens are what the search sees"},
              {.name = "--fields",
               .kind = ValueKind::choice,
               .value_name = "FIELDS",
               .help = "which bits of a block: of levels, of scales and minimums, or any",
               .default_value = "any",
               .choices = {"levels", "scales", "any"}},
              count_flag("--flips", "most bits to flip", "5", 1),
              {.name = "--until",
               .kind = ValueKind::number,
               .value_name = "PERPLEXITY",
               .help = "stop at this perplexity of the text that is attacked",
               .default_value = "100000"},
              count_flag("--tries", "forward passes for each flip", "8", 1),
              count_flag("--tokens", "tokens that the search reads", "64", 8),
              count_flag("--windows", "windows that damage is measured on", "8", 1),
              count_flag("--context", "tokens of a window; its second half is scored", "256",
                         static_cast<double>(kMinContextTokens)),
              count_flag("--random", "draws of as many random flips", "5", 0),
              count_flag("--seed", "what random flips are drawn from", "1", 0),
              {.name = "--write",
               .kind = ValueKind::path,
               .value_name = "FILE",
               .help = "write the model with the bits flipped"},
              kJsonFlag},
    .examples = {{.command = "checkbit guard attack smollm2-135m --text book.txt"},
                 {.command = "checkbit guard attack smollm2-135m --text book.txt --fields levels "
                             "--flips 20"},
                 {.command = "checkbit guard attack smollm2-135m --text book.txt --write "
                             "damaged.gguf --json"}},
    .check = check,
    .run = run};

}  // namespace checkbit
