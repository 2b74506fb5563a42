// checkbit sweep: every size of a model, measured; the front; the laws.

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <ostream>

#include "base/atomic_file.h"
#include "base/output_path.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/comparison_facts.h"
#include "cli/engine_flags.h"
#include "cli/flag_values.h"
#include "cli/read_input.h"
#include "cli/sweep_candidates.h"
#include "cli/sweep_output.h"
#include "file/pull.h"
#include "measure/documents.h"
#include "measure/sweep/remembered_source.h"
#include "measure/sweep/session_candidate.h"
#include "quantize/calibration_text.h"

namespace checkbit {
namespace {

constexpr std::size_t kMaxBlocks = 16;

Result<std::vector<int>> parse_blocks(const std::vector<std::string>& words) {
  std::vector<int> blocks;
  for (const std::string& word : words) {
    int value = 0;
    const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (code != std::errc() || end != word.data() + word.size() || value < 1 || value > 65536)
      return fail(ErrorKind::invalid, "--block {}: write sizes such as 16,32,64", word);
    blocks.push_back(value);
  }
  if (blocks.size() > kMaxBlocks)
    return fail(ErrorKind::invalid, "--block: at most {} sizes", kMaxBlocks);
  return blocks;
}

/// Puts what the sweep is at before the label of what runs inside it.
class SweepProgress : public ProgressSink {
 public:
  SweepProgress() : below_(set_progress_sink(this)) {}
  SweepProgress(const SweepProgress&) = delete;
  SweepProgress& operator=(const SweepProgress&) = delete;
  ~SweepProgress() override { set_progress_sink(below_); }

  void update(const ProgressState& state) override {
    if (below_ == nullptr) return;
    ProgressState named = state;
    if (!prefix_.empty()) named.label = prefix_ + state.label;
    below_->update(named);
  }

  void set(const SweepNews& news) {
    const std::string left =
        news.that_fit > 0 ? fmt::format(", {} left", format_duration(news.seconds_left)) : "";
    prefix_ = fmt::format("{} of {}{}: {} ", news.number, news.of, left, news.candidate);
  }

 private:
  ProgressSink* below_;
  std::string prefix_;
};

/// Everything that measuring takes, open.
struct SweepJob {
  QuantizeJob quantize;  ///< makes files; weights stay in the map
  Session reference;
  SweepModel model;
  std::vector<SweepText> texts;
  std::vector<SweepCandidate> candidates;
};

Result<SweepText> read_text(const std::string& path, const Tokenizer& tokenizer, Console& console) {
  CB_TRY(std::string whole, read_text_input(path, console));
  CB_TRY(const DocumentText documents, read_documents(path, std::move(whole), ""));
  const std::string& content = documents.text;
  CB_TRY_STATUS(check_text(content, path));
  SweepText text;
  text.name = std::filesystem::path(path).filename().string();
  text.tokens = tokenizer.encode(content);
  for (const TokenId id : text.tokens)
    text.token_bytes.push_back(static_cast<std::uint32_t>(tokenizer.piece(id).size()));
  text.hash = fmt::format("{:016x}", XXH3_64bits(content.data(), content.size()));
  return text;
}

std::vector<std::string> names_of(const Arguments& arguments, const char* flag, const char* usual) {
  std::vector<std::string> names = split_at_commas(arguments.texts(flag));
  if (names.empty()) names = {usual};
  return names;
}

Result<SweepJob> open_job(const Arguments& arguments, Console& console) {
  CB_TRY(const std::string path, resolve_model(arguments.text("MODEL")));
  CB_TRY(const std::vector<int> blocks, parse_blocks(names_of(arguments, "--block", "32")));
  CB_TRY(Session mapped, Session::open(path, mapped_session_options(console.threads)));
  std::vector<TokenId> calibration = mapped.tokenizer().encode(kCalibrationText);
  QuantizeJob quantize{std::move(mapped),           "",          0, std::move(calibration),
                       "built-in calibration text", std::nullopt};
  CB_TRY(std::vector<SweepCandidate> candidates,
         sweep_candidates(quantize.source(), names_of(arguments, "--types", "all"), blocks));
  std::vector<SweepText> texts;
  for (const std::string& text_path : arguments.texts("--texts")) {
    CB_TRY(SweepText text, read_text(text_path, quantize.session.tokenizer(), console));
    const bool twice = std::ranges::find(texts, text.hash, &SweepText::hash) != texts.end();
    if (!twice) texts.push_back(std::move(text));
  }
  SweepModel model{.name = model_name(path),
                   .file_bytes = quantize.source().size_bytes(),
                   .bits_per_weight = bits_per_weight(quantize.source())};
  for (const ModelTensor& t : quantize.source().tensors()) model.parameters += t.info.elements();
  CB_TRY(model.hash, source_sha256(quantize.source()));
  SessionOptions options;
  options.threads = console.threads;
  options.context_tokens = arguments.integer("--context");
  CB_TRY(Session reference, open_session(path, options, console));
  return SweepJob{std::move(quantize), std::move(reference), std::move(model), std::move(texts),
                  std::move(candidates)};
}

/// As many as asked for, fewer where their files would take more than the reference's share of
/// memory that a laptop has.
std::size_t candidates_at_once(const SweepJob& job, const Arguments& arguments) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{2} << 30;
  const std::uint64_t fit = kMostBytes / std::max<std::uint64_t>(1, job.model.file_bytes);
  const auto asked = static_cast<std::uint64_t>(arguments.integer("--together"));
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(fit, 1, asked));
}

Result<SweepOutcome> measure(const Arguments& arguments, SweepJob& job, SweepStore& store,
                             Console& console) {
  SweepProgress progress;
  SweepOptions options;
  options.context_tokens = static_cast<std::size_t>(arguments.integer("--context"));
  options.first_windows = static_cast<std::size_t>(arguments.integer("--first"));
  options.max_windows = static_cast<std::size_t>(arguments.integer("--windows"));
  if (arguments.has("--budget"))
    options.budget_seconds = *parse_duration(arguments.text("--budget"));
  const std::string store_folder = std::filesystem::path(store.path()).parent_path().string();
  options.folder = arguments.find("--folder").value_or(store_folder.empty() ? "." : store_folder);
  options.keep = arguments.has("--keep");
  options.together = candidates_at_once(job, arguments);
  options.beginning = beginning_token(job.reference.tokenizer());
  bool said = !arguments.has("--budget");
  options.news = [&, said](const SweepNews& news) mutable {
    progress.set(news);
    if (said || news.that_fit == 0) return;
    said = true;
    console.note(fmt::format("{} of {} measurements left are expected to fit into {}",
                             news.that_fit, news.of + 1 - news.number, arguments.text("--budget")));
  };
  const Receipt receipt{.source_sha256 = job.model.hash, .command = console.command_line};
  const SweepWorkshop workshop = {
      .make =
          [&](const SweepCandidate& candidate, const std::string& path) {
            return make_candidate(job.quantize, candidate, path, receipt);
          },
      .open =
          [&](const std::string& path) {
            return open_session_candidate(path, job.reference.options());
          }};
  SessionSource source(job.reference);
  RememberedSource reference(source, arguments.bytes("--remember"));
  return run_sweep(store, job.model, reference, job.candidates, job.texts, workshop, options);
}

Status run(const Arguments& arguments, Console& console) {
  if (arguments.has("--report")) CB_TRY_STATUS(check_output_path(arguments.text("--report")));
  CB_TRY(SweepStore store, SweepStore::open(arguments.text("--store")));
  SweepFindings findings;
  findings.command = console.command_line;
  if (arguments.has("--under")) findings.under_bytes = arguments.bytes("--under");
  std::optional<SweepConditions> conditions;
  std::string hash;
  if (arguments.has("MODEL")) {
    CB_TRY(SweepJob job, open_job(arguments, console));
    CB_TRY(findings.outcome, measure(arguments, job, store, console));
    conditions = SweepConditions{static_cast<std::size_t>(arguments.integer("--context")), {}};
    for (const SweepText& text : job.texts) conditions->texts.push_back(text.hash);
    hash = job.model.hash;
  }
  CB_TRY(findings.models, store.read());
  const std::vector<StoredModel> comparable =
      under_conditions(findings.models, conditions.value_or(widest_conditions(findings.models)));
  const std::vector<LawPoint> points = law_points(comparable);
  for (const Law* law : all_laws()) findings.laws.push_back(law->fit(points));
  if (conditions.has_value()) {
    findings.models = comparable;
    std::erase_if(findings.models, [&](const StoredModel& m) { return m.model.hash != hash; });
  }
  if (arguments.has("--report"))
    CB_TRY_STATUS(write_file_atomically(arguments.text("--report"),
                                        render_html(findings_as_report(findings))));
  if (arguments.has("--json")) {
    console.out << findings_as_json(findings);
  } else if (arguments.has("--markdown")) {
    console.out << findings_as_markdown(findings);
  } else {
    print_findings(findings, console);
  }
  return {};
}

Status check(const Arguments& arguments) {
  if (arguments.has("MODEL") && !arguments.has("--texts"))
    return fail(ErrorKind::invalid, "sweep: --texts FILE is missing");
  if (arguments.has("--budget")) CB_TRY_STATUS(check_duration("sweep", arguments.text("--budget")));
  if (arguments.has("--json") && arguments.has("--markdown"))
    return fail(ErrorKind::invalid, "sweep: give one of --json and --markdown");
  return {};
}

}  // namespace

extern const Command sweep_command;
const Command sweep_command = {
    .name = "sweep",
    .group = "Models",
    .summary = "every size of a model, measured",
    .description =
        "Makes a model in many types, measures what each lost against it (Kullback-Leibler "
        "divergence, perplexity, changed choices), its size and the time per token, and shows "
        "which are worth having: the front of size against damage and of time against damage. "
        "Then fits published scaling laws to everything in the store.\n\n"
        "A first round gives every type a few windows of text, spread over the sizes; later "
        "rounds go on with those on the front. Results are kept in the store as they come: the "
        "same command goes on where it stopped, and several may run at once. Without MODEL it "
        "shows what the store has.\n\n"
        "Types are those of `checkbit quantize --list`, bpw:3.5 for the best mixture of so many "
        "bits, e2m1 for an emulated float (of the sizes of --block), source for the model as it "
        "is, and all.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name",
                     .optional = true}},
    .flags = {{.name = "--types",
               .kind = ValueKind::text,
               .value_name = "LIST",
               .help = "types with commas between [all]",
               .repeatable = true},
              {.name = "--block",
               .kind = ValueKind::text,
               .value_name = "LIST",
               .help = "weights that share a scale, for emulated floats [32]",
               .repeatable = true},
              {.name = "--texts",
               .kind = ValueKind::path,
               .value_name = "FILE",
               .help = "what all read; may be given again",
               .repeatable = true},
              {.name = "--budget",
               .kind = ValueKind::text,
               .value_name = "TIME",
               .help = "begin nothing that would not be done within 30m, 1h30m, ..."},
              {.name = "--under",
               .kind = ValueKind::bytes,
               .value_name = "SIZE",
               .help = "say which is best under this size of file"},
              {.name = "--first",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "windows of each text in the first round",
               .default_value = "8",
               .minimum = 1},
              {.name = "--windows",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "windows of each text at most; 0 for all",
               .default_value = "128"},
              {.name = "--context",
               .short_name = 'c',
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "tokens of a window; its second half is scored",
               .default_value = "512",
               .minimum = kMinContextTokens},
              {.name = "--store",
               .kind = ValueKind::path,
               .value_name = "FILE",
               .help = "where results are kept",
               .default_value = "sweep.sqlite"},
              {.name = "--folder",
               .kind = ValueKind::path,
               .value_name = "FOLDER",
               .help = "where files are made [beside the store]"},
              {.name = "--keep", .help = "keep the files that are made"},
              {.name = "--together",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "types that are open at once and share one reading of MODEL; fewer where "
                       "2 GiB would not hold so many files of its size",
               .default_value = "8",
               .minimum = 1},
              {.name = "--remember",
               .kind = ValueKind::bytes,
               .value_name = "SIZE",
               .help = "memory for the reference's answers, so that it need not run again",
               .default_value = "1GiB"},
              kReportFlag,
              {.name = "--markdown", .help = "print the points as tables in Markdown"},
              kJsonFlag},
    .examples = {{.command = "checkbit sweep smollm2-135m --texts book.txt --budget 30m"},
                 {.command = "checkbit sweep smollm2-135m --texts book.txt --under 90MiB"},
                 {.command = "checkbit sweep smollm2-135m --types e2m1,e3m2 --block 16,32,64 "
                             "--texts book.txt"},
                 {.command = "checkbit sweep --store sweep.sqlite --json"}},
    .check = check,
    .run = run};

}  // namespace checkbit
