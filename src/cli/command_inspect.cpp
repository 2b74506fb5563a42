// checkbit inspect: what is in a model file, and what it needs to run.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/atomic_file.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/inspected_model.h"
#include "file/metadata_keys.h"
#include "file/pull.h"
#include "report/render.h"
#include "report/text.h"

namespace checkbit {
namespace {

constexpr std::size_t kLabelWidth = 17;
constexpr std::size_t kTemplateLines = 4;
constexpr std::size_t kJsonArrayItems = 16;

Status check(const Arguments& arguments) {
  if (arguments.has("--dump-tensor") != arguments.has("--output")) {
    return fail(ErrorKind::invalid, "inspect: --dump-tensor NAME and -o FILE go together");
  }
  if (arguments.has("--full") && !arguments.has("--json")) {
    return fail(ErrorKind::invalid, "inspect: --full belongs to --json");
  }
  return {};
}

void print_row(Console& console, std::string_view label, std::string_view value) {
  if (value.empty()) return;
  const std::string text =
      wrap(clean_line(value), console.out_terminal.width, static_cast<int>(kLabelWidth) + 2);
  console.out << "  " << console.out_terminal.style(Style::dim, pad_right(label, kLabelWidth))
              << text.substr(std::min(kLabelWidth + 2, text.size()));
}

void print_heading(Console& console, std::string_view text) {
  console.out << "\n" << console.out_terminal.style(Style::heading, text) << "\n";
}

std::string architecture_line(const InspectedModel& facts) {
  if (!facts.hyperparameters) return facts.architecture;
  const Hyperparameters& h = *facts.hyperparameters;
  std::string line =
      fmt::format("{}: {} layers of width {}, {} heads over {} of keys and values",
                  facts.architecture, h.layers, h.embedding, h.heads, h.key_value_heads);
  if (h.sliding_window > 0) line += fmt::format(", window {}", h.sliding_window);
  return line;
}

std::string context_line(const InspectedModel& facts) {
  if (!facts.hyperparameters || facts.hyperparameters->context_length <= 0) return "";
  return fmt::format(
      "trained for {} tokens",
      format_grouped(static_cast<std::uint64_t>(facts.hyperparameters->context_length)));
}

void print_identity(Console& console, const ModelFile& file, const InspectedModel& facts) {
  const Metadata& metadata = file.metadata();
  console.out << console.out_terminal.style(
                     Style::bold, clean_line(facts.name.empty() ? file.path() : facts.name))
              << "\n";
  print_row(console, "file", file.path());
  const std::string parts =
      file.parts().size() > 1 ? fmt::format(" in {} parts", file.parts().size()) : "";
  print_row(console, "size", format_bytes(file.size_bytes()) + parts);
  print_row(console, "architecture", architecture_line(facts));
  print_row(console, "parameters", format_count(facts.parameters));
  print_row(console, "bits per weight", fmt::format("{:.2f}", facts.bits_per_weight()));
  print_row(console, "context", context_line(facts));
  print_row(console, "tokenizer", facts.tokenizer);
  print_row(console, "runs here with", facts.isa);
  for (const auto& [label, key] : {std::pair{"author", "general.author"},
                                   {"organization", "general.organization"},
                                   {"licence", "general.license"},
                                   {"url", "general.url"}}) {
    print_row(console, label, metadata.get_string(key).value_or(""));
  }
}

void print_types(Console& console, const InspectedModel& facts) {
  print_heading(console, "Tensor types");
  TextTable table{.header = {"type", "bits", "tensors", "weights", "bytes", "share", "kernel"},
                  .right = {false, true, true, true, true, true, false},
                  .rows = {}};
  for (const auto& use : facts.types) {
    const double share = facts.tensor_bytes == 0 ? 0
                                                 : 100.0 * static_cast<double>(use.bytes) /
                                                       static_cast<double>(facts.tensor_bytes);
    table.rows.push_back({std::string(use.format->name),
                          fmt::format("{:.2f}", use.format->bits_per_weight()),
                          std::to_string(use.tensors), format_count(use.elements),
                          format_bytes(use.bytes), fmt::format("{:.1f} %", share), use.kernel});
  }
  console.out << table.render(console.out_terminal, 2);
}

void print_memory(Console& console, const InspectedModel& facts) {
  if (!facts.memory) return;
  print_heading(
      console,
      fmt::format("Memory at {} tokens of context",
                  format_grouped(static_cast<std::uint64_t>(facts.memory->context_tokens))));
  print_row(console, "weights", format_bytes(facts.memory->weights_bytes));
  print_row(console, "KV cache",
            fmt::format("{} ({})", format_bytes(facts.memory->kv_cache_bytes),
                        to_string(facts.memory->cache_type)));
  print_row(console, "buffers", format_bytes(facts.memory->buffer_bytes));
  print_row(console, "program", format_bytes(facts.memory->program_bytes));
  print_row(console, "at most", format_bytes(facts.memory->most_bytes));
}

void print_template(Console& console, const InspectedModel& facts, bool whole) {
  if (!facts.chat_template) return;
  const std::string text = clean_lines(*facts.chat_template);
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  print_heading(console, "Chat template");
  std::size_t shown = 0;
  for (std::size_t start = 0; start < text.size() && (whole || shown < kTemplateLines); ++shown) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string line = text.substr(start, end - start);
    console.out << "  "
                << (whole ? line
                          : shorten(line, static_cast<std::size_t>(console.out_terminal.width) - 4))
                << "\n";
    start = end + 1;
  }
  if (!whole) {
    console.out << console.out_terminal.style(
        Style::dim, fmt::format("  {} of {} lines, {} characters; all of it: --template\n", shown,
                                lines, format_grouped(text.size())));
  }
}

void print_receipt(Console& console, const ModelFile& file) {
  static constexpr std::array kRows = {std::pair{"source", kKeyReceiptSource},
                                       std::pair{"command", kKeyReceiptCommand},
                                       std::pair{"loss", kKeyReceiptLoss},
                                       std::pair{"rounding", kKeyReceiptRounding},
                                       std::pair{"calibration", kKeyReceiptCalibration},
                                       std::pair{"allocation", kKeyReceiptAllocation}};
  bool first = true;
  for (const auto& [label, key] : kRows) {
    const auto value = file.metadata().get_string(key);
    if (!value) continue;
    if (std::exchange(first, false)) print_heading(console, "Receipt of quantize");
    const auto room = static_cast<std::size_t>(console.out_terminal.width) - kLabelWidth - 2;
    const bool one_word = value->find(' ') == std::string_view::npos;  // a hash
    print_row(console, label, shorten(*value, one_word ? room : 400));
  }
}

void print_warnings(Console& console, const InspectedModel& facts) {
  if (facts.warnings.empty()) return;
  print_heading(console, "Worth knowing");
  for (const auto& warning : facts.warnings) {
    const std::string text = wrap(clean_line(warning), console.out_terminal.width, 4);
    console.out << "  " << console.out_terminal.style(Style::warning, "!") << text.substr(3);
  }
}

void print_metadata(Console& console, const ModelFile& file) {
  print_heading(console, "Metadata");
  std::size_t column = 0;
  for (const auto& [key, value] : file.metadata().entries())
    column = std::max(column, std::min<std::size_t>(display_width(key), 40));
  const std::size_t room =
      static_cast<std::size_t>(console.out_terminal.width) - std::min<std::size_t>(column + 6, 60);
  for (const auto& [key, value] : file.metadata().entries()) {
    console.out << "  "
                << console.out_terminal.style(Style::dim, pad_right(clean_line(key), column))
                << "  " << metadata_text(value, std::max<std::size_t>(room, 20)) << "\n";
  }
}

void print_tensors(Console& console, const ModelFile& file) {
  print_heading(console, "Tensors");
  TextTable table{.header = {"name", "type", "shape", "bytes"},
                  .right = {false, false, true, true},
                  .rows = {}};
  for (const auto& tensor : file.tensors()) {
    table.rows.push_back({clean_line(tensor.info.name), std::string(tensor.info.format->name),
                          fmt::format("{}", fmt::join(tensor.info.dimensions, " x ")),
                          format_bytes(tensor.bytes.size())});
  }
  console.out << table.render(console.out_terminal, 2);
}

void print_json(Console& console, const ModelFile& file, const InspectedModel& facts, bool full) {
  const auto record = [&](std::string name, double value, std::string unit) {
    return Record{.name = std::move(name),
                  .value = value,
                  .unit = std::move(unit),
                  .command = console.command_line};
  };
  std::vector<Record> records = {
      record("file_bytes", static_cast<double>(file.size_bytes()), "bytes"),
      record("parameters", static_cast<double>(facts.parameters), ""),
      record("bits_per_weight", facts.bits_per_weight(), "bits")};
  nlohmann::ordered_json extra = {{"path", valid_utf8(file.path())},
                                  {"architecture", valid_utf8(facts.architecture)}};
  if (facts.memory) {
    records.push_back(
        record("weights_bytes", static_cast<double>(facts.memory->weights_bytes), "bytes"));
    records.push_back(
        record("kv_cache_bytes", static_cast<double>(facts.memory->kv_cache_bytes), "bytes"));
    records.push_back(record("run_bytes", static_cast<double>(facts.memory->most_bytes), "bytes"));
    extra["context_tokens"] = facts.memory->context_tokens;
    extra["kv_cache"] = to_string(facts.memory->cache_type);
    extra["isa"] = facts.isa;
    auto kernels = nlohmann::ordered_json::object();
    for (const TypeUse& use : facts.types) {
      if (!use.kernel.empty()) kernels[std::string(use.format->name)] = use.kernel;
    }
    extra["kernels"] = std::move(kernels);
  }
  extra["warnings"] = facts.warnings;
  extra["metadata"] = metadata_json(
      file.metadata(), full ? std::numeric_limits<std::size_t>::max() : kJsonArrayItems);
  extra["tensors"] = tensors_json(file);
  console.out << render_json(records, describe_environment(), extra);
}

/// The tensor's values as little-endian floats, row-major.
Status dump_tensor(const ModelFile& file, const std::string& name, const std::string& path) {
  const ModelTensor* tensor = file.find(name);
  if (tensor == nullptr)
    return fail(ErrorKind::not_found, "{}: no tensor named '{}'; --tensors lists them", file.path(),
                name);
  CB_TRY(AtomicFile output, AtomicFile::create(path));
  const Format& format = *tensor->info.format;
  const auto row_blocks = static_cast<std::size_t>(tensor->info.row_bytes()) /
                          static_cast<std::size_t>(format.block_bytes);
  std::vector<float> row(tensor->info.columns());
  Progress progress("decoding", tensor->info.rows(), "rows");
  for (std::uint64_t r = 0; r < tensor->info.rows(); ++r) {
    if (cancel_requested()) return cancelled_error();
    format.decode(tensor->bytes.data() + r * tensor->info.row_bytes(), row_blocks, row.data());
    CB_TRY_STATUS(output.write(
        {reinterpret_cast<const std::uint8_t*>(row.data()), row.size() * sizeof(float)}));
    progress.advance();
  }
  return output.commit();
}

Status run(const Arguments& arguments, Console& console) {
  CB_TRY(const std::string path, resolve_model(arguments.text("MODEL")));
  CB_TRY(const ModelFile file, ModelFile::open(path));
  if (arguments.has("--dump-tensor")) {
    return dump_tensor(file, arguments.text("--dump-tensor"), arguments.text("--output"));
  }
  const std::int64_t context = arguments.has("--context") ? arguments.integer("--context") : 0;
  const InspectedModel facts =
      inspect_model(file, context, cache_type_of(arguments).value_or(CacheType::f16));
  if (arguments.has("--json")) {
    print_json(console, file, facts, arguments.has("--full"));
    return {};
  }
  print_identity(console, file, facts);
  print_types(console, facts);
  print_memory(console, facts);
  print_template(console, facts, arguments.has("--template"));
  print_receipt(console, file);
  if (arguments.has("--metadata")) print_metadata(console, file);
  if (arguments.has("--tensors")) print_tensors(console, file);
  print_warnings(console, facts);
  return {};
}

}  // namespace

extern const Command inspect_command;
const Command inspect_command = {
    .name = "inspect",
    .group = "Models",
    .summary = "what is in a model file, and what it needs to run",
    .description =
        "Shows architecture, tensor types, bits per weight, memory at a context length, tokenizer, "
        "chat "
        "template, the receipt that `quantize` left, and what is worth knowing before the model is "
        "used. Memory is what `run` takes at most, with the context full. No weights are loaded: "
        "large files are as quick as small ones.\n\n"
        "--json prints everything. Arrays in its metadata that have more than 16 items appear as "
        "{\"length\", \"first\"}; --full prints them whole.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file or a pulled name"}},
    .flags = {{.name = "--context",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "count memory for N tokens of context [the model's own, at most 4096]",
               .minimum = 1,
               .maximum = 1 << 30},
              cache_flag("count memory for this type of cache [f16]"),
              {.name = "--metadata", .help = "list every metadata key"},
              {.name = "--tensors", .help = "list every tensor"},
              {.name = "--template", .help = "print the whole chat template"},
              kJsonFlag,
              {.name = "--full", .help = "with --json: long arrays whole"},
              {.name = "--dump-tensor",
               .kind = ValueKind::text,
               .value_name = "NAME",
               .help = "write this tensor, decoded, as little-endian floats to -o FILE"},
              {.name = "--output",
               .short_name = 'o',
               .kind = ValueKind::path,
               .value_name = "FILE",
               .help = "where --dump-tensor writes"}},
    .examples = {{.command = "checkbit inspect smollm2-135m"},
                 {.command = "checkbit inspect model.gguf --context 8192 --json"},
                 {.command =
                      "checkbit inspect model.gguf --dump-tensor output_norm.weight -o norm.f32"}},
    .check = check,
    .run = run};

}  // namespace checkbit
