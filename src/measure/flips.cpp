#include "measure/flips.h"
#include "score/estimate_record.h"

#include <string_view>

namespace checkbit {
namespace {

Flips flips_by(const TaskResult& reference, const TaskResult& model, std::size_t measure) {
  Flips flips{.measure = std::string(model.task->measures[measure]),
              .items = model.items.size(),
              .right_before = reference.right(measure),
              .right_after = model.right(measure)};
  for (std::size_t i = 0; i < model.items.size(); ++i) {
    const Verdict& before = reference.items[i].verdicts[measure];
    const Verdict& after = model.items[i].verdicts[measure];
    if (before.right && !after.right) flips.negative.push_back(i);
    if (!before.right && after.right) flips.positive.push_back(i);
    if (!before.right && !after.right && before.answer != after.answer)
      flips.changed_mistakes.push_back(i);
  }
  return flips;
}

}  // namespace

double Flips::difference() const {
  return items == 0 ? 0
                    : (static_cast<double>(right_after) - static_cast<double>(right_before)) /
                          static_cast<double>(items);
}

Interval Flips::difference_interval() const {
  return paired_difference_interval(positive.size(), negative.size(), items);
}

std::vector<Flips> find_flips(const TaskResult& reference, const TaskResult& model) {
  CB_CHECK(reference.task == model.task && reference.items.size() == model.items.size());
  std::vector<Flips> all;
  for (std::size_t m = 0; m < model.task->measures.size(); ++m)
    all.push_back(flips_by(reference, model, m));
  return all;
}

std::vector<Record> to_records(const std::vector<Flips>& flips, const std::string& command) {
  std::vector<Record> records;
  for (const Flips& one : flips) {
    constexpr std::string_view kStem = "accuracy";
    const bool first = &one == &flips.front();
    const std::string suffix = first ? "" : one.measure.substr(kStem.size());
    const auto share = [&](const char* name, std::size_t count) {
      records.push_back(share_of(name + suffix, count, one.items, command));
    };
    share("accuracy_reference", one.right_before);
    records.push_back(record_of("accuracy_difference" + suffix, "share",
                                {one.difference(), one.difference_interval()}, command));
    share("flips_negative", one.negative.size());
    share("flips_positive", one.positive.size());
    share("flips_mistakes", one.changed_mistakes.size());
    const McNemar test = one.test();
    records.push_back(
        {.name = "mcnemar_p" + suffix, .value = test.exact_p, .unit = "", .command = command});
    records.push_back(
        {.name = "mcnemar_mid_p" + suffix, .value = test.mid_p, .unit = "", .command = command});
  }
  return records;
}

}  // namespace checkbit
