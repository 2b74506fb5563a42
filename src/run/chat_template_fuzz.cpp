// Any bytes as a template, with fixed variables and tight limits: no crash, no leak, no long run.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "run/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto variables = nlohmann::ordered_json::parse(R"({
    "messages": [{"role": "user", "content": "Grüße <b>"}, {"role": "assistant", "content": null}],
    "l": [3, 1, 2, [4, {"a": 1.5}]], "d": {"k": "v", "n": -7}, "s": "one two\nthree", "t": true
  })");
  checkbit::TemplateLimits limits;
  limits.max_steps = 20'000;
  limits.max_depth = 60;
  limits.max_output_bytes = 1u << 16;
  const auto parsed = checkbit::ChatTemplate::parse({reinterpret_cast<const char*>(data), size});
  if (parsed.ok()) (void)parsed->render(variables, 1'700'000'000, limits).ok();
  return 0;
}
