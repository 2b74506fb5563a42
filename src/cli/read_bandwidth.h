// How fast this machine reads memory, the limit of generating text.
//
// What: a buffer in large pages, written and read by the threads of a pool, each its own part.
// Threads: one call at a time; the pool must outlive the buffer.
#pragma once

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"

namespace checkbit {

class ReadBuffer {
 public:
  /// Errors: memory.
  static Result<ReadBuffer> create(std::int64_t size_bytes, ThreadPool& pool);

  std::int64_t size_bytes() const { return static_cast<std::int64_t>(buffer_.size()); }
  /// Seconds that reading all of it `passes` times takes.
  double read(int passes);

 private:
  ReadBuffer(AlignedBuffer buffer, ThreadPool& pool);

  AlignedBuffer buffer_;
  ThreadPool* pool_;
};

}  // namespace checkbit
