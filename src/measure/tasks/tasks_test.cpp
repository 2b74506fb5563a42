// Walks tasks.def: every task reads its samples, refuses what is broken with a line, and judges.
// Then what each file of the three sets says, and figures of a run on a tiny model.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "measure/flips.h"
#include "measure/interpolate.h"
#include "measure/tasks/json_records.h"
#include "measure/tasks/task_report.h"

namespace checkbit {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// Beside it lies file.sqlite, for tasks that need a database.
const std::string kFile = CHECKBIT_SOURCE_DIR "/tests/data/tasks/file.json";
const std::string kFileStem = kFile.substr(0, kFile.size() - 4);

Result<TaskData> load(std::string_view task, std::string text) {
  return find_task(task)->load({kFile, std::move(text)});
}

TaskData loaded(std::string_view task, std::string text) {
  auto data = load(task, std::move(text));
  EXPECT_TRUE(data.ok()) << data.error().message;
  return data.ok() ? *std::move(data) : TaskData();
}

std::string message_of(std::string_view task, std::string text) {
  const auto data = load(task, std::move(text));
  EXPECT_FALSE(data.ok());
  return data.ok() ? "" : data.error().message;
}

TEST(Tasks, EveryTaskKeepsItsContract) {
  std::set<std::string_view> names;
  for (const Task* task : all_tasks()) {
    SCOPED_TRACE(task->name);
    EXPECT_TRUE(names.insert(task->name).second);
    EXPECT_FALSE(task->title.empty() || task->what.empty() || task->file_name.empty() ||
                 task->data_source.empty());
    ASSERT_FALSE(task->measures.empty());
    for (const std::string_view measure : task->measures)
      EXPECT_THAT(std::string(measure), StartsWith("accuracy"));
    EXPECT_EQ(task->judge == nullptr, task->max_tokens == 0);
    ASSERT_FALSE(task->samples.empty());
    for (const std::string_view sample : task->samples) {
      const TaskData data = loaded(task->name, std::string(sample));
      ASSERT_FALSE(data.items.empty());
      const TaskItem& item = data.items.front();
      EXPECT_EQ(item.line, 1u);
      EXPECT_FALSE(item.prompt.empty());
      EXPECT_EQ(item.choices.empty(), task->judge != nullptr);
      EXPECT_LT(item.right, std::max<std::size_t>(item.choices.size(), 1));
    }
    EXPECT_THAT(message_of(task->name, ""), StartsWith(kFileStem));
    EXPECT_THAT(message_of(task->name, " \n\n"), StartsWith(kFileStem));
  }
}

/// What an example would show is right, something else is not, and saying it never blocks others.
TEST(Tasks, RightAnswersAreRightAndWrongOnesAreNot) {
  for (const Task* task : all_tasks()) {
    if (task->judge == nullptr) continue;
    SCOPED_TRACE(task->name);
    if (const auto able = task->able == nullptr ? Status() : task->able(); !able) {
      EXPECT_EQ(able.error().kind, ErrorKind::unsupported);
      continue;
    }
    for (const std::string_view sample : task->samples) {
      const TaskItem item = loaded(task->name, std::string(sample)).items.front();
      for (const bool right : {true, false}) {
        const auto verdicts = task->judge(item, right ? item.answer : "1 this is none");
        ASSERT_TRUE(verdicts.ok()) << verdicts.error().message;
        ASSERT_EQ(verdicts->size(), task->measures.size());
        for (const Verdict& verdict : *verdicts) {
          EXPECT_EQ(verdict.right, right) << verdict.answer;
          EXPECT_FALSE(verdict.answer.empty());
        }
      }
    }
  }
}

/// Every cut and every changed byte of a sample loads or names the file; nothing crashes.
TEST(Tasks, AnyBytesEndInItemsOrInAnError) {
  for (const Task* task : all_tasks()) {
    for (const std::string_view sample : task->samples) {
      for (std::size_t at = 0; at < sample.size(); ++at) {
        for (const char byte : {'\0', '"', '{', '[', ']', '\n', '9', '\xff'}) {
          std::string changed(sample);
          changed[at] = byte;
          for (const std::string& text : {changed, changed.substr(0, at + 1)}) {
            const auto data = task->load({kFile, text});
            if (data.ok()) {
              EXPECT_FALSE(data->items.empty());
            } else {
              EXPECT_THAT(data.error().message, StartsWith(kFileStem));
            }
          }
        }
      }
    }
  }
}

TEST(Tasks, ErrorsNameTheLine) {
  const std::string good =
      R"({"id": "1", "question": "Q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "A"})";
  EXPECT_THAT(message_of("arc", good + "\n\n{\"question\": \"Q\"}"),
              HasSubstr("file.json:3: \"answerKey\" is missing"));
  EXPECT_THAT(message_of("arc", good + "\nnot json"),
              HasSubstr("file.json:2: expected one whole JSON object"));
  EXPECT_THAT(message_of("arc", "[" + good + ",\n\n 7]"),
              HasSubstr("file.json:3: expected a JSON object"));
  EXPECT_THAT(message_of("arc", "[" + good + ",\n" + good),
              HasSubstr("file.json:2: the array of the file has no end"));
  EXPECT_THAT(message_of("arc", "[]"), HasSubstr("no items"));
  EXPECT_THAT(message_of("arc", std::string(100000, '[')), HasSubstr("file.json:1"));
  EXPECT_THAT(message_of("hellaswag", "ctx\n9\na\nb\nc\nd\n"),
              HasSubstr("file.json:2: expected the number"));
  EXPECT_THAT(message_of("hellaswag", "ctx\n1\na\nb\nc\n"),
              HasSubstr("file.json:5: the file ends within an item"));
  EXPECT_THAT(message_of("gsm8k", R"({"question": "Q", "answer": "no mark"})"),
              HasSubstr("file.json:1: \"answer\" does not end"));
}

TEST(Tasks, ArcReadsTheInstructionForm) {
  const TaskData data = loaded("arc", R"([
{"instruction": "Please choose the correct answer to the question: Which Answer is\n\nbest?\n\nAnswer1: one: two Answer2: Answer 3 Answer3: three.\n\nAnswer format: answer1/answer2/answer3", "input": "", "answer": "answer3"}])");
  ASSERT_EQ(data.items.size(), 1u);
  EXPECT_EQ(data.items[0].line, 2u);
  EXPECT_EQ(data.items[0].prompt, "Question: Which Answer is\n\nbest?\nAnswer:");
  EXPECT_THAT(data.items[0].choices, ElementsAre("one: two", "Answer 3", "three."));
  EXPECT_EQ(data.items[0].right, 2u);
}

TEST(Tasks, HellaSwagCleansAsTheHarness) {
  const TaskData data = loaded(
      "hellaswag",
      R"({"activity_label": "Home", "ctx_a": "[header] How to [title] open a  door [step] Push.", "ctx_b": "then HE", "endings": [" [substeps] Pulls. ", "b", "c", "d"], "label": "2"})");
  EXPECT_EQ(data.items[0].prompt, "Home: How to. open a door Push. Then he");
  EXPECT_EQ(data.items[0].choices[0], " Pulls.");
  EXPECT_EQ(data.items[0].right, 2u);
}

TEST(Tasks, Gsm8kTakesNumbersAsTheHarness) {
  const Task& task = *find_task("gsm8k");
  TaskItem item;
  item.answer = "9*8=<<9*8=72>>72\n#### 1,072";
  const struct {
    std::string text, strict, flexible;
    bool strict_right, flexible_right;
  } rows[] = {{" It is 1072.\n#### 1072", "1072", "1072", true, true},
              {" So $1,072.", "[none]", "$1,072.", false, true},
              {" #### -5 or 1072", "-5", "1072", false, true},
              {" #### 1,072.\n\nTotal 3", "1,072.", "3", true, false},
              {" nothing", "[none]", "[none]", false, false},
              {" ####1072 is 7", "[none]", "7", false, false},
              {" a - 4", "[none]", "4", false, false},
              {" -$12.50", "[none]", "-$12.50", false, false}};
  for (const auto& row : rows) {
    const auto verdicts = task.judge(item, row.text);
    ASSERT_TRUE(verdicts.ok());
    EXPECT_EQ((*verdicts)[0].answer, row.strict) << row.text;
    EXPECT_EQ((*verdicts)[1].answer, row.flexible) << row.text;
    EXPECT_EQ((*verdicts)[0].right, row.strict_right) << row.text;
    EXPECT_EQ((*verdicts)[1].right, row.flexible_right) << row.text;
  }
}

TEST(Tasks, ExamplesAreHeldOut) {
  TaskData data;
  for (int i = 0; i < 4; ++i) {
    TaskItem item;
    item.prompt = "Q" + std::to_string(i);
    item.answer = "A" + std::to_string(i);
    data.items.push_back(item);
  }
  const auto taken = with_examples(data, 2, "file");
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->preamble, "Q0 A0\n\nQ1 A1\n\n");
  EXPECT_EQ(taken->items.size(), 2u);
  EXPECT_EQ(taken->items[0].prompt, "Q2");
  EXPECT_FALSE(with_examples(data, 4, "file").ok());
}

Session open_tiny(const std::string& path = "llama-llama3") {
  const std::string full =
      path.find('/') != std::string::npos
          ? path
          : std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/" + path + ".gguf";
  auto session = Session::open(full, task_session_options({.context_tokens = 512, .threads = 2}));
  EXPECT_TRUE(session.ok()) << session.error().message;
  return *std::move(session);
}

TaskData some_items(std::string_view task) {
  std::string text;
  const std::string sample(find_task(task)->samples.back());
  for (int i = 0; i < 9; ++i) {
    std::string one = sample;
    const std::size_t at = one.find(task == "gsm8k" ? "many" : "wet");
    if (at != std::string::npos)
      one.replace(at, 3, std::string(static_cast<std::size_t>(1 + i), 'w'));
    text += one + (task == "hellaswag" ? "" : "\n");
  }
  return loaded(task, text);
}

TEST(Tasks, RunsOfBothKindsGiveTheirRecords) {
  Session session = open_tiny();
  for (const char* name : {"arc", "gsm8k"}) {
    const Task& task = *find_task(name);
    const auto data = with_examples(some_items(name), 2, "file");
    ASSERT_TRUE(data.ok());
    TaskOptions options{.limit = 5, .max_tokens = 6};
    const auto result = run_task(session, task, *data, options);
    ASSERT_TRUE(result.ok()) << result.error().message;
    ASSERT_EQ(result->items.size(), 5u);
    const auto records = to_records(*result, "command");
    EXPECT_EQ(records[0].name, task.measures[0]);
    EXPECT_EQ(records[1].name, task.measures[1]);
    EXPECT_LE(*records[0].low, records[0].value);
    EXPECT_EQ(records[2].value, 5);
    EXPECT_EQ(items_json(*result, *data).size(), 5u);
    const auto again = run_task(session, task, *data, options);
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(again->items[i].text, result->items[i].text);
      EXPECT_EQ(again->items[i].scores, result->items[i].scores);
    }
  }
}

TaskResult made_up(const std::string& rights, const std::string& answers) {
  TaskResult result{.task = find_task("arc"), .items = {}, .seconds = 1};
  for (std::size_t i = 0; i < rights.size(); ++i) {
    const Verdict verdict{std::string(1, answers[i]), rights[i] == '1'};
    result.items.push_back({{verdict, verdict}, {}, ""});
  }
  return result;
}

TEST(Flips, CountsEachKindOnce) {
  const TaskResult before = made_up("1110001000", "aaabbbabbb");
  const TaskResult after = made_up("1001101000", "abcaababbc");
  const auto flips = find_flips(before, after);
  ASSERT_EQ(flips.size(), 2u);
  EXPECT_THAT(flips[0].negative, ElementsAre(1, 2));
  EXPECT_THAT(flips[0].positive, ElementsAre(3, 4));
  EXPECT_THAT(flips[0].changed_mistakes, ElementsAre(9));
  EXPECT_EQ(flips[0].right_before, 4u);
  EXPECT_EQ(flips[0].right_after, 4u);
  EXPECT_EQ(flips[0].difference(), 0);
  EXPECT_EQ(flips[0].test().exact_p, 1);
  const auto records = to_records(flips, "command");
  EXPECT_EQ(records[2].name, "flips_negative");
  EXPECT_DOUBLE_EQ(records[2].value, 0.2);
  EXPECT_EQ(records[2 + records.size() / 2].name, "flips_negative_normalized");
  for (const Record& record : records)
    EXPECT_FALSE(record.low && *record.low > record.value) << record.name;
}

TEST(Flips, ThePageHoldsWhatIsHostile) {
  TaskData data;
  for (int i = 0; i < 3; ++i) {
    TaskItem item;
    item.prompt = "<script>" + std::to_string(i);
    item.choices = {"<b>", "&"};
    data.items.push_back(item);
  }
  TaskStory story{.task = find_task("arc"),
                  .data = &data,
                  .model_name = "<new>",
                  .model = made_up("011", "xyz"),
                  .reference_name = "old",
                  .reference = made_up("110", "abc")};
  story.flips = find_flips(*story.reference, story.model);
  story.command = "checkbit task arc <new>";
  const std::string page = render_html(build_task_report(story));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;0"));
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_THAT(describe_task(story), HasSubstr("no more than chance explains"));
}

std::vector<float> values_of(const ModelTensor& tensor) {
  std::vector<float> values(tensor.info.elements());
  tensor.info.format->decode(
      tensor.bytes.data(),
      values.size() / static_cast<std::size_t>(tensor.info.format->block_elements), values.data());
  return values;
}

/// A copy of a model with every value of its last norm times three.
std::string tripled_norm(const ModelFile& model, const std::string& path) {
  const std::span<const std::uint8_t> all = model.parts()[0].bytes();
  std::string bytes(reinterpret_cast<const char*>(all.data()), all.size());
  const ModelTensor& norm = *model.find("output_norm.weight");
  std::vector<float> values = values_of(norm);
  for (float& value : values) value *= 3;
  std::memcpy(bytes.data() + (norm.bytes.data() - all.data()), values.data(), norm.bytes.size());
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

TEST(Interpolate, IsTheMeanOfBothAndNeedsOneShape) {
  const std::string folder = std::string(CHECKBIT_SOURCE_DIR) + "/tests/data/tiny/";
  const auto older = ModelFile::open(folder + "llama-llama3.gguf");
  const auto other = ModelFile::open(folder + "qwen2-bias.gguf");
  ASSERT_TRUE(older.ok() && other.ok());
  const auto temporary = std::filesystem::temp_directory_path();
  const std::string path = (temporary / "checkbit_between.gguf").string();
  const std::string newer_path = tripled_norm(*older, (temporary / "checkbit_newer.gguf").string());
  const auto newer = ModelFile::open(newer_path);
  ASSERT_TRUE(newer.ok());
  ThreadPool pool(2);
  const Format& f16 = *find_format("F16");
  const auto apart = write_interpolated(*older, *other, 0.5, f16, path, pool);
  ASSERT_FALSE(apart.ok());
  EXPECT_THAT(apart.error().message, HasSubstr("not two versions of one model"));
  EXPECT_FALSE(write_interpolated(*older, *newer, 1.5, f16, path, pool).ok());
  EXPECT_FALSE(write_interpolated(*older, *newer, std::nan(""), f16, path, pool).ok());
  auto writer = write_interpolated(*older, *newer, 0.25, f16, path, pool);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  const auto mixed = ModelFile::open(writer->temporary_path());
  ASSERT_TRUE(mixed.ok()) << mixed.error().message;
  for (const ModelTensor& tensor : mixed->tensors()) {
    const ModelTensor& source = *older->find(tensor.info.name);
    ASSERT_EQ(tensor.info.dimensions, source.info.dimensions);
    const float scale = tensor.info.name == "output_norm.weight" ? 0.25f + 3 * 0.75f : 1.0f;
    const std::vector<float> mean = values_of(tensor), before = values_of(source);
    for (std::size_t i = 0; i < mean.size(); ++i)
      ASSERT_NEAR(mean[i], scale * before[i], std::abs(before[i]) * 0x1p-10 + 1e-7)
          << tensor.info.name;
  }
  const std::string hidden = writer->temporary_path();
  { const GgufWriter gone = *std::move(writer); }
  EXPECT_FALSE(std::filesystem::exists(hidden));
  EXPECT_FALSE(std::filesystem::exists(path));
  std::filesystem::remove(newer_path);
}

}  // namespace
}  // namespace checkbit
