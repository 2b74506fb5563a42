#include "guard/backward.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/progress.h"
#include "guard/backward_steps.h"
#include "score/divergence.h"

namespace checkbit {
namespace {

/// What every slot held, step by step.
class Tape : public StepObserver {
 public:
  struct Entry {
    Step step;
    std::int64_t layer;
    /// Numbers of records; -1: none. `before` is what `out` held.
    int in, second, before, out;
    int key, value;  ///< of an attention step
  };

  void after(const StepView& view) override {
    const auto latest = [&](Slot slot) {
      return slot == Slot::none ? -1 : latest_[static_cast<int>(slot)];
    };
    Entry entry{view.step,
                view.layer,
                latest(view.step.in),
                latest(view.step.second),
                latest(view.step.out),
                static_cast<int>(records_.size()),
                latest(Slot::key),
                latest(Slot::value)};
    Matrix record(view.n_tokens, view.out_size);
    for (std::int64_t t = 0; t < view.n_tokens; ++t)
      std::copy_n(view.out + t * view.out_stride, view.out_size, record.row(t));
    records_.push_back(std::move(record));
    entries_.push_back(entry);
    latest_[static_cast<int>(view.step.out)] = entry.out;
  }

  const std::vector<Entry>& entries() const { return entries_; }
  const Matrix& record(int index) const { return records_[static_cast<std::size_t>(index)]; }

 private:
  std::vector<Entry> entries_;
  std::vector<Matrix> records_;
  std::array<int, kSlotCount> latest_ = [] {
    std::array<int, kSlotCount> none;
    none.fill(-1);
    return none;
  }();
};

/// Mean surprise and its gradient by the logits.
Result<double> loss_of(const Matrix& logits, std::span<const TokenId> targets, Matrix& gradient) {
  double loss = 0;
  double scored = 0;
  for (const TokenId target : targets) scored += target >= 0 ? 1 : 0;
  CB_CHECK(scored > 0);
  for (std::int64_t t = 0; t < logits.rows; ++t) {
    const TokenId target = targets[static_cast<std::size_t>(t)];
    if (target < 0) continue;
    const std::span<const float> row(logits.row(t), static_cast<std::size_t>(logits.columns));
    const RowSummary summary = summarize_row(row);
    if (!summary.finite) return fail(ErrorKind::corrupt, "the logits are not finite");
    loss -= log_probability(row, summary, static_cast<std::size_t>(target)) / scored;
    const float shift = static_cast<float>(summary.max + summary.log_sum);
    for (std::int64_t i = 0; i < logits.columns; ++i)
      gradient.row(t)[i] =
          std::exp(row[static_cast<std::size_t>(i)] - shift) / static_cast<float>(scored);
    gradient.row(t)[target] -= 1 / static_cast<float>(scored);
  }
  return loss;
}

/// Walks the tape from its end. Gradients stand by slot, as the steps do.
class Walk {
 public:
  Walk(Session& session, const Tape& tape, const EachMatrix& each)
      : model_(session.model()), pool_(session.pool()), tape_(tape), each_(each) {}

  Result<double> run(std::span<const TokenId> targets) {
    const Tape::Entry& last = tape_.entries().back();
    const Matrix& logits = tape_.record(last.out);
    Matrix& gradient = slot(last.step.out, logits);
    CB_TRY(const double loss, loss_of(logits, targets, gradient));
    if (!each_) return loss;
    for (auto entry = tape_.entries().rbegin(); entry != tape_.entries().rend(); ++entry) {
      if (cancel_requested()) return cancelled_error();
      CB_TRY_STATUS(back(*entry));
    }
    return loss;
  }

 private:
  Matrix& slot(Slot which, const Matrix& like) {
    Matrix& gradient = gradients_[static_cast<int>(which)];
    if (gradient.columns != like.columns || gradient.rows != like.rows)
      gradient = Matrix(like.rows, like.columns);
    return gradient;
  }
  Matrix take(Slot which, const Matrix& like) {
    Matrix taken = std::move(slot(which, like));
    gradients_[static_cast<int>(which)] = Matrix(like.rows, like.columns);
    return taken;
  }

  Status back(const Tape::Entry& e) {
    const Hyperparameters& h = model_.hyperparameters();
    const Step& step = e.step;
    const Matrix& out = tape_.record(e.out);
    switch (step.kind) {
      case StepKind::embed:
        return {};  // of the table as input nothing is handed over
      case StepKind::scale:
        for (float& g : slot(step.out, out).values) g *= h.embedding_scale;
        return {};
      case StepKind::rms_norm: {
        const Matrix taken = take(step.out, out);
        const Matrix& in = tape_.record(e.in);
        back_rms_norm(in, model_.vector(step.weight, e.layer), h.norm_epsilon, in.columns, taken,
                      slot(step.in, in));
        return {};
      }
      case StepKind::head_norm: {
        const Matrix taken = take(step.out, out);
        back_rms_norm(tape_.record(e.before), model_.vector(step.weight, e.layer), h.norm_epsilon,
                      h.head_size, taken, slot(step.out, out));
        return {};
      }
      case StepKind::linear:
        linear(e, out);
        return {};
      case StepKind::rope:
        back_rope(h.is_sliding(e.layer) ? h.local_rope : h.rope,
                  h.is_sliding(e.layer) ? nullptr : model_.vector(Role::rope_factors),
                  model_.architecture().pairing, h.head_size, slot(step.out, out));
        return {};
      case StepKind::attention: {
        if (h.attention_softcap > 0)
          return fail(ErrorKind::unsupported, "no derivative of attention with a cap");
        const Matrix taken = take(step.out, out);
        const Matrix& query = tape_.record(e.in);
        const Matrix& key = tape_.record(e.key);
        const Matrix& value = tape_.record(e.value);
        back_attention(h, e.layer, query, key, value, taken, slot(step.in, query),
                       slot(Slot::key, key), slot(Slot::value, value));
        return {};
      }
      case StepKind::silu_multiply:
      case StepKind::gelu_multiply: {
        const Matrix taken = take(step.out, out);
        const Matrix& gate = tape_.record(e.in);
        const Matrix& up = tape_.record(e.second);
        back_gate(step.kind == StepKind::gelu_multiply, gate, up, taken, slot(step.in, gate),
                  slot(step.second, up));
        return {};
      }
      case StepKind::add: {
        const Matrix& gradient = slot(step.out, out);
        Matrix& in = slot(step.in, tape_.record(e.in));
        for (std::size_t i = 0; i < in.values.size(); ++i) in.values[i] += gradient.values[i];
        return {};
      }
      case StepKind::softcap:
        if (h.final_softcap > 0) back_softcap(h.final_softcap, out, slot(step.out, out));
        return {};
    }
    return {};
  }

  void linear(const Tape::Entry& e, const Matrix& out) {
    const PackedMatrix& matrix = *model_.matrix(e.step.weight, std::max<std::int64_t>(e.layer, 0));
    const Matrix taken = take(e.step.out, out);
    const Matrix& in = tape_.record(e.in);
    const MatrixGradient gradient{e.step.weight,
                                  std::max<std::int64_t>(e.layer, 0),
                                  in.rows,
                                  matrix.rows(),
                                  matrix.columns(),
                                  in.values.data(),
                                  taken.values.data()};
    each_(gradient);
    back_linear(matrix, gradient, pool_, slot(e.step.in, in));
  }

  const Model& model_;
  ThreadPool& pool_;
  const Tape& tape_;
  const EachMatrix& each_;
  std::array<Matrix, kSlotCount> gradients_;
};

}  // namespace

void MatrixGradient::row(std::int64_t r, float* out) const {
  std::fill_n(out, columns, 0.0f);
  for (std::int64_t t = 0; t < n_tokens; ++t) {
    const float g = out_gradient[t * rows + r];
    if (g != 0) add_scaled(in + t * columns, g, columns, out);
  }
}

bool MatrixGradient::matters(std::int64_t r) const {
  constexpr float kNothing = 1e-7f;
  for (std::int64_t t = 0; t < n_tokens; ++t) {
    if (std::abs(out_gradient[t * rows + r]) > kNothing) return true;
  }
  return false;
}

Result<double> loss_and_gradient(Session& session, std::span<const TokenId> tokens,
                                 std::span<const TokenId> targets, const EachMatrix& each) {
  CB_CHECK(tokens.size() == targets.size() && !tokens.empty());
  const auto most = static_cast<std::size_t>(session.executor().max_logits());
  if (tokens.size() > most) {
    return fail(ErrorKind::invalid, "{} tokens do not fit into the {} rows of logits of a pass",
                tokens.size(), most);
  }
  session.cache().truncate(0);
  std::vector<BatchToken> batch;
  for (const TokenId token : tokens) batch.push_back({&session.cache(), token, true});
  Tape tape;
  {
    const Observing observing(session.executor(), &tape);
    CB_TRY(const LogitsView logits, session.executor().evaluate(batch));
    (void)logits;
  }
  session.cache().truncate(0);
  return Walk(session, tape, each).run(targets);
}

}  // namespace checkbit
