// How the interpreter reports errors inside this folder.
//
// What: a Fault is thrown from any depth and caught only in chat_template.cpp, which turns it into
//   an Error. Expressions, filters and methods would otherwise consist mostly of error checks.
// `offset`: byte in the template that the message is about; filled in by the innermost statement.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <string>

#include "base/result.h"

namespace checkbit::jinja {

constexpr std::size_t kNoOffset = static_cast<std::size_t>(-1);

struct Fault {
  ErrorKind kind = ErrorKind::invalid;
  std::string message;
  std::size_t offset = kNoOffset;
  bool is_syntax = false;
  bool is_raised = false;  ///< by the template itself, through raise_exception
};

template <class... Args>
[[noreturn]] void raise(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Fault{kind, fmt::format(format, std::forward<Args>(args)...)};
}

/// What Python would report as TypeError, ValueError or jinja2 as UndefinedError.
template <class... Args>
[[noreturn]] void invalid(fmt::format_string<Args...> format, Args&&... args) {
  throw Fault{ErrorKind::invalid, fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace checkbit::jinja
