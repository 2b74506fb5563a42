// How fast this machine reads memory, the limit of generating text.
#pragma once

#include "base/thread_pool.h"

namespace checkbit {

/// Bytes per second that the pool's threads read together from a buffer far larger than the caches:
/// the best of several passes. 0 when the buffer could not be had.
double measure_read_bandwidth(ThreadPool& pool);

}  // namespace checkbit
