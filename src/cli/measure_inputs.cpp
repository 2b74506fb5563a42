#include "cli/measure_inputs.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>

#include "cli/comparison_facts.h"
#include "cli/engine_flags.h"
#include "cli/read_input.h"
#include "measure/same_tokens.h"
#include "measure/session_source.h"

namespace checkbit {
namespace {

NamedTokenizer named(const Session& session) {
  return {session.file().path(), &session.tokenizer()};
}

/// All split the text as the first does; what else differs in a vocabulary is noted.
Status check_tokenizers(const MeasureInputs& inputs, std::string_view text, Console& console) {
  const NamedTokenizer first = named(inputs.models.front());
  const auto check = [&](const Session& other) -> Status {
    CB_TRY_STATUS(check_same_split(first, inputs.tokens, named(other), text));
    if (const auto difference = vocabulary_difference(first, named(other))) {
      console.note(*difference);
    }
    return {};
  };
  for (std::size_t i = 1; i < inputs.models.size(); ++i) CB_TRY_STATUS(check(inputs.models[i]));
  return inputs.reference ? check(*inputs.reference) : Status();
}

std::size_t most_windows(const Arguments& arguments) {
  if (arguments.has("--windows")) return static_cast<std::size_t>(arguments.integer("--windows"));
  return arguments.has("--until") ? 0 : kUsualWindows;
}

}  // namespace

std::optional<double> parse_share(std::string_view text) {
  const bool percent = text.ends_with('%');
  if (percent) text.remove_suffix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (percent) value /= 100;
  return value > 0 && value < 1 ? std::optional(value) : std::nullopt;
}

Result<MeasureInputs> open_measure_inputs(const Arguments& arguments, Console& console) {
  const std::string path = arguments.text("--text");
  CB_TRY(std::string content, read_text_input(path, console));
  CB_TRY(const DocumentText documents,
         read_documents(path, std::move(content), arguments.text("--document-break")));
  const std::string& text = documents.text;
  CB_TRY_STATUS(check_text(text, path));
  SessionOptions options = session_options(arguments, console);
  options.context_tokens = arguments.integer("--context");
  options.max_logits = SessionOptions().max_logits;
  MeasureInputs inputs;
  inputs.text_name =
      path == "-" ? "standard input" : std::filesystem::path(path).filename().string();
  const std::vector<std::string> models = arguments.texts("MODEL");
  for (const std::string& model : models) {
    auto session = open_session(model, options, console);
    if (session) {
      inputs.models.push_back(*std::move(session));
    } else if (session.error().kind == ErrorKind::corrupt &&
               inputs.broken.size() + 1 < models.size()) {
      inputs.broken.push_back({model_name(model), session.error().message});
    } else {
      return session.error();
    }
  }
  if (arguments.has("--against")) {
    options.cache_type = std::nullopt;
    CB_TRY(inputs.reference, open_session(arguments.text("--against"), options, console));
  }
  const Tokenizer& tokenizer = inputs.models.front().tokenizer();
  inputs.tokens = tokenizer.encode(text);
  CB_TRY_STATUS(check_tokenizers(inputs, text, console));
  if (arguments.has("--document-break") && documents.starts.empty()) {
    console.note(fmt::format("{}: fewer than two documents begin with the line \"{}\"", path,
                             arguments.text("--document-break")));
  }
  inputs.documents = place_documents(documents.starts, text.size(), tokenizer, inputs.tokens);
  return inputs;
}

CompareOptions compare_options(const Arguments& arguments, const MeasureInputs& inputs,
                               const TokenClasses& classes) {
  CompareOptions options;
  options.context_tokens = static_cast<std::size_t>(arguments.integer("--context"));
  options.beginning = beginning_token(inputs.models.front().tokenizer());
  options.classes = &classes;
  options.documents = inputs.documents;
  return options;
}

Result<ComparisonResult> run_measurement(const Arguments& arguments, MeasureInputs& inputs,
                                         Console& console) {
  const TokenClasses classes(inputs.models.front().tokenizer());
  CompareOptions options = compare_options(arguments, inputs, classes);
  options.max_windows = most_windows(arguments);
  options.order_seed = static_cast<std::uint64_t>(arguments.integer("--seed"));
  if (arguments.has("--until")) options.until = parse_share(arguments.text("--until"));
  const std::size_t in_text = inputs.tokens.size() / options.context_tokens;
  if (!arguments.has("--windows") && options.max_windows > 0 && in_text > options.max_windows) {
    console.note(fmt::format("reading the first {} of the text's {} windows: --windows 0 reads all",
                             options.max_windows, in_text));
  }
  std::vector<SessionSource> sources(inputs.models.begin(), inputs.models.end());
  std::vector<LogitsSource*> candidates;
  for (SessionSource& source : sources) candidates.push_back(&source);
  if (!inputs.reference) return compare_models(candidates, nullptr, inputs.tokens, options);
  SessionSource reference(*inputs.reference);
  return compare_models(candidates, &reference, inputs.tokens, options);
}

}  // namespace checkbit
