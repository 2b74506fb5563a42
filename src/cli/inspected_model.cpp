#include "cli/inspected_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "arch/kv_cache.h"
#include "base/resident_memory.h"
#include "cli/startup_notes.h"
#include "cli/terminal.h"
#include "quantize/run_memory.h"
#include "report/text.h"
#include "run/chat_template.h"
#include "run/session.h"
#include "run/tokenizer.h"

namespace checkbit {
namespace {

std::vector<TypeUse> count_types(const ModelFile& file) {
  std::map<const Format*, TypeUse> uses;
  for (const auto& tensor : file.tensors()) {
    TypeUse& use = uses[tensor.info.format];
    use.format = tensor.info.format;
    use.tensors += 1;
    use.elements += tensor.info.elements();
    use.bytes += tensor.bytes.size();
  }
  std::vector<TypeUse> sorted;
  for (const auto& [format, use] : uses) sorted.push_back(use);
  std::ranges::sort(sorted, [](const TypeUse& a, const TypeUse& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.format->name < b.format->name;
  });
  return sorted;
}

/// Small models have rows that the 256-weight blocks of the K and I formats do not divide.
void warn_of_rows(const ModelFile& file, std::vector<std::string>& warnings) {
  constexpr std::uint64_t kSuperBlock = 256;
  std::vector<std::string> names;
  std::uint64_t columns = 0;
  bool uses_super_blocks = false;
  for (const auto& tensor : file.tensors()) {
    uses_super_blocks =
        uses_super_blocks || tensor.info.format->block_elements == static_cast<int>(kSuperBlock);
    if (tensor.info.rows() < 2 || tensor.info.columns() % kSuperBlock == 0) continue;
    names.push_back(tensor.info.name);
    columns = tensor.info.columns();
  }
  if (names.empty() || !uses_super_blocks) return;
  warnings.push_back(
      fmt::format("{} matrices have rows (of {} columns) that blocks of 256 do not divide, so they "
                  "are stored in "
                  "larger types: {}",
                  names.size(), columns, some_names(names)));
}

/// What `run` will say of this machine and of the file's types.
void describe_products(const Session& session, InspectedModel& facts) {
  for (const TypeProduct& product : type_products(session.model())) {
    const auto use = std::ranges::find(facts.types, product.format, &TypeUse::format);
    if (use == facts.types.end()) continue;
    if (!use->kernel.empty()) use->kernel += ", ";
    use->kernel += product.path == "widened" ? fmt::format("{} (widened)", product.kernel)
                                             : std::string(product.kernel);
  }
  for (const std::string& note :
       {isa_note(session.isa(), std::getenv("CHECKBIT_ISA")), large_page_note(),
        memory_note(facts.memory->most_bytes, usable_memory_bytes())}) {
    if (!note.empty()) facts.warnings.push_back(note);
  }
  for (std::string& note : product_notes(session.model()))
    facts.warnings.push_back(std::move(note));
}

Result<Tokenizer> describe_tokenizer(const Metadata& metadata, InspectedModel& facts) {
  if (const auto model = metadata.get_string("tokenizer.ggml.model")) facts.tokenizer = *model;
  if (const auto pre = metadata.get_string("tokenizer.ggml.pre"))
    facts.tokenizer += fmt::format(" ({})", *pre);
  if (const auto* tokens = metadata.get_strings("tokenizer.ggml.tokens")) {
    facts.tokenizer += fmt::format(", {} tokens", format_grouped(tokens->size()));
  }
  return Tokenizer::create(metadata);
}

/// While the tokenizer is held: what is resident now is what a run has before any weight.
Status count_memory(const ModelFile& file, std::int64_t context_tokens, CacheType cache_type,
                    InspectedModel& facts) {
  const std::uint64_t start_bytes = resident_bytes();
  const std::int64_t own = facts.hyperparameters ? facts.hyperparameters->context_length : 1;
  const std::int64_t context = context_tokens > 0 ? context_tokens : std::min(own, kDefaultContext);
  SessionOptions options;
  options.context_tokens = 1;  // run_memory makes what the context asks for
  options.max_logits = 1;
  options.repack = false;
  CB_TRY(Session session, Session::open(file.path(), options));
  CB_TRY(const Plan plan, plan_copy(file));
  CB_TRY(RunMemory run, run_memory(session, plan, std::min(context, own), cache_type, start_bytes));
  run.cache_bytes = KvCache::bytes_for(session.model().hyperparameters(), context, cache_type);
  facts.memory =
      MemoryNeed{.context_tokens = context,
                 .cache_type = cache_type,
                 .weights_bytes = plan.resident_bytes(),
                 .kv_cache_bytes = run.cache_bytes,
                 .buffer_bytes = run.buffer_bytes + run.sampler_bytes + activation_bytes(run, plan),
                 .program_bytes = run.program_bytes,
                 .most_bytes = promised_bytes(run, plan)};
  facts.isa = to_string(session.isa());
  describe_products(session, facts);
  if (context > own) {
    facts.warnings.push_back(
        fmt::format("the model was trained for {} tokens of context: `run` refuses more",
                    format_grouped(static_cast<std::uint64_t>(own))));
  }
  return {};
}

void describe_template(const Metadata& metadata, InspectedModel& facts) {
  const auto source = metadata.get_string("tokenizer.chat_template");
  if (!source) {
    facts.warnings.push_back(
        "no chat template: `chat` and `run` give the prompt to the model as it is");
    return;
  }
  facts.chat_template = std::string(*source);
  const Result<ChatTemplate> parsed = ChatTemplate::parse(*source);
  if (!parsed.ok())
    facts.warnings.push_back(fmt::format("chat template: {}", parsed.error().message));
}

nlohmann::ordered_json array_json(const GgufArray& array, std::size_t longest);

nlohmann::ordered_json number_json(double value) {
  if (std::isfinite(value)) return value;
  return fmt::format("{}", value);
}

nlohmann::ordered_json value_json(const GgufValue& value, std::size_t longest) {
  return std::visit(
      [&]<class T>(const T& held) -> nlohmann::ordered_json {
        if constexpr (std::is_same_v<T, GgufArray>)
          return array_json(held, longest);
        else if constexpr (std::is_floating_point_v<T>)
          return number_json(static_cast<double>(held));
        else if constexpr (std::is_same_v<T, std::string>)
          return valid_utf8(held);
        else
          return held;
      },
      value.value);
}

nlohmann::ordered_json array_json(const GgufArray& array, std::size_t longest) {
  const std::size_t shown = std::min(array.size(), longest);
  nlohmann::ordered_json items = nlohmann::ordered_json::array();
  std::visit(
      [&]<class T>(const std::vector<T>& values) {
        for (std::size_t i = 0; i < shown; ++i) {
          if constexpr (std::is_same_v<T, GgufArray>)
            items.push_back(array_json(values[i], longest));
          else if constexpr (std::is_floating_point_v<T>)
            items.push_back(number_json(static_cast<double>(values[i])));
          else if constexpr (std::is_same_v<T, std::string>)
            items.push_back(valid_utf8(values[i]));
          else
            items.push_back(values[i]);
        }
      },
      array.values);
  if (shown == array.size()) return items;
  return {{"length", array.size()}, {"first", std::move(items)}};
}

}  // namespace

InspectedModel inspect_model(const ModelFile& file, std::int64_t context_tokens,
                             CacheType cache_type) {
  InspectedModel facts;
  const Metadata& metadata = file.metadata();
  facts.architecture = metadata.get_string("general.architecture").value_or("");
  facts.name = metadata.get_string("general.name").value_or("");
  facts.types = count_types(file);
  for (const auto& use : facts.types) {
    facts.parameters += use.elements;
    facts.tensor_bytes += use.bytes;
  }
  const Result<Tokenizer> tokenizer = describe_tokenizer(metadata, facts);
  if (const Result<ModelConfig> config = read_config(metadata); config.ok())
    facts.hyperparameters = config->hyperparameters;
  if (const Status counted = count_memory(file, context_tokens, cache_type, facts); !counted.ok()) {
    std::string_view message = counted.error().message;
    if (message.starts_with(file.path() + ": ")) message.remove_prefix(file.path().size() + 2);
    facts.warnings.push_back(fmt::format("it does not run here: {}", message));
  }
  describe_template(metadata, facts);
  warn_of_rows(file, facts.warnings);
  return facts;
}

nlohmann::ordered_json metadata_json(const Metadata& metadata, std::size_t longest_array) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [key, value] : metadata.entries())
    object[valid_utf8(key)] = value_json(value, longest_array);
  return object;
}

nlohmann::ordered_json tensors_json(const ModelFile& file) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& tensor : file.tensors()) {
    list.push_back({{"name", valid_utf8(tensor.info.name)},
                    {"type", tensor.info.format->name},
                    {"shape", tensor.info.dimensions},
                    {"bytes", tensor.bytes.size()},
                    {"part", tensor.part},
                    {"offset", tensor.info.offset}});
  }
  return list;
}

std::string metadata_text(const GgufValue& value, std::size_t width) {
  constexpr std::size_t kShownItems = 4;
  nlohmann::ordered_json json = value_json(value, kShownItems);
  std::string text;
  if (json.is_string()) {
    text = json.get<std::string>();
  } else if (json.is_object()) {
    const std::string items =
        json["first"].dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    text = fmt::format("{}, ... {} in all]", items.substr(0, items.size() - 1),
                       format_grouped(json["length"].get<std::uint64_t>()));
  } else {
    text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
  return shorten(clean_line(text), width);
}

}  // namespace checkbit
