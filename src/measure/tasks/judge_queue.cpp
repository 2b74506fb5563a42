#include "measure/tasks/judge_queue.h"

namespace checkbit {
namespace {

constexpr int kJudges = 2;

}  // namespace

JudgeQueue::JudgeQueue(const Task& task, std::span<const TaskItem> items,
                       std::vector<std::vector<Verdict>>& verdicts)
    : task_(task), items_(items), verdicts_(verdicts) {
  CB_CHECK(verdicts.size() == items.size());
  for (int i = 0; i < kJudges; ++i) threads_.emplace_back([this] { work(); });
}

JudgeQueue::~JudgeQueue() { close(true); }

Status JudgeQueue::add(std::size_t number, std::string text) {
  CB_CHECK(number < items_.size());
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  waiting_.push_back({number, std::move(text)});
  changed_.notify_one();
  return {};
}

Status JudgeQueue::finish() {
  close(false);
  return error_ ? Status(*error_) : Status();
}

void JudgeQueue::close(bool drop_waiting) {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    if (drop_waiting) waiting_.clear();
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void JudgeQueue::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return closed_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const Answer answer = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    auto verdicts = task_.judge(items_[answer.number], answer.text);
    lock.lock();
    if (verdicts.ok()) {
      CB_CHECK(verdicts->size() == task_.measures.size());
      verdicts_[answer.number] = *std::move(verdicts);
    } else {
      if (!error_) error_ = verdicts.error();
      waiting_.clear();
    }
  }
}

}  // namespace checkbit
