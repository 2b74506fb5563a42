// How many bits each operation needs: its output is rounded to narrower and narrower floats until
// the model's predictions move.
//
// What: against the float model on text of its own, each operation alone is rounded with 8 exponent
//   bits and fewer and fewer mantissa bits, then with 23 mantissa bits and fewer and fewer exponent
//   bits; the fewest whose divergence stays within kLimit are found by bisection. Then all
//   operations together: the fewest bits, and the usual formats. Products add up in binary32
//   inside; what is rounded is what an operation hands on.
// Reference: "Exploration of Numerical Precision in Deep Neural Networks".

#include <fmt/format.h>

#include <cmath>
#include <functional>

#include "base/progress.h"
#include "measure/numerics/float_engine.h"
#include "measure/probes/probe.h"
#include "report/number.h"

namespace checkbit {
namespace {

constexpr double kLimit = 1e-3;  // nats a token
constexpr std::size_t kSequences = 2;
constexpr std::size_t kUsualTokens = 48;

/// Measures emulated engines against the float model.
class PrecisionMeter {
 public:
  PrecisionMeter(FloatEngine& engine, const KeptLogits& kept, Progress& progress)
      : engine_(engine), kept_(kept), progress_(progress) {}

  Result<double> divergence(Emulation emulation) {
    if (cancel_requested()) return cancelled_error();
    CB_TRY(const double value, kept_.divergence(engine_, &emulation));
    progress_.advance();
    return value;
  }

  /// The smallest n in [low, high] with measure(n) <= kLimit, given that measure(high) is.
  static Result<int> fewest(int low, int high, const std::function<Result<double>(int)>& measure) {
    while (low < high) {
      const int middle = (low + high) / 2;
      CB_TRY(const double value, measure(middle));
      if (value <= kLimit) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return high;
  }

 private:
  FloatEngine& engine_;
  const KeptLogits& kept_;
  Progress& progress_;
};

struct Need {
  std::string operation;  ///< "" for all together
  int mantissa_bits = 23;
  int exponent_bits = 8;
  double binary16 = 0;  ///< divergence
  double bfloat16 = 0;
};

Result<Need> need_of(PrecisionMeter& meter, const std::string& operation) {
  const auto emulation = [&](FloatFormat format) {
    if (operation.empty()) return Emulation(format);
    return Emulation(std::map<std::string, FloatFormat, std::less<>>{{operation, format}});
  };
  Need need{.operation = operation};
  CB_TRY(need.mantissa_bits, PrecisionMeter::fewest(0, 23, [&](int bits) {
           return meter.divergence(emulation({8, bits}));
         }));
  CB_TRY(need.exponent_bits, PrecisionMeter::fewest(2, 8, [&](int bits) {
           return meter.divergence(emulation({bits, 23}));
         }));
  CB_TRY(need.binary16, meter.divergence(emulation(kBinary16)));
  CB_TRY(need.bfloat16, meter.divergence(emulation(kBfloat16)));
  return need;
}

void add_records(const Need& need, ProbeResult& result) {
  std::string tail = need.operation.empty() ? "all" : need.operation;
  for (char& c : tail) c = c == ' ' ? '_' : c;
  const auto add = [&](const char* what, double value, const char* unit) {
    result.records.push_back(
        {.name = fmt::format("probe_precision_{}_{}", what, tail), .value = value, .unit = unit});
  };
  add("mantissa_bits", need.mantissa_bits, "bits");
  add("exponent_bits", need.exponent_bits, "bits");
  add("divergence_fp16", need.binary16, "nats");
  add("divergence_bf16", need.bfloat16, "nats");
}

std::string in_words(double divergence) {
  return std::isfinite(divergence) ? print_quantity(divergence, "nats") : "broken";
}

Result<Table> narrow_formats(PrecisionMeter& meter, ProbeResult& result) {
  Table table{.caption = "All operations in one format",
              .columns = {"format", "bits", "divergence"},
              .rows = {}};
  const std::pair<const char*, FloatFormat> formats[] = {{"fp16", kBinary16},
                                                         {"bf16", kBfloat16},
                                                         {"e5m2", kE5M2},
                                                         {"e4m3fn saturating", {4, 3, true, true}}};
  for (const auto& [name, format] : formats) {
    CB_TRY(const double value, meter.divergence(Emulation(format)));
    table.rows.push_back({name, std::to_string(format.bits()), in_words(value)});
    if (format == kE5M2)
      result.records.push_back(
          {.name = "probe_precision_divergence_e5m2_all", .value = value, .unit = "nats"});
  }
  return table;
}

Result<ProbeResult> run(const ProbeContext& context) {
  Session* session = context.subject.session();
  CB_CHECK(session != nullptr);
  const std::size_t tokens =
      context.limit > 0 ? std::max<std::size_t>(context.limit, 2) : kUsualTokens;
  CB_TRY(FloatEngine engine, FloatEngine::open(*session, static_cast<std::int64_t>(tokens)));
  CB_TRY(auto text, engine.sample(kSequences, tokens, context.seed, nullptr));
  CB_TRY(const KeptLogits kept, KeptLogits::read(engine, std::move(text)));
  std::vector<std::string> operations = operations_of(engine.model());
  operations.emplace_back();
  constexpr std::size_t kRunsOfOperation = 5 + 3 + 2;
  Progress progress("narrowing operations", operations.size() * kRunsOfOperation + 4, "runs");
  PrecisionMeter meter(engine, kept, progress);
  ProbeResult result;
  Table table{.caption = fmt::format("Bits that each operation's output needs for a divergence of "
                                     "at most {} nats a token",
                                     kLimit),
              .columns = {"operation", "mantissa bits", "exponent bits", "in fp16", "in bf16"},
              .rows = {}};
  for (const std::string& operation : operations) {
    CB_TRY(const Need need, need_of(meter, operation));
    add_records(need, result);
    table.rows.push_back({operation.empty() ? "all together" : operation,
                          std::to_string(need.mantissa_bits), std::to_string(need.exponent_bits),
                          in_words(need.binary16), in_words(need.bfloat16)});
  }
  CB_TRY(Table narrow, narrow_formats(meter, result));
  result.blocks.emplace_back(std::move(table));
  result.blocks.emplace_back(std::move(narrow));
  return result;
}

}  // namespace

extern const Probe precision_probe;
const Probe precision_probe = {
    .name = "precision",
    .title = "Precision",
    .papers = {171},
    .measures = "how many mantissa and exponent bits the output of each operation needs",
    .score = "none: a table of bits",
    .direction = Direction::neither,
    .run = run};

}  // namespace checkbit
