// For tests: whether a sanitizer runs that keeps memory beside memory and replaces calls of the
// system (AddressSanitizer, ThreadSanitizer).
#pragma once

namespace checkbit {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kUnderSanitizer = true;
#elif defined(__has_feature)
inline constexpr bool kUnderSanitizer =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kUnderSanitizer = false;
#endif

}  // namespace checkbit
