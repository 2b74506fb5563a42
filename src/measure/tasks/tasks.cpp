#include <algorithm>
#include <filesystem>

#include "file/pull.h"
#include "measure/tasks/task.h"

namespace checkbit {

#define CHECKBIT_TASK(name) extern const Task name##_task;
#include "measure/tasks/tasks.def"
#undef CHECKBIT_TASK

const std::vector<const Task*>& all_tasks() {
  static const std::vector<const Task*> tasks = {
#define CHECKBIT_TASK(name) &name##_task,
#include "measure/tasks/tasks.def"
#undef CHECKBIT_TASK
  };
  return tasks;
}

const Task* find_task(std::string_view name) {
  const auto found = std::ranges::find(all_tasks(), name, &Task::name);
  return found == all_tasks().end() ? nullptr : *found;
}

Result<TaskData> with_examples(TaskData data, std::size_t count, const std::string& path) {
  if (!data.preamble.empty() || count == 0) return data;
  if (data.items.size() <= count) {
    return fail(ErrorKind::budget,
                "{}: {} items are too few for {} examples and something to ask; use --examples N",
                path, data.items.size(), count);
  }
  for (std::size_t i = 0; i < count; ++i) {
    const TaskItem& item = data.items[i];
    data.preamble += item.prompt + " " +
                     (item.choices.empty() ? item.answer : item.choices[item.right]) + "\n\n";
  }
  data.items.erase(data.items.begin(), data.items.begin() + static_cast<std::ptrdiff_t>(count));
  return data;
}

Result<std::string> default_data_path(const Task& task) {
  CB_TRY(const std::string models, models_folder());
  const std::filesystem::path path =
      std::filesystem::path(models).parent_path() / "data" / task.file_name;
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return path.string();
  return fail(ErrorKind::not_found,
              "{}: no such file; --data FILE names the items of {}: {}. Fetch it once and keep it "
              "under that name to leave --data out",
              path.string(), task.title, task.data_source);
}

}  // namespace checkbit
