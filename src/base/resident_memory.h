// Memory of this process as the kernel counts it (Linux: /proc/self).
//
// Units: bytes; 0 where the system does not say. What resident_bytes counts it counts for each
//   mapping: a page of an image (shared_image.h) as often as there are views that have touched it.
// Threads: any.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace checkbit {

std::uint64_t resident_bytes();       ///< now
std::uint64_t peak_resident_bytes();  ///< the most so far

/// How much of `memory` lies on large pages; of mappings that the system has joined with their
/// neighbours it counts the large pages of all, up to the size of `memory`.
std::uint64_t large_page_bytes(std::span<const std::uint8_t> memory,
                               const std::string& maps = "/proc/self/smaps");
/// Whether large pages are refused, for the system or for this process.
bool large_pages_are_off(
    const std::string& setting = "/sys/kernel/mm/transparent_hugepage/enabled");

}  // namespace checkbit
