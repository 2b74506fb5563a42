#include "measure/probes/probe_summary.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "report/number.h"
#include "report/text.h"
#include "score/estimate_record.h"
#include "score/paired_tests.h"

namespace checkbit {
namespace {

/// Over clusters: how many the subject does better at, how many worse.
double p_value_of(std::span<const std::size_t> clusters, std::span<const double> differences) {
  std::map<std::size_t, double> sums;
  for (std::size_t i = 0; i < clusters.size(); ++i) sums[clusters[i]] += differences[i];
  std::uint64_t better = 0, worse = 0;
  for (const auto& [cluster, sum] : sums) {
    better += sum > 0 ? 1 : 0;
    worse += sum < 0 ? 1 : 0;
  }
  return mcnemar_test(better, worse).mid_p;
}

ProbeFigure figure_of(const ProbeResult& result, const std::string& group) {
  std::vector<std::size_t> clusters;
  std::vector<double> subject, reference, difference;
  for (std::size_t i = 0; i < result.items.size(); ++i) {
    if (!group.empty() && result.items[i].group != group) continue;
    clusters.push_back(result.items[i].cluster);
    subject.push_back(result.subject[i].score);
    if (result.reference.empty()) continue;
    reference.push_back(result.reference[i].score);
    difference.push_back(subject.back() - reference.back());
  }
  ProbeFigure figure{group, subject.size(), estimate_mean(clusters, subject), std::nullopt,
                     std::nullopt};
  if (!reference.empty()) {
    figure.reference = estimate_mean(clusters, reference);
    figure.difference = estimate_mean(clusters, difference, -1);
    figure.p_value = p_value_of(clusters, difference);
  }
  return figure;
}

std::string in_words(const Estimate& estimate) {
  return glue(print_with_interval(share_record("", estimate)));
}

std::vector<std::string> groups_of(const ProbeResult& result) {
  std::vector<std::string> groups;
  for (const ProbeItem& item : result.items) {
    if (std::ranges::find(groups, item.group) == groups.end()) groups.push_back(item.group);
  }
  return groups;
}

}  // namespace

std::string record_name(std::string_view probe, std::string_view group) {
  std::string name = fmt::format("probe_{}{}{}", probe, group.empty() ? "" : "_", group);
  for (char& c : name) {
    const auto byte = static_cast<unsigned char>(c);
    c = std::isalnum(byte) != 0 ? static_cast<char>(std::tolower(byte)) : '_';
  }
  for (std::size_t at; (at = name.find("__")) != std::string::npos;) name.erase(at, 1);
  return name;
}

Record share_record(std::string name, const Estimate& estimate) {
  return record_of(std::move(name), "share", estimate);
}

Table value_table(const ProbeResult& result, std::size_t index, const std::string& unit,
                  std::string caption) {
  Table table{std::move(caption), {"Part", "Model"}, {}};
  if (!result.reference.empty()) table.columns.emplace_back("Reference");
  const auto mean = [&](const std::string& group, std::span<const ItemOutcome> outcomes) {
    Welford values;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (result.items[i].group == group) values.add(outcomes[i].values.at(index));
    }
    return print_quantity(values.mean(), unit);
  };
  for (const std::string& group : groups_of(result)) {
    table.rows.push_back({group, mean(group, result.subject)});
    if (!result.reference.empty()) table.rows.back().push_back(mean(group, result.reference));
  }
  return table;
}

std::vector<ProbeFigure> summarize_probe(const ProbeResult& result) {
  if (result.items.empty()) return {};
  const std::vector<std::string> groups = groups_of(result);
  std::vector<ProbeFigure> figures = {figure_of(result, "")};
  if (groups.size() == 1) return figures;
  for (const std::string& group : groups) figures.push_back(figure_of(result, group));
  return figures;
}

Estimate estimate_mean(std::span<const std::size_t> clusters, std::span<const double> values,
                       double low) {
  CB_CHECK(clusters.size() == values.size() && !values.empty());
  std::map<std::size_t, std::pair<double, double>> sums;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sums[clusters[i]].first += values[i];
    sums[clusters[i]].second += 1;
  }
  BlockTable table(2);
  for (const auto& [cluster, sum] : sums) table.add(std::vector{sum.first, sum.second});
  Estimate estimate = bootstrap_interval(
      table, [](std::span<const double> sum) { return sum[1] > 0 ? sum[0] / sum[1] : 0; });
  if (!estimate.interval) return estimate;
  Interval& interval = *estimate.interval;
  if (interval.low == interval.high) {
    // No redraw differs from another: what may still hide is what so many clusters can hide.
    const double hidden = wilson_interval(0, table.blocks()).high;
    interval = {estimate.value - hidden, estimate.value + hidden};
  }
  interval = {std::max(interval.low, low), std::min(interval.high, 1.0)};
  return estimate;
}

std::vector<Record> probe_records(const Probe& probe, const ProbeResult& result,
                                  const std::string& command) {
  std::vector<Record> records;
  for (const ProbeFigure& figure : summarize_probe(result)) {
    const std::string name = record_name(probe.name, figure.group);
    records.push_back(share_record(name, figure.subject));
    if (figure.reference) records.push_back(share_record(name + "_reference", *figure.reference));
    if (figure.difference)
      records.push_back(share_record(name + "_difference", *figure.difference));
    if (figure.p_value && figure.group.empty())
      records.push_back({.name = name + "_p_value", .value = *figure.p_value, .unit = ""});
  }
  records.insert(records.end(), result.records.begin(), result.records.end());
  for (Record& record : records) record.command = command;
  return records;
}

std::vector<std::size_t> changed_items(const ProbeResult& result, std::size_t count) {
  if (result.reference.empty()) return {};
  std::vector<std::size_t> order;
  const auto gain = [&](std::size_t i) {
    return result.subject[i].score - result.reference[i].score;
  };
  for (std::size_t i = 0; i < result.items.size(); ++i) {
    if (gain(i) != 0) order.push_back(i);
  }
  std::ranges::stable_sort(order, {}, gain);
  order.resize(std::min(order.size(), count));
  return order;
}

std::string describe_probe(const Probe& probe, const ProbeResult& result) {
  const std::vector<ProbeFigure> figures = summarize_probe(result);
  if (figures.empty()) return fmt::format("{}: {}.", probe.title, probe.measures);
  const ProbeFigure& all = figures.front();
  std::string text =
      fmt::format("{}: scores {} over {} items", probe.title, in_words(all.subject), all.items);
  if (!all.difference) return text + ".";
  text += fmt::format(", the reference {}; the difference is {}", in_words(*all.reference),
                      in_words(*all.difference));
  const auto& interval = all.difference->interval;
  text += fmt::format(" (sign test: p = {:.2g})", *all.p_value);
  if (interval && interval->low <= 0 && interval->high >= 0) text += ", which can be chance";
  return text + ".";
}

}  // namespace checkbit
