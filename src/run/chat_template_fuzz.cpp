// Any bytes as a template, and after a zero byte any bytes as its variables in JSON (without one,
// fixed variables), with tight limits: no crash, no leak, no long run.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "run/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using nlohmann::ordered_json;
  static const auto fixed_variables = ordered_json::parse(R"({
    "messages": [{"role": "user", "content": "Grüße <b>"}, {"role": "assistant", "content": null}],
    "l": [3, 1, 2, [4, {"a": 1.5}]], "d": {"k": "v", "n": -7}, "s": "one two\nthree", "t": true
  })");
  checkbit::TemplateLimits limits;
  limits.max_steps = 20'000;
  limits.max_depth = 60;
  limits.max_output_bytes = 1u << 16;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = input.find('\0');
  const auto parsed = checkbit::ChatTemplate::parse(input.substr(0, zero));
  if (!parsed.ok()) return 0;
  if (zero == std::string_view::npos) {
    (void)parsed->render(fixed_variables, 1'700'000'000, limits).ok();
    return 0;
  }
  const auto variables = ordered_json::parse(input.substr(zero + 1), nullptr, false);
  if (!variables.is_discarded()) (void)parsed->render(variables, 1'700'000'000, limits).ok();
  return 0;
}
