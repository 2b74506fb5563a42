// Fuzz target: metadata of any file, as `inspect` prints it in text and JSON, and the
// configuration, tokenizer and chat template that are read from it.

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "arch/architecture.h"
#include "cli/inspected_model.h"
#include "file/gguf.h"
#include "report/text.h"
#include "run/chat_template.h"
#include "run/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace checkbit;
  const auto header = parse_gguf({data, size}, "fuzz.gguf");
  if (!header.ok()) return 0;
  constexpr std::size_t kWidth = 60;
  for (const auto& [key, value] : header->metadata.entries()) {
    const std::string text = metadata_text(value, kWidth);
    if (display_width(text) > kWidth || text.find('\n') != std::string::npos) std::abort();
  }
  const std::string json = metadata_json(header->metadata, 16).dump();
  if (nlohmann::json::parse(json, nullptr, false).is_discarded()) std::abort();
  (void)read_config(header->metadata);
  (void)Tokenizer::create(header->metadata);
  if (const auto source = header->metadata.get_string("tokenizer.chat_template")) {
    (void)ChatTemplate::parse(*source);
  }
  return 0;
}
