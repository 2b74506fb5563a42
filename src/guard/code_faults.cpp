#include "guard/code_faults.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

namespace checkbit {
namespace {

/// A check in memory: 80 bits, then padding that nobody reads and that no fault is drawn from.
const FieldMap& check_map() {
  static const FieldMap map = [] {
    constexpr std::uint32_t kCheckBits = 80;
    FieldMapBuilder builder;
    builder.add(Field::sum, FieldPart::whole, kCheckBits);
    FieldMap used = builder.take();
    used.bits = 8 * sizeof(BlockCheck);
    return used;
  }();
  return map;
}

const FieldMap& byte_map() { return field_map(*find_format("I8")); }

std::span<std::uint8_t> bytes_of(std::span<BlockCheck> checks) {
  return {reinterpret_cast<std::uint8_t*>(checks.data()), checks.size_bytes()};
}

}  // namespace

std::vector<FaultRegion> code_regions(SpanCode& code) {
  return {{"checks", -1, bytes_of(code.checks()), &check_map()},
          {"parity", -1, code.parity(), &byte_map()},
          {"parity checks", -1, bytes_of(code.parity_checks()), &check_map()}};
}

Result<CodeFaults> CodeFaults::create(std::span<const std::uint8_t> bytes, CodeShape shape) {
  CB_TRY(AlignedBuffer span, AlignedBuffer::allocate(bytes.size(), "bytes to damage"));
  std::memcpy(span.data(), bytes.data(), bytes.size());
  CB_TRY(SpanCode code, SpanCode::compute({span.data(), span.size()}, shape));
  CodeFaults made(std::move(code));
  made.span_ = std::move(span);
  made.original_.assign(bytes.begin(), bytes.end());
  made.checks_.assign(made.code_.checks().begin(), made.code_.checks().end());
  made.parity_checks_.assign(made.code_.parity_checks().begin(), made.code_.parity_checks().end());
  made.parity_.assign(made.code_.parity().begin(), made.code_.parity().end());
  CB_TRY_STATUS(made.select());
  return made;
}

/// Every bit that the code covers, its own included.
Status CodeFaults::select() {
  std::vector<FaultRegion> regions = code_regions(code_);
  regions.push_back({"span", -1, {span_.data(), original_.size()}, &byte_map()});
  CB_TRY(space_, FaultSpace::select(regions, FaultSpec{}));
  return {};
}

bool CodeFaults::is_right(std::uint64_t block) const {
  const std::size_t at = static_cast<std::size_t>(block) * kCodeBlockBytes;
  return std::memcmp(span_.data() + at, original_.data() + at,
                     code_.geometry().block_bytes(block)) == 0;
}

Outcome CodeFaults::trial(const FaultSpec& spec, std::uint64_t number) {
  const CodeGeometry& geometry = code_.geometry();
  const std::span<std::uint8_t> span(span_.data(), original_.size());
  bool noticed = false;
  std::unordered_set<std::uint64_t> given_up;  // what the user is told of
  InjectedFaults faults;
  faults.add(space_->draw(spec, number), spec);
  for (std::uint64_t stripe = 0; stripe < geometry.stripes(); ++stripe) {
    for (const MendedBlock& block : code_.mend_stripe(span, stripe)) {
      noticed = noticed || block.mend != Mend::intact;
      if (block.mend == Mend::impossible && block.position < geometry.shape().data_blocks)
        given_up.insert(geometry.block_at(stripe, block.position));
    }
  }
  bool passed_off = false;  // a wrong block that nobody was told of
  for (std::uint64_t block = 0; block < geometry.blocks(); ++block)
    passed_off = passed_off || (!is_right(block) && !given_up.contains(block));
  faults.undo();
  restore();
  return passed_off ? Outcome::silent : classify(noticed, given_up.empty());
}

void CodeFaults::restore() {
  std::memcpy(span_.data(), original_.data(), original_.size());
  std::ranges::copy(checks_, code_.checks().begin());
  std::ranges::copy(parity_checks_, code_.parity_checks().begin());
  std::ranges::copy(parity_, code_.parity().begin());
}

OutcomeCounts CodeFaults::run(const FaultSpec& spec, std::uint64_t begin, std::uint64_t end) {
  OutcomeCounts counts;
  for (std::uint64_t number = begin; number < end; ++number) counts.add(trial(spec, number));
  return counts;
}

}  // namespace checkbit
