// Two engines, one model: how far training and inference drift apart when both compute in FP16, and
// when both compute in BF16.
//
// What: the inference engine samples text token by token and rounds after every operation; the
//   training engine reads the same text at once and keeps what a fused kernel would not write out
//   (norms, rotations, activations) in binary32. Both round the rest to the same format. Per token:
//   the difference of the log probabilities that they give to the token sampled, and the KL
//   divergence of their whole distributions; per sequence the sum of the former, as it grows with
//   the length. A third pair, one engine token by token against itself in one pass, must agree to
//   the bit (docs/numerics.md).
// Units: nats. Text is sampled by the inference engine of each format: seeded.
// Reference: "Defeating the Training-Inference Mismatch via FP16".

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/progress.h"
#include "measure/numerics/float_engine.h"
#include "measure/probes/probe.h"
#include "report/number.h"
#include "report/svg.h"
#include "score/divergence.h"
#include "score/estimate_record.h"
#include "score/statistics.h"

namespace checkbit {
namespace {

constexpr std::size_t kSequences = 8;
constexpr std::size_t kUsualTokens = 96;
constexpr std::size_t kSteps = 8;  // of the length, in the table of growth

struct Mismatch {
  Estimate divergence;           ///< KL(inference || training), mean over tokens
  Estimate log_ratio;            ///< mean absolute, of the sampled tokens
  double largest = 0;            ///< log ratio
  std::vector<double> growth;    ///< root mean square of the sum up to each step of the length
  double decode_difference = 0;  ///< inference engine in one pass against token by token
};

/// What a fused training kernel does not write out.
Emulation fused(const FloatFormat& format, const Model& model) {
  Emulation emulation(format);
  for (const std::string& name : operations_of(model)) {
    const bool inside = name.find("norm") != std::string::npos || name == "rope" ||
                        name.find("multiply") != std::string::npos;
    if (inside) emulation.leave_alone(name);
  }
  return emulation;
}

Error broken(FloatEngine& engine, const FloatFormat& format) {
  return fail(ErrorKind::corrupt, "{}: computed in {} its logits are not finite",
              engine.session().file().path(), to_string(format));
}

/// Log probabilities of each token after the first, and rows kept for the other engine.
class SequenceReader {
 public:
  SequenceReader(FloatEngine& engine, const FloatFormat& format, std::size_t width)
      : engine_(engine), format_(format), width_(width) {}

  Status keep(const TokenSequence& tokens, StepObserver* inference) {
    rows_.clear();
    return engine_.read(tokens, inference, [&](std::size_t, std::span<const float> row) -> Status {
      rows_.emplace_back(row.begin(), row.end());
      return {};
    });
  }

  /// each(position, log ratio, divergence) of every sampled token.
  template <class F>
  Status compare(const TokenSequence& tokens, StepObserver* training, F&& each) {
    return engine_.read(tokens, training, [&](std::size_t i, std::span<const float> row) -> Status {
      if (i + 1 == tokens.size()) return {};
      const auto first = std::span<const float>(rows_[i]).first(width_);
      const RowComparison pair = compare_rows(first, row.first(width_));
      if (!pair.reference.finite || !pair.model.finite) return broken(engine_, format_);
      const auto token = static_cast<std::size_t>(tokens[i + 1]);
      each(i,
           log_probability(row.first(width_), pair.model, token) -
               log_probability(first, pair.reference, token),
           pair.kl_divergence);
      return {};
    });
  }

 private:
  FloatEngine& engine_;
  FloatFormat format_;
  std::size_t width_;  ///< tokens that exist
  std::vector<std::vector<float>> rows_;
};

Result<Mismatch> measure(FloatEngine& engine, const FloatFormat& format, std::size_t length,
                         std::uint64_t seed) {
  Emulation inference(format);
  Emulation training = fused(format, engine.model());
  auto sampled = engine.sample(kSequences, length, seed, &inference);
  if (!sampled) {
    return sampled.error().kind == ErrorKind::corrupt ? broken(engine, format) : sampled.error();
  }
  SequenceReader reader(engine, format, engine.session().tokenizer().size());
  Mismatch result;
  result.growth.assign(kSteps, 0);
  BlockTable table(3);
  Progress progress(fmt::format("two engines in {}", to_string(format)), kSequences, "sequences");
  for (const TokenSequence& tokens : *sampled) {
    double sums[3] = {0, 0, 0};  // tokens, |log ratio|, divergence
    double total = 0;
    CB_TRY_STATUS(reader.keep(tokens, &inference));
    CB_TRY_STATUS(
        reader.compare(tokens, &training, [&](std::size_t at, double log_ratio, double divergence) {
          sums[0] += 1;
          sums[1] += std::abs(log_ratio);
          sums[2] += divergence;
          total += log_ratio;
          result.largest = std::max(result.largest, std::abs(log_ratio));
          const std::size_t read = at + 1;
          for (std::size_t step = 0; step < kSteps; ++step) {
            if (read == (tokens.size() - 1) * (step + 1) / kSteps)
              result.growth[step] += total * total / kSequences;
          }
        }));
    table.add(sums);
    progress.advance();
  }
  for (double& square : result.growth) square = std::sqrt(square);
  const auto mean = [](std::size_t column) {
    return [column](std::span<const double> sums) { return sums[column] / sums[0]; };
  };
  result.log_ratio = bootstrap_interval(table, mean(1));
  result.divergence = bootstrap_interval(table, mean(2));
  return result;
}

/// The largest difference between logits read in one pass and token by token.
Result<double> difference_of_passes(FloatEngine& engine, const TokenSequence& tokens) {
  std::vector<std::vector<float>> rows;
  CB_TRY_STATUS(
      engine.read(tokens, nullptr, [&](std::size_t, std::span<const float> row) -> Status {
        rows.emplace_back(row.begin(), row.end());
        return {};
      }));
  Session& session = engine.session();
  session.cache().truncate(0);
  double largest = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    CB_TRY_STATUS(session.evaluate(
        std::span(&tokens[i], 1), Logits::all,
        [&](std::size_t, std::span<const float> row) -> Status {
          for (std::size_t v = 0; v < row.size(); ++v)
            largest = std::max(
                largest, std::abs(static_cast<double>(row[v]) - static_cast<double>(rows[i][v])));
          return {};
        }));
  }
  return largest;
}

void add_format(const char* name, const Mismatch& m, ProbeResult& result, Table& table,
                std::vector<Line>& lines) {
  const Record divergence =
      record_of(fmt::format("probe_mismatch_divergence_{}", name), "nats", m.divergence);
  const Record ratio =
      record_of(fmt::format("probe_mismatch_log_ratio_{}", name), "nats", m.log_ratio);
  table.rows.push_back({name, print_with_interval(divergence), print_with_interval(ratio),
                        print_quantity(m.largest, "nats"), print_quantity(m.growth.front(), "nats"),
                        print_quantity(m.growth.back(), "nats")});
  result.records.push_back(divergence);
  result.records.push_back(ratio);
  result.records.push_back({.name = fmt::format("probe_mismatch_sequence_log_ratio_{}", name),
                            .value = m.growth.back(),
                            .unit = "nats"});
  lines.push_back(
      {.label = name, .values = m.growth, .tone = lines.empty() ? Tone::accent : Tone::contrast});
}

Result<ProbeResult> run(const ProbeContext& context) {
  Session* session = context.subject.session();
  CB_CHECK(session != nullptr);
  const std::size_t length =
      context.limit > 0 ? std::max<std::size_t>(context.limit, kSteps + 1) : kUsualTokens;
  CB_TRY(FloatEngine engine, FloatEngine::open(*session, static_cast<std::int64_t>(length)));
  ProbeResult result;
  Table table{.caption = fmt::format("Inference engine against training engine, {} sampled "
                                     "sequences of {} tokens",
                                     kSequences, length),
              .columns = {"both in", "divergence", "log ratio of a token", "largest",
                          fmt::format("of {} tokens together", (length - 1) / kSteps),
                          fmt::format("of {}", length - 1)},
              .rows = {}};
  std::vector<Line> lines;
  double divergences[2] = {0, 0};
  const std::pair<const char*, FloatFormat> formats[] = {{"fp16", kBinary16}, {"bf16", kBfloat16}};
  for (std::size_t f = 0; f < 2; ++f) {
    const auto mismatch = measure(engine, formats[f].second, length, context.seed);
    if (!mismatch && mismatch.error().kind == ErrorKind::corrupt) {
      table.rows.push_back({formats[f].first, "broken", "", "", "", ""});  // out of its range
      continue;
    }
    if (!mismatch) return mismatch.error();
    add_format(formats[f].first, *mismatch, result, table, lines);
    divergences[f] = mismatch->divergence.value;
  }
  if (divergences[0] > 0) {
    result.records.push_back({.name = "probe_mismatch_divergence_ratio",
                              .value = divergences[1] / divergences[0],
                              .unit = ""});
  }
  CB_TRY(const auto text, engine.sample(1, length, context.seed, nullptr));
  CB_TRY(const double own, difference_of_passes(engine, text[0]));
  result.records.push_back({.name = "probe_mismatch_decode_and_prompt", .value = own, .unit = ""});
  result.blocks.emplace_back(std::move(table));
  if (!lines.empty()) {
    result.blocks.emplace_back(
        Chart{.title = "How the mismatch of a whole sequence grows with its length",
              .body = svg_lines(lines, fmt::format("{} tokens", (length - 1) / kSteps),
                                fmt::format("{} tokens", length - 1)),
              .caption = "Root mean square of the summed log ratio, in nats. This engine against "
                         "itself, token by token and in one pass, differs by " +
                         print_quantity(own, "") + "."});
  }
  return result;
}

}  // namespace

extern const Probe mismatch_probe;
const Probe mismatch_probe = {
    .name = "mismatch",
    .title = "Mismatch of two engines",
    .papers = {149},
    .measures = "how far a training and an inference engine drift apart in FP16 and in BF16",
    .score = "none: log ratios and divergences",
    .direction = Direction::neither,
    .run = run};

}  // namespace checkbit
