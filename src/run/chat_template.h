// Chat templates: the Jinja that models carry in `tokenizer.chat_template`.
//
// What: parses once, renders many times, with the same output as jinja2 in the environment that
//   model vendors assume (trim_blocks, lstrip_blocks, raise_exception, strftime_now, tojson).
// Bounds: steps, nesting depth and output bytes are limited; a template that exceeds one is an
// error. Errors: invalid (syntax: line and column; raise_exception: its message), unsupported (a
// construct
//   by name), budget (a bound).
// Threads: const after parse; render may run in many threads.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace checkbit {

struct TemplateLimits {
  std::uint64_t max_steps = 2'000'000;
  int max_depth = 200;
  std::size_t max_output_bytes = 16u << 20;
};

class ChatTemplate {
 public:
  static Result<ChatTemplate> parse(std::string_view source);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// `variables`: an object, e.g. {"messages": [{"role","content"}...], "add_generation_prompt":
  /// true, "bos_token": "...", "eos_token": "...", "tools": [...]}. Key order of objects is kept.
  /// `now_seconds`: Unix time that strftime_now uses (UTC).
  Result<std::string> render(const nlohmann::ordered_json& variables, std::int64_t now_seconds,
                             const TemplateLimits& limits = {}) const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace checkbit
