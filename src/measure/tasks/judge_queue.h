// Judges answers beside the generation of more: running a model's program mostly waits.
//
// What: `add` hands an answer over and returns at once; two threads judge. `finish` waits for all.
// Errors: the first error of the judge; from then on nothing more is judged. `add` gives it too, so
//   that nobody goes on generating for nothing.
// Threads: add and finish from one thread. The destructor waits for what is being judged.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "measure/tasks/task.h"

namespace checkbit {

class JudgeQueue {
 public:
  /// Verdicts go to `verdicts[number]`, which like the items must outlive the queue.
  JudgeQueue(const Task& task, std::span<const TaskItem> items,
             std::vector<std::vector<Verdict>>& verdicts);
  ~JudgeQueue();
  JudgeQueue(const JudgeQueue&) = delete;

  Status add(std::size_t number, std::string text);
  Status finish();

 private:
  struct Answer {
    std::size_t number;
    std::string text;
  };
  void work();
  void close(bool drop_waiting);

  const Task& task_;
  std::span<const TaskItem> items_;
  std::vector<std::vector<Verdict>>& verdicts_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Answer> waiting_;
  std::optional<Error> error_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace checkbit
