// An integer program, solved by branch and bound with GLPK.
//
// What: x[i][o] is 1 where item i takes option o: least sum of losses, one option per item, bytes
//   within the budget. Options that cost more and lose more than another are left out. The search
//   ends within kGap of the optimum or after kMostNodes nodes; then the better of what it found and
//   the rounded relaxation stands.
// References: Improving Post Training Neural Quantization: Layer-wise Calibration and Integer
//   Programming; HAWQV3: Dyadic Neural Network Quantization.
#ifdef CHECKBIT_GLPK

#include <glpk.h>

#include <algorithm>
#include <memory>

#include "quantize/allocate/allocations.h"

namespace checkbit {
namespace {

constexpr double kGap = 1e-6;
constexpr int kMostNodes = 2000;

bool is_dominated(const AllocationItem& item, std::size_t option) {
  for (std::size_t o = 0; o < item.size(); ++o) {
    if (o == option || item[o].bytes > item[option].bytes || item[o].loss > item[option].loss)
      continue;
    const bool same = item[o].bytes == item[option].bytes && item[o].loss == item[option].loss;
    if (!same || o < option) return true;
  }
  return false;
}

struct Column {
  std::size_t item = 0, option = 0;
};

struct FreeProblem {
  void operator()(glp_prob* problem) const {
    glp_delete_prob(problem);
    glp_free_env();  // what the library keeps for this thread
  }
};
using Problem = std::unique_ptr<glp_prob, FreeProblem>;

/// Rows 1 to items: one option each; the last row: bytes over the smallest choice, in units of the
/// spare bytes. Columns as listed, from 1.
Problem build(const AllocationTask& task, const std::vector<Column>& columns) {
  const Choice smallest = smallest_choice(task);
  const auto spare = static_cast<double>(task.budget_bytes - bytes_of(task, smallest));
  const double unit = std::max(1.0, spare);
  const double most_loss = std::max(1e-300, loss_of(task, smallest));
  const int items = static_cast<int>(task.items.size());
  glp_term_out(GLP_OFF);
  Problem problem(glp_create_prob());
  glp_set_obj_dir(problem.get(), GLP_MIN);
  glp_add_rows(problem.get(), items + 1);
  for (int i = 1; i <= items; ++i) glp_set_row_bnds(problem.get(), i, GLP_FX, 1, 1);
  // Bytes are whole numbers, so half of one more is safe; the rest is the solver's tolerance.
  constexpr double kTolerance = 2e-7;
  glp_set_row_bnds(problem.get(), items + 1, GLP_UP, 0, (spare + 0.5) / unit - kTolerance);
  glp_add_cols(problem.get(), static_cast<int>(columns.size()));
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const AllocationItem& item = task.items[columns[c].item];
    const AllocationOption& option = item[columns[c].option];
    const int j = static_cast<int>(c) + 1;
    glp_set_col_kind(problem.get(), j, GLP_BV);
    glp_set_obj_coef(problem.get(), j, option.loss / most_loss);
    const int rows[] = {0, static_cast<int>(columns[c].item) + 1, items + 1};
    const double values[] = {
        0, 1, static_cast<double>(option.bytes - item[smallest[columns[c].item]].bytes) / unit};
    glp_set_mat_col(problem.get(), j, 2, rows, values);
  }
  return problem;
}

void stop_after_nodes(glp_tree* tree, void* /*unused*/) {
  int made = 0;
  glp_ios_tree_size(tree, nullptr, nullptr, &made);
  if (made > kMostNodes) glp_ios_terminate(tree);
}

Result<Choice> choose(const AllocationTask& task) {
  Choice best = relax(task).chosen;
  spend_rest(task, best);
  if (task.items.empty()) return best;
  std::vector<Column> columns;
  for (std::size_t i = 0; i < task.items.size(); ++i) {
    for (std::size_t o = 0; o < task.items[i].size(); ++o)
      if (!is_dominated(task.items[i], o)) columns.push_back({i, o});
  }
  const Problem problem = build(task, columns);
  glp_iocp options;
  glp_init_iocp(&options);
  options.msg_lev = GLP_MSG_OFF;
  options.presolve = GLP_ON;
  options.mip_gap = kGap;
  options.cb_func = stop_after_nodes;
  glp_intopt(problem.get(), &options);
  const int status = glp_mip_status(problem.get());
  if (status != GLP_OPT && status != GLP_FEAS) return best;
  Choice found(task.items.size());
  for (std::size_t c = 0; c < columns.size(); ++c) {
    if (glp_mip_col_val(problem.get(), static_cast<int>(c) + 1) > 0.5)
      found[columns[c].item] = columns[c].option;
  }
  if (bytes_of(task, found) > task.budget_bytes) return best;
  spend_rest(task, found);
  return loss_of(task, found) < loss_of(task, best) ? found : best;
}

}  // namespace

extern const AllocationMethod integer_allocation;
const AllocationMethod integer_allocation = {
    .name = "integer",
    .summary = "integer program, branch and bound to a millionth of the optimum or 2,000 nodes",
    .choose = choose};

}  // namespace checkbit

#endif
