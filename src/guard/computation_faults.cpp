#include "guard/computation_faults.h"

#include <algorithm>
#include <bit>

#include "protect/bit_draw.h"

namespace checkbit {
namespace {

/// Bits of a binary32 that a selector takes.
std::vector<std::uint32_t> selected_bits(const FieldSelector& field) {
  std::vector<std::uint32_t> bits;
  const FieldMap& map = field_map(*find_format("F32"));
  for (std::uint32_t bit = 0; bit < map.bits; ++bit) {
    if (field.matches(map.run_at(bit))) bits.push_back(bit);
  }
  return bits;
}

}  // namespace

void ComputationFaults::start_recording(const FaultSpec& spec) {
  spec_ = spec;
  recording_ = true;
  values_ = 0;
  hits_.clear();
}

bool ComputationFaults::selects(const StepView& view) const {
  const bool product = view.step.kind == StepKind::linear;
  if (product != (spec_.place == FaultPlace::accumulators)) return false;
  if (spec_.layer >= 0 && spec_.layer != view.layer) return false;
  const std::string name =
      view.step.weight == Role::none
          ? std::string("step")
          : role_info(view.step.weight).tensor_name(static_cast<int>(view.layer));
  return matches_glob(spec_.tensor, name);
}

Result<std::uint64_t> ComputationFaults::draw(const FaultSpec& spec, std::uint64_t trial) {
  recording_ = false;
  passed_ = 0;
  next_ = 0;
  hits_.clear();
  const std::vector<std::uint32_t> bits = selected_bits(spec.field);
  const std::uint64_t total = values_ * bits.size();
  if (total == 0) {
    return fail(ErrorKind::not_found, "fault: no {} are selected by \"{}\"", to_string(spec.place),
                to_string(spec));
  }
  Random random(spec.seed, trial);
  std::vector<std::uint64_t> drawn;
  if (spec.rate > 0) {
    drawn = draw_bits(spec.rate, total, random);
  } else {
    for (std::uint64_t i = 0; i < spec.count; ++i) drawn.push_back(random.below(total));
    std::ranges::sort(drawn);
  }
  for (const std::uint64_t number : drawn)
    hits_.push_back({number / bits.size(), 1u << bits[number % bits.size()]});
  return hits_.size();
}

void ComputationFaults::after(const StepView& view) {
  if (!selects(view)) return;
  const auto count = static_cast<std::uint64_t>(view.n_tokens * view.out_size);
  if (recording_) {
    values_ += count;
    return;
  }
  for (; next_ < hits_.size() && hits_[next_].value < passed_ + count; ++next_) {
    const auto inside = static_cast<std::int64_t>(hits_[next_].value - passed_);
    float& value = view.out[inside / view.out_size * view.out_stride + inside % view.out_size];
    auto word = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t mask = hits_[next_].mask;
    word = spec_.stuck ? (*spec_.stuck ? word | mask : word & ~mask) : word ^ mask;
    value = std::bit_cast<float>(word);
  }
  passed_ += count;
}

}  // namespace checkbit
