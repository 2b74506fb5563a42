#include "guard/fault_space.h"

#include <algorithm>
#include <atomic>
#include <unordered_set>

#include "protect/bit_draw.h"

namespace checkbit {

Result<FaultSpace> FaultSpace::select(std::span<const FaultRegion> regions, const FaultSpec& spec) {
  FaultSpace space;
  bool named = false;
  for (const FaultRegion& region : regions) {
    const bool wanted = matches_glob(spec.tensor, region.name) &&
                        (spec.layer < 0 || spec.layer == region.layer) && !region.bytes.empty();
    if (!wanted) continue;
    named = true;
    const std::uint64_t region_bits = 8 * static_cast<std::uint64_t>(region.bytes.size());
    CB_CHECK(region_bits % region.fields->bits == 0);
    Part part{.region = region, .before = space.bits_, .unit_bits = 0, .runs = {}};
    for (const FieldRun& run : region.fields->runs) {
      if (!spec.field.matches(run)) continue;
      part.runs.push_back({run.first_bit, part.unit_bits});
      part.unit_bits += run.bits;
    }
    if (part.unit_bits == 0) continue;
    space.bits_ += region_bits / region.fields->bits * part.unit_bits;
    space.parts_.push_back(std::move(part));
  }
  if (space.bits_ > 0) return space;
  if (!named) {
    return fail(ErrorKind::not_found, "fault: nothing is called {}{}", spec.tensor,
                spec.layer < 0 ? "" : fmt::format(" in layer {}", spec.layer));
  }
  return fail(ErrorKind::not_found, "fault: nothing here has a field {}", spec.field.text);
}

BitPlace FaultSpace::place(std::uint64_t index) const {
  CB_CHECK(index < bits_);
  const Part& part = *(std::ranges::upper_bound(parts_, index, {}, &Part::before) - 1);
  const std::uint64_t inside = index - part.before;
  const std::uint64_t selected = inside % part.unit_bits;
  const Run& run = *(std::ranges::upper_bound(part.runs, selected, {}, &Run::before) - 1);
  return {&part.region, inside / part.unit_bits * part.region.fields->bits + run.first_bit +
                            (selected - run.before)};
}

std::vector<BitPlace> FaultSpace::draw(const FaultSpec& spec, std::uint64_t trial) const {
  Random random(spec.seed, trial);
  std::vector<BitPlace> places;
  if (spec.rate > 0) {
    for (const std::uint64_t bit : draw_bits(spec.rate, bits_, random))
      places.push_back(place(bit));
  } else {
    // A bit drawn twice would be flipped back: a double fault hits two bits.
    std::unordered_set<std::uint64_t> drawn;
    while (drawn.size() < std::min(spec.count, bits_)) {
      const std::uint64_t bit = random.below(bits_);
      if (drawn.insert(bit).second) places.push_back(place(bit));
    }
  }
  return places;
}

void InjectedFaults::change(std::uint8_t* byte, std::uint8_t value) {
  std::atomic_ref<std::uint8_t> shared(*byte);
  saved_.push_back({byte, shared.load(std::memory_order_relaxed)});
  shared.store(value, std::memory_order_relaxed);
}

void InjectedFaults::add(const BitPlace& place, const FaultSpec& spec) {
  const std::span<std::uint8_t> bytes = place.region->bytes;
  if (spec.page_bytes > 0) {
    // Aligned in the region, which is how a lost sector or page of a file lies too.
    const std::uint64_t begin = place.bit / 8 / spec.page_bytes * spec.page_bytes;
    const std::uint64_t end = std::min<std::uint64_t>(begin + spec.page_bytes, bytes.size());
    for (std::uint64_t at = begin; at < end; ++at) change(&bytes[at], 0);
    return;
  }
  const std::uint64_t end = std::min<std::uint64_t>(place.bit + spec.burst, 8 * bytes.size());
  for (std::uint64_t bit = place.bit; bit < end; ++bit) {
    std::uint8_t* byte = &bytes[bit / 8];
    const auto mask = static_cast<std::uint8_t>(1u << bit % 8);
    const std::uint8_t now = std::atomic_ref<std::uint8_t>(*byte).load(std::memory_order_relaxed);
    const bool set = spec.stuck.value_or((now & mask) == 0);
    change(byte, static_cast<std::uint8_t>(set ? now | mask : now & ~mask));
  }
}

void InjectedFaults::undo() {
  // The other way round: of a byte that was hit twice the first value counts.
  for (auto saved = saved_.rbegin(); saved != saved_.rend(); ++saved)
    std::atomic_ref<std::uint8_t>(*saved->byte).store(saved->value, std::memory_order_relaxed);
  saved_.clear();
}

std::uint64_t InjectedFaults::bytes_changed() const {
  std::vector<Saved> first = saved_;
  std::ranges::stable_sort(first, {}, &Saved::byte);
  const auto same = [](const Saved& a, const Saved& b) { return a.byte == b.byte; };
  first.erase(std::unique(first.begin(), first.end(), same), first.end());
  return static_cast<std::uint64_t>(
      std::ranges::count_if(first, [](const Saved& saved) { return *saved.byte != saved.value; }));
}

}  // namespace checkbit
