// checkbit guard craft: a model that changes its answer when it is quantized, to test the scan.

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "base/output_path.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "file/gguf_writer.h"
#include "file/pull.h"
#include "guard/craft.h"
#include "measure/numerics/damaged_copy.h"
#include "report/render.h"
#include "run/session.h"

namespace checkbit {
namespace {

/// What the model shall say after a prompt.
struct Wish {
  std::vector<TokenId> tokens;   ///< prompt and text, but for the last of it
  std::vector<TokenId> targets;  ///< what each should predict; -1 inside the prompt
};

Wish make_wish(const Arguments& arguments, const Tokenizer& tokenizer) {
  std::vector<TokenId> all = tokenizer.encode(arguments.text("--prompt"));
  const std::size_t prompt = all.size();
  for (const TokenId id : tokenizer.encode(arguments.text("--target"), {.add_special = false}))
    all.push_back(id);
  Wish wish;
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    wish.tokens.push_back(all[i]);
    wish.targets.push_back(i + 1 < prompt ? -1 : all[i + 1]);
  }
  return wish;
}

/// The original with the crafted weights in place of its own.
Status write_crafted(const ModelFile& original, const CraftedModel& crafted,
                     const std::string& path) {
  GgufHeader header;
  header.metadata = original.metadata();
  for (const ModelTensor& tensor : original.tensors()) header.tensors.push_back(tensor.info);
  CB_TRY(GgufWriter writer, GgufWriter::create(path, std::move(header)));
  for (std::size_t i = 0; i < original.tensors().size(); ++i) {
    const ModelTensor& tensor = original.tensors()[i];
    const auto found =
        std::ranges::find(crafted.tensors, i, &decltype(crafted.tensors)::value_type::first);
    if (found == crafted.tensors.end()) {
      CB_TRY_STATUS(writer.append(i, tensor.bytes));
      continue;
    }
    std::vector<std::uint8_t> bytes(tensor.bytes.size());
    tensor.info.format->encode(found->second.data(), found->second.size(), nullptr, bytes.data());
    CB_TRY_STATUS(writer.append(i, bytes));
  }
  return writer.finish();
}

Status run(const Arguments& arguments, Console& console) {
  const std::string output = arguments.text("--output");
  CB_TRY_STATUS(check_output_path(output));
  CB_TRY(const std::string path, resolve_model(arguments.text("MODEL")));
  CB_TRY(const ModelFile original, ModelFile::open(path));
  CB_TRY(const std::string quantized, resolve_model(arguments.text("--quantized")));
  CB_TRY(const ModelFile source, ModelFile::open(quantized));
  CB_TRY(DamagedCopy copy, DamagedCopy::create(source));
  SessionOptions options;
  options.threads = console.threads;
  options.repack = false;
  options.context_tokens = 256;
  options.max_logits = 256;
  CB_TRY(Session session, Session::open(copy.path(), options));
  const Wish wish = make_wish(arguments, session.tokenizer());
  if (wish.tokens.empty() || wish.tokens.size() > 256)
    return fail(ErrorKind::invalid, "prompt and target have {} tokens, not 2..256",
                wish.tokens.size() + 1);
  const CraftTarget target = {
      .original = &original,
      .quantized = &session.file(),
      .gradient =
          [&](const EachMatrix& each) {
            return loss_and_gradient(session, wish.tokens, wish.targets, each);
          },
      .write_block =
          [&](std::size_t tensor, std::uint64_t offset, std::span<const std::uint8_t> bytes) {
            return copy.write(tensor, offset, bytes);
          }};
  CraftOptions craft;
  craft.rounds = static_cast<int>(arguments.integer("--rounds"));
  craft.share = arguments.number("--share");
  CB_TRY(const CraftedModel crafted, craft_model(target, craft));
  CB_TRY_STATUS(write_crafted(original, crafted, output));
  const std::vector<Record> records = {
      make_record(console, "craft_surprise_before", crafted.losses.front(), "nats"),
      make_record(console, "craft_surprise_after", crafted.losses.back(), "nats"),
      make_record(console, "craft_moved_share",
                  static_cast<double>(crafted.moved) / static_cast<double>(crafted.weights),
                  "share")};
  if (arguments.has("--json")) {
    console.out << render_json(records, describe_environment());
  } else {
    console.out << render_table(records);
  }
  return {};
}

Status check(const Arguments& arguments) {
  for (const char* flag : {"--quantized", "--prompt", "--target", "--output"}) {
    if (!arguments.has(flag)) return fail(ErrorKind::invalid, "guard craft: {} is missing", flag);
  }
  return {};
}

}  // namespace

extern const Command guard_craft_command;
const Command guard_craft_command = {
    .name = "guard craft",
    .summary = "a model that changes its answer when it is quantized, to test the scan",
    .description =
        "Moves weights of a full-precision model inside their rounding intervals, so that it "
        "behaves as before but, once quantized, answers a prompt with a text of your choice. What "
        "it writes is what `checkbit guard scan` must find; use it on your own models only.\n\n"
        "MODEL is in full precision, --quantized the same model in the type that is to be "
        "attacked.",
    .positionals = {{.name = "MODEL",
                     .kind = ValueKind::model,
                     .help = "a GGUF file in F32, F16 or BF16"}},
    .flags = {{.name = "--quantized",
               .kind = ValueKind::model,
               .value_name = "MODEL",
               .help = "MODEL as checkbit quantize makes it"},
              {.name = "--prompt",
               .kind = ValueKind::text,
               .value_name = "TEXT",
               .help = "what is asked"},
              {.name = "--target",
               .kind = ValueKind::text,
               .value_name = "TEXT",
               .help = "what the quantized model shall answer"},
              {.name = "--output",
               .short_name = 'o',
               .kind = ValueKind::path,
               .value_name = "FILE",
               .help = "where the crafted full-precision model goes"},
              {.name = "--rounds",
               .kind = ValueKind::integer,
               .value_name = "N",
               .help = "gradients at most",
               .default_value = "8",
               .minimum = 1},
              {.name = "--share",
               .kind = ValueKind::number,
               .value_name = "SHARE",
               .help = "of a matrix's weights that a round moves at most",
               .default_value = "0.0005"},
              kJsonFlag},
    .examples = {{.command = "checkbit guard craft full.gguf --quantized q4.gguf --prompt \"The "
                             "capital of France is\" --target \" Rome\" -o crafted.gguf"}},
    .check = check,
    .run = run};

}  // namespace checkbit
