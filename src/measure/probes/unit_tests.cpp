// The unit tests of unit_checks.h as a probe: every claim is an item, 1 when it holds.
#include "measure/probes/probe_summary.h"
#include "measure/probes/unit_checks.h"

namespace checkbit {
namespace {

Result<ItemOutcome> score(ProbeModel& model, const ProbeItem& item, std::uint64_t seed) {
  Session* session = model.session();
  if (session == nullptr) {
    return fail(ErrorKind::unsupported, "{}: unit tests look inside a model that is open",
                model.name());
  }
  CB_TRY(const std::string found, all_unit_checks()[item.cluster].run(*session, seed));
  session->cache().truncate(0);
  return ItemOutcome{found.empty() ? 1.0 : 0.0, found.empty() ? "holds" : found, {}};
}

Table claims_table(const ProbeResult& result) {
  Table table{"Every claim", {"Claim", "Model"}, {}};
  if (!result.reference.empty()) table.columns.emplace_back("Reference");
  for (std::size_t i = 0; i < result.items.size(); ++i) {
    table.rows.push_back({result.items[i].shown, result.subject[i].answer});
    if (!result.reference.empty()) table.rows.back().push_back(result.reference[i].answer);
  }
  return table;
}

Result<ProbeResult> run(const ProbeContext& context) {
  std::vector<ProbeItem> items;
  for (const UnitCheck& check : all_unit_checks())
    items.push_back({std::string(check.name), items.size(), std::string(check.claim), {}, {}});
  CB_TRY(ProbeResult result, run_items(context, "unit tests", std::move(items),
                                       [&](ProbeModel& model, const ProbeItem& item) {
                                         return score(model, item, context.seed);
                                       }));
  result.blocks.emplace_back(claims_table(result));
  return result;
}

}  // namespace

extern const Probe unit_tests_probe;
const Probe unit_tests_probe = {
    .name = "unit_tests",
    .title = "Unit tests of the model",
    .papers = {184},
    .measures = "what must hold of any decoder: batches, causality, prefixes, replay, edges, seeds",
    .score = "the claim holds",
    .run = run};

}  // namespace checkbit
