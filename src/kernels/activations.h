// Quantized activations: their form and their layout in memory.
//
// What: tokens stand in blocks of 16, then 8, 4 and 1 (token_block), interleaved inside a block by
//   groups of columns, so that a product reads the activations of a whole tile as one stream. In a
//   block of `width` tokens, token i has
//     q       byte   [columns / group][width][group]
//                    at (column / group * width + i) * group + column % group
//     scales  float  [columns / group][width]   at (column / group) * width + i
//     starts  int32  [columns / sub][width]     -offset * (sum of q over the sub-group)
//     mins    4 bytes [columns / min_step][width], by `mins`:
//       sums   float: (sum of q over the scale group) * scale
//       pairs  two int16: sums of q over two sub-groups, or over one and zero
//   A block begins at first_token times what one token takes.
// Threads: constants and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/format.h"

namespace checkbit {

/// What a product asks of its activations; matrices with equal forms share one quantized copy.
struct ActivationForm {
  enum class Mins { none, sums, pairs };
  int group = 0;   ///< activations under one scale
  int sub = 0;     ///< columns of a sub-group
  int offset = 0;  ///< subtracted from the weights' q
  Mins mins = Mins::none;
  int min_step = 0;      ///< columns that one entry of `mins` stands for; 0 without mins
  int sums_per_min = 0;  ///< of `pairs`: sub-groups in one entry, 1 or 2
  bool operator==(const ActivationForm&) const = default;
};

constexpr ActivationForm activation_form(const IntegerForm& form) {
  ActivationForm a{
      .group = form.activation_elements, .sub = form.sub_elements, .offset = form.q_offset};
  if (!form.has_min) return a;
  a.mins = form.has_sub_min ? ActivationForm::Mins::pairs : ActivationForm::Mins::sums;
  a.sums_per_min = form.has_sub_min && form.scale_elements > form.sub_elements ? 2 : 1;
  a.min_step = form.has_sub_min ? a.sums_per_min * form.sub_elements : form.scale_elements;
  return a;
}

/// 4-byte entries that one token of `columns` takes beside its bytes.
constexpr std::int64_t scales_per_token(const ActivationForm& form, std::int64_t columns) {
  return columns / form.group;
}
constexpr std::int64_t starts_per_token(const ActivationForm& form, std::int64_t columns) {
  return columns / form.sub;
}
constexpr std::int64_t mins_per_token(const ActivationForm& form, std::int64_t columns) {
  return form.min_step == 0 ? 0 : columns / form.min_step;
}
inline constexpr int kWidestBlock = 16;

struct TokenBlock {
  std::int64_t first = 0;
  int width = 0;  ///< 16, 8, 4 or 1
};

/// The block of `token` in a batch of n_tokens.
constexpr TokenBlock token_block(std::int64_t token, std::int64_t n_tokens) {
  for (const int width : {kWidestBlock, 8, 4}) {
    if (token < n_tokens / width * width) return {token / width * width, width};
  }
  return {token, 1};
}

/// Activations of n_tokens tokens, quantized to 8 bits (-127..127).
struct QuantizedActivations {
  std::int8_t* q = nullptr;
  float* scales = nullptr;
  std::int32_t* starts = nullptr;
  std::int32_t* mins = nullptr;  ///< not read without mins
};

/// What `token`, the first of a block, and those after it begin with.
constexpr QuantizedActivations activations_from(const QuantizedActivations& x,
                                                const ActivationForm& form, std::int64_t columns,
                                                std::int64_t token) {
  return {x.q + columns * token, x.scales + scales_per_token(form, columns) * token,
          x.starts + starts_per_token(form, columns) * token,
          x.mins + mins_per_token(form, columns) * token};
}

/// Quantizes one token into its place in a block: pointers are those of the block. same_activations
/// does it again and only reads: whether all that stands there is what comes out.
struct QuantizeArguments {
  const float* x = nullptr;  ///< [columns]
  std::int64_t columns = 0;  ///< a multiple of form.group
  ActivationForm form;
  int width = 1;
  int lane = 0;  ///< the token's place in the block
  std::int8_t* q = nullptr;
  float* scales = nullptr;
  std::int32_t* starts = nullptr;
  std::int32_t* mins = nullptr;
};

/// The distinct forms that matrices with one input ask for, and where their activations lie in one
/// buffer.
class ActivationSets {
 public:
  static constexpr int kMost = 8;  ///< linear steps of one input: query, key, value are three
  void add(const ActivationForm& form) {
    if (find(form) < 0 && n_ < kMost) forms_[n_++] = form;
  }
  int size() const { return n_; }
  const ActivationForm& form(int i) const { return forms_[i]; }
  /// Its number, or -1.
  int find(const ActivationForm& form) const {
    for (int i = 0; i < n_; ++i) {
      if (forms_[i] == form) return i;
    }
    return -1;
  }
  std::size_t bytes(std::int64_t columns, std::int64_t tokens) const {
    std::size_t sum = 0;
    for (int i = 0; i < n_; ++i) sum += set_bytes(forms_[i], columns, tokens);
    return sum;
  }
  /// Set `i` in `buffer`, which holds bytes(columns, tokens).
  QuantizedActivations view(int i, std::uint8_t* buffer, std::int64_t columns,
                            std::int64_t tokens) const {
    for (int before = 0; before < i; ++before) buffer += set_bytes(forms_[before], columns, tokens);
    const ActivationForm& form = forms_[i];
    const auto take = [&](std::int64_t bytes) {
      std::uint8_t* at = buffer;
      buffer += rounded(bytes * tokens);
      return at;
    };
    QuantizedActivations view;
    view.q = reinterpret_cast<std::int8_t*>(take(columns));
    view.scales = reinterpret_cast<float*>(take(4 * scales_per_token(form, columns)));
    view.starts = reinterpret_cast<std::int32_t*>(take(4 * starts_per_token(form, columns)));
    view.mins = reinterpret_cast<std::int32_t*>(take(4 * mins_per_token(form, columns)));
    return view;
  }

 private:
  static std::size_t rounded(std::int64_t bytes) {
    return static_cast<std::size_t>((bytes + 63) / 64 * 64);
  }
  static std::size_t set_bytes(const ActivationForm& form, std::int64_t columns,
                               std::int64_t tokens) {
    return rounded(columns * tokens) + rounded(4 * scales_per_token(form, columns) * tokens) +
           rounded(4 * starts_per_token(form, columns) * tokens) +
           rounded(4 * mins_per_token(form, columns) * tokens);
  }
  ActivationForm forms_[kMost];
  int n_ = 0;
};

}  // namespace checkbit
