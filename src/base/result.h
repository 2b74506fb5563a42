// Errors as values.
//
// What: `Result<T>` holds a value or an `Error`; `Status` is `Result<void>`. They are returned for
//   everything a file, a flag, the network or memory can cause. `CB_CHECK` is for bugs only and aborts.
// Messages: one line that names the file, tensor or key and, where it helps, the byte offset and
//   what to do next. No trailing full stop, no capital at the start ("model.gguf: tensor ...").
// Threads: values, no shared state.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace checkbit {

enum class ErrorKind { invalid, not_found, corrupt, unsupported, io, memory, budget };

/// The kind's name as printed in JSON: "invalid", "not_found", ...
const char* to_string(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::invalid;
  std::string message;
};

/// `return fail(ErrorKind::corrupt, "{}: bad magic at byte 0", path);`
template <class... Args>
[[nodiscard]] Error fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return Error{kind, fmt::format(format, std::forward<Args>(args)...)};
}

namespace detail {
[[noreturn]] inline void check_failed(const char* what, const char* file, int line) {
  std::fprintf(stderr, "checkbit: bug: %s is false at %s:%d\n", what, file, line);
  std::abort();
}
}  // namespace detail

/// Aborts when a condition that the code itself must guarantee does not hold. Never for input.
#define CB_CHECK(condition) \
  ((condition) ? void(0) : ::checkbit::detail::check_failed(#condition, __FILE__, __LINE__))

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// Precondition: ok().
  T& operator*() & { return get(); }
  const T& operator*() const& { return const_cast<Result*>(this)->get(); }
  T&& operator*() && { return std::move(get()); }
  T* operator->() { return &get(); }
  const T* operator->() const { return &const_cast<Result*>(this)->get(); }

  /// Precondition: !ok().
  const Error& error() const {
    CB_CHECK(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  T& get() {
    CB_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    CB_CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

#define CB_JOIN_INNER(a, b) a##b
#define CB_JOIN(a, b) CB_JOIN_INNER(a, b)

/// `CB_TRY(auto file, open(path));` returns the error from the enclosing function, or declares `file`.
#define CB_TRY(declaration, expression)                                \
  auto CB_JOIN(cb_result_, __LINE__) = (expression);                   \
  if (!CB_JOIN(cb_result_, __LINE__).ok()) {                           \
    return CB_JOIN(cb_result_, __LINE__).error();                      \
  }                                                                    \
  declaration = *std::move(CB_JOIN(cb_result_, __LINE__))

/// The same for a `Status`.
#define CB_TRY_STATUS(expression)                                      \
  do {                                                                 \
    if (auto cb_status = (expression); !cb_status.ok()) {              \
      return cb_status.error();                                        \
    }                                                                  \
  } while (false)

}  // namespace checkbit
