#include "guard/product_faults.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <numeric>
#include <utility>

#include "guard/code_faults.h"
#include "kernels/isa_choice.h"
#include "weights/packed_fields.h"

namespace checkbit {
namespace {

constexpr const char* kWeights = "weights";
constexpr const char* kActivations = "activations";
constexpr const char* kActivationsAgain = "activations again";
constexpr const char* kColumns = "columns";
constexpr const char* kRowWeights = "row weights";
constexpr const char* kSums = "sums";
constexpr const char* kResults = "results";
constexpr std::uint64_t kWholeEvery = 64;  // trials

/// Memory that its owner hands out to be read; faults are no respecters of that.
template <class T>
std::span<std::uint8_t> bytes_of(const T* data, std::size_t count) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<T*>(data)), count * sizeof(T)};
}

std::size_t count_of(std::int64_t value) { return static_cast<std::size_t>(value); }

/// What a product writes: hit where it stands, and gone when it is written again.
bool is_transient(const BitPlace& place) {
  return place.region->name == kSums || place.region->name == kResults;
}

/// Wraps.
void add_to(std::int32_t& sum, std::int32_t value, bool negative = false) {
  const auto part = static_cast<std::uint32_t>(value);
  sum = static_cast<std::int32_t>(static_cast<std::uint32_t>(sum) + (negative ? 0 - part : part));
}

std::vector<std::int64_t> in_order(std::vector<std::int64_t> panels) {
  std::ranges::sort(panels);
  panels.erase(std::unique(panels.begin(), panels.end()), panels.end());
  return panels;
}

}  // namespace

ProductFaults::ProductFaults(PackedMatrix matrix, std::vector<float> x, GuardLevel level,
                             std::uint64_t seed)
    : kernels_(kernels_for(best_isa())),
      matrix_(std::move(matrix)),
      x_(std::move(x)),
      tokens_(std::ssize(x_) / matrix_.columns()),
      level_(level),
      seed_(seed) {}

Result<std::unique_ptr<ProductFaults>> ProductFaults::create(const ModelTensor& tensor,
                                                             std::vector<float> x, GuardLevel level,
                                                             std::uint64_t seed) {
  PackOptions options;
  options.checks = true;
  options.check_seed = seed;
  CB_TRY(PackedMatrix matrix, PackedMatrix::prepare(tensor, options));
  if (!matrix.quantizes()) {
    return fail(ErrorKind::unsupported, "tensor {}: type {} has no integer products to check",
                tensor.info.name, tensor.info.format->name);
  }
  const std::size_t columns = count_of(matrix.columns());
  CB_CHECK(!x.empty() && x.size() % columns == 0 && x.size() / columns <= kWidestBlock);
  std::unique_ptr<ProductFaults> made(
      new ProductFaults(std::move(matrix), std::move(x), level, seed));
  CB_TRY_STATUS(made->prepare());
  return made;
}

Status ProductFaults::prepare() {
  check_weights_ = std::make_unique<CheckWeights>(seed_, matrix_.panels(), matrix_.columns());
  matrix_.enable_check(*check_weights_, 0);
  matrix_.pack(pool_);
  record_ = packed_field_map(matrix_);
  columns_ = matrix_.check_sums();
  const auto packed = matrix_.packed_from(0);
  weights_right_.assign(packed.begin(), packed.end());
  for (std::optional<SpanCode>* code : {&code_, &code_right_}) {
    CB_TRY(SpanCode computed, SpanCode::compute(packed, CodeShape{}));
    *code = std::move(computed);
  }
  sets_.add(matrix_.activation_form());
  const std::size_t bytes = sets_.bytes(matrix_.columns(), tokens_);
  CB_TRY(quantized_, AlignedBuffer::allocate(bytes, "activations"));
  CB_TRY(quantized_again_, AlignedBuffer::allocate(bytes, "activations of checks"));
  quantize_both();
  scratch_.resize(matrix_.scratch_bytes());
  y_right_.resize(count_of(tokens_ * stride()));
  const std::size_t lanes = count_of(tokens_ * kPanelRows);
  panel_sums_right_.resize(count_of(matrix_.panels()) * lanes);
  sums_right_.resize(lanes);
  for (std::int64_t panel = 0; panel < matrix_.panels(); ++panel) {
    std::int32_t* sums = panel_sums_right_.data() + count_of(panel) * lanes;
    multiply(panel, y_right_.data(), sums);
    for (std::size_t i = 0; i < lanes; ++i) add_to(sums_right_[i], sums[i]);
  }
  y_ = y_right_;
  sums_ = sums_right_;
  const ProductCheck check = check_weights_->product(0, nullptr);
  row_weights_ = bytes_of(check.lane_weights,
                          count_of(std::min(matrix_.panels(), ProductCheck::kPeriod) * kPanelRows));
  factors_ = bytes_of(check.factors, count_of((matrix_.panels() + ProductCheck::kPeriod - 1) /
                                              ProductCheck::kPeriod));
  scale_factors_ = bytes_of(check.scale_factors, check_weights_->scale_pairs());
  list_regions();
  return select(FaultSpec{});
}

void ProductFaults::quantize(std::uint8_t* buffer) const {
  const ActivationForm form = matrix_.activation_form();
  const std::int64_t columns = matrix_.columns();
  const QuantizedActivations to = sets_.view(0, buffer, columns, tokens_);
  for (std::int64_t t = 0; t < tokens_; ++t) {
    const TokenBlock block = token_block(t, tokens_);
    const QuantizedActivations to_block = activations_from(to, form, columns, block.first);
    QuantizeArguments a;
    a.x = x_.data() + t * columns;
    a.columns = columns;
    a.form = form;
    a.width = block.width;
    a.lane = static_cast<int>(t - block.first);
    a.q = to_block.q;
    a.scales = to_block.scales;
    a.starts = to_block.starts;
    a.mins = to_block.mins;
    kernels_.quantize_activations(a);
  }
}

void ProductFaults::quantize_both() const {
  quantize(quantized_.data());
  quantize(quantized_again_.data());
}

Status ProductFaults::select(const FaultSpec& spec) {
  CB_TRY(space_, FaultSpace::select(regions_, spec));
  return {};
}

void ProductFaults::list_activations(const char* name, std::uint8_t* buffer) {
  const ActivationForm form = matrix_.activation_form();
  const std::int64_t n = matrix_.columns();
  const QuantizedActivations x = sets_.view(0, buffer, n, tokens_);
  const FieldMap& words = field_map(*find_format("I32"));
  const auto all = [&](std::int64_t a_token) { return count_of(a_token * tokens_); };
  const FieldMap& bytes = field_map(*find_format("I8"));
  const FieldMap& floats = field_map(*find_format("F32"));
  regions_.push_back({name, -1, bytes_of(x.q, all(n)), &bytes});
  regions_.push_back({name, -1, bytes_of(x.scales, all(scales_per_token(form, n))), &floats});
  regions_.push_back({name, -1, bytes_of(x.starts, all(starts_per_token(form, n))), &words});
  if (form.min_step > 0)
    regions_.push_back({name, -1, bytes_of(x.mins, all(mins_per_token(form, n))), &words});
}

void ProductFaults::list_regions() {
  const FieldMap& words = field_map(*find_format("I32"));
  const FieldMap& floats = field_map(*find_format("F32"));
  const auto packed = matrix_.packed_from(0);
  regions_ = {{kWeights, -1, bytes_of(packed.data(), packed.size()), &record_},
              {kColumns, -1, bytes_of(columns_.columns.data(), columns_.columns.size()), &words},
              {kColumns, -1, bytes_of(&columns_.constant, 1), &words},
              {kRowWeights, -1, row_weights_, &words},
              {kRowWeights, -1, factors_, &words},
              {kRowWeights, -1, scale_factors_, &words},
              {kSums, -1, bytes_of(sums_.data(), sums_.size()), &words}};
  list_activations(kActivations, quantized_.data());
  list_activations(kActivationsAgain, quantized_again_.data());
  for (std::int64_t t = 0; t < tokens_; ++t)
    regions_.push_back(
        {kResults, -1, bytes_of(y_.data() + t * stride(), count_of(matrix_.rows())), &floats});
  std::ranges::move(code_regions(*code_), std::back_inserter(regions_));
}

ActivationRows ProductFaults::rows() const {
  ActivationRows x;
  x.n_tokens = tokens_;
  x.quantized = sets_.view(0, quantized_.data(), matrix_.columns(), tokens_);
  return x;
}

/// Writes y of one panel and adds to sums [tokens][16].
void ProductFaults::multiply(std::int64_t panel, float* y, std::int32_t* sums) const {
  matrix_.multiply_checked(kernels_, rows(), panel, panel + 1, y, stride(), scratch_.data(), sums);
}

/// The whole product, of which all but `panels` are known: y_ has them.
void ProductFaults::compute(const Panels& panels) {
  sums_ = sums_right_;
  const std::size_t lanes = sums_.size();
  for (const std::int64_t panel : panels) {
    const std::int32_t* before = panel_sums_right_.data() + count_of(panel) * lanes;
    for (std::size_t i = 0; i < lanes; ++i) add_to(sums_[i], before[i], true);
    multiply(panel, y_.data(), sums_.data());
  }
}

/// What `compute` left is what all panels give.
void ProductFaults::check_shortcut() {
  std::vector<float> y(y_.size());
  std::vector<std::int32_t> sums(sums_.size());
  for (std::int64_t panel = 0; panel < matrix_.panels(); ++panel)
    multiply(panel, y.data(), sums.data());
  CB_CHECK(sums == sums_ && std::memcmp(y.data(), y_.data(), y.size() * sizeof(float)) == 0);
}

/// Both sides of every token's check, the second from the second quantization.
bool ProductFaults::sums_agree() {
  const QuantizedActivations again =
      sets_.view(0, quantized_again_.data(), matrix_.columns(), tokens_);
  bool agree = std::memcmp(quantized_.data(), quantized_again_.data(), quantized_.size()) == 0;
  for (std::int64_t t = 0; t < tokens_; ++t) {
    const TokenBlock block = token_block(t, tokens_);
    const std::int32_t other = kernels_.check_sum({.q = again.q + matrix_.columns() * block.first,
                                                   .columns = columns_.columns.data(),
                                                   .n = matrix_.columns(),
                                                   .group = matrix_.activation_form().group,
                                                   .width = block.width,
                                                   .lane = static_cast<int>(t - block.first)});
    std::uint32_t left = 0;
    for (int lane = 0; lane < kPanelRows; ++lane)
      left += static_cast<std::uint32_t>(sums_[count_of(t * kPanelRows + lane)]);
    agree = agree && left == columns_.constant + static_cast<std::uint32_t>(other);
    ++checks_;
  }
  return agree;
}

/// What the level compares after a product.
bool ProductFaults::is_noticed(const Panels& looked) {
  if (level_ < GuardLevel::check) return false;
  if (!sums_agree()) return true;
  if (level_ < GuardLevel::full) return false;
  // Panels that nothing has touched would give the second time what they gave the first.
  float again[kWidestBlock * kPanelRows];
  return std::ranges::any_of(looked, [&](std::int64_t panel) {
    return matrix_.count_different(kernels_, rows(), panel, panel + 1, y_.data(), stride(),
                                   scratch_.data(), again) > 0;
  });
}

/// One stripe, and whether nothing of it was given up. Its code is then as it was made: the code's
/// own faults are taken back with the others, and mending may have changed more.
bool ProductFaults::mend_stripe(std::uint64_t stripe) {
  const auto packed = matrix_.packed_from(0);
  const CodeGeometry& geometry = code_->geometry();
  std::vector<std::uint32_t> given_up;  // positions
  for (const MendedBlock& block :
       code_->mend_stripe(bytes_of(packed.data(), packed.size()), stripe)) {
    if (block.mend == Mend::impossible) given_up.push_back(block.position);
  }
  for (std::uint32_t position = 0; position < geometry.shape().data_blocks; ++position) {
    const std::uint64_t block = geometry.block_at(stripe, position);
    if (block >= geometry.blocks()) break;
    code_->checks()[block] = code_right_->checks()[block];
    const std::size_t at = block * kCodeBlockBytes;
    const bool same =
        std::memcmp(packed.data() + at, &weights_right_[at], geometry.block_bytes(block)) == 0;
    wrong_mend_ = wrong_mend_ || (!same && std::ranges::count(given_up, position) == 0);
  }
  for (std::uint32_t row = 0; row < geometry.shape().parity_blocks; ++row) {
    const std::uint64_t block = geometry.parity_at(stripe, row);
    code_->parity_checks()[block] = code_right_->parity_checks()[block];
    std::memcpy(&code_->parity()[block * kCodeBlockBytes],
                &code_right_->parity()[block * kCodeBlockBytes], kCodeBlockBytes);
  }
  return given_up.empty();
}

/// Weights by their parity, the check's numbers from where they came; false when too much is lost.
bool ProductFaults::mend(const Panels& panels) {
  const auto packed = matrix_.packed_from(0);
  std::vector<std::int64_t> stripes;
  for (const std::int64_t panel : panels) {
    const std::size_t begin = count_of(panel) * matrix_.panel_bytes();
    const std::size_t end = begin + matrix_.panel_bytes();
    for (std::size_t block = begin / kCodeBlockBytes; block * kCodeBlockBytes < end; ++block) {
      if (!code_->agrees(packed, block))
        stripes.push_back(static_cast<std::int64_t>(code_->geometry().stripe_of(block)));
    }
  }
  bool mended = true;
  for (const std::int64_t stripe : in_order(std::move(stripes)))
    mended = mend_stripe(static_cast<std::uint64_t>(stripe)) && mended;
  // CheckWeights::restore does the same, but moves them to another place.
  const CheckWeights drawn(seed_, matrix_.panels(), matrix_.columns());
  const ProductCheck check = drawn.product(0, nullptr);
  std::memcpy(row_weights_.data(), check.lane_weights, row_weights_.size());
  std::memcpy(factors_.data(), check.factors, factors_.size());
  std::memcpy(scale_factors_.data(), check.scale_factors, scale_factors_.size());
  std::ranges::copy(matrix_.check_sums().columns, columns_.columns.begin());
  columns_.constant = matrix_.check_sums().constant;
  return mended;
}

bool ProductFaults::is_right(const Panels& looked) const {
  return std::ranges::all_of(looked, [&](std::int64_t panel) {
    for (std::int64_t t = 0; t < tokens_; ++t) {
      const std::int64_t at = t * stride() + panel * kPanelRows;
      if (std::memcmp(y_.data() + at, y_right_.data() + at, kPanelRows * sizeof(float)) != 0)
        return false;
    }
    return true;
  });
}

void ProductFaults::put_back(const Panels& looked) {
  for (const std::int64_t panel : looked) {
    for (std::int64_t t = 0; t < tokens_; ++t)
      std::copy_n(y_right_.begin() + t * stride() + panel * kPanelRows, kPanelRows,
                  y_.begin() + t * stride() + panel * kPanelRows);
  }
  sums_ = sums_right_;
  if (std::exchange(wrong_mend_, false)) {
    const auto packed = matrix_.packed_from(0);
    std::ranges::copy(weights_right_, bytes_of(packed.data(), packed.size()).begin());
  }
}

/// All of them where a fault reaches every row.
ProductFaults::Panels ProductFaults::touched_panels(std::span<const BitPlace> places) const {
  Panels panels;
  for (const BitPlace& place : places) {
    const std::string& name = place.region->name;
    if (name == kActivations || name == kRowWeights) {
      panels.resize(count_of(matrix_.panels()));
      std::iota(panels.begin(), panels.end(), 0);
      return panels;
    }
    if (name == kWeights)
      panels.push_back(static_cast<std::int64_t>(place.bit / 8 / matrix_.panel_bytes()));
  }
  return in_order(std::move(panels));
}

ProductFaults::Panels ProductFaults::panels_of_results(std::span<const BitPlace> places) const {
  Panels panels;
  for (const BitPlace& place : places) {
    constexpr std::uint64_t kPanelBits = 8 * sizeof(float) * kPanelRows;
    if (place.region->name == kResults)
      panels.push_back(static_cast<std::int64_t>(place.bit / kPanelBits));
  }
  return panels;
}

/// After the product has been computed and hit.
Outcome ProductFaults::outcome_of(const Panels& touched, const Panels& looked) {
  if (!is_noticed(looked)) return classify(false, is_right(looked));
  quantize_both();
  compute(looked);
  if (!is_noticed(looked)) return is_right(looked) ? Outcome::corrected : Outcome::silent;
  const bool mended = mend(touched);
  quantize_both();
  compute(looked);
  const bool agrees = !is_noticed(looked);
  if (wrong_mend_ || (agrees && !is_right(looked))) return Outcome::silent;
  return classify(true, mended && agrees);
}

Outcome ProductFaults::trial(const FaultSpec& spec, std::uint64_t number) {
  CB_CHECK(spec.page_bytes == 0 && spec.burst == 1);  // they would reach panels beyond the one hit
  const std::vector<BitPlace> places = space_->draw(spec, number);
  const Panels touched = touched_panels(places);
  Panels looked = panels_of_results(places);
  looked.insert(looked.end(), touched.begin(), touched.end());
  looked = in_order(std::move(looked));
  InjectedFaults faults;
  for (const BitPlace& place : places) {
    if (!is_transient(place)) faults.add(place, spec);
  }
  compute(touched);
  if (number % kWholeEvery == 0) check_shortcut();
  InjectedFaults transient;
  for (const BitPlace& place : places) {
    if (is_transient(place)) transient.add(place, spec);
  }
  const Outcome outcome = outcome_of(touched, looked);
  transient.undo();
  faults.undo();
  put_back(looked);
  return outcome;
}

}  // namespace checkbit
