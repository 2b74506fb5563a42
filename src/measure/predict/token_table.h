// What a reference says before each token of a text, and what became of it in the low-bit model.
//
// What: both models read the text in windows, as compare.h cuts them. For every scored position the
//   table keeps what the reference knows (its distribution in a few numbers, the size of its
//   residual stream at every layer, the kind of token just read) and the outcome (how far the
//   low-bit model's distribution moved, whether its choice changed, its loss). Predictors read the
//   first part of every row, and outcomes of training rows only.
// Units: nats; residual sizes are natural logarithms of root mean squares over a token's elements.
// Memory: 52 bytes + 4 per layer a scored token; --windows bounds it.
// Errors: as compare.h: budget for a text that is too short, invalid, corrupt for logits that are
//   not finite (names the model, window and position), cancelled.
// Threads: one collection uses its models alone.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "arch/executor.h"
#include "measure/compare.h"

namespace checkbit {

struct TokenRow {
  // What the reference knows before the next token.
  float entropy = 0;
  float top_log_probability = 0;
  float margin = 0;  ///< log probability of its first choice minus that of its second
  std::uint32_t window = 0;
  std::uint32_t position = 0;  ///< in the window, of the token just read
  TokenId read = 0;
  TokenId choice = 0;                           ///< the reference's most likely next token
  TokenClass read_class = TokenClass::other;    ///< of the token just read
  TokenClass choice_class = TokenClass::other;  ///< of the choice
  std::uint32_t document = 0;                   ///< number of its document, 0 without documents
  bool seen_before = false;                     ///< the token just read stood earlier in the window
  // The text's next token, and what both models made of it.
  float reference_loss = 0;
  float loss = 0;
  float divergence = 0;              ///< KL(reference || low-bit)
  float choice_log_probability = 0;  ///< of the reference's choice, in the low-bit model
  bool changed = false;              ///< its choice is not the reference's
  bool wrong = false;                ///< its choice is not the text's next token
};

struct TokenTable {
  std::vector<TokenRow> rows;    ///< window after window
  std::vector<float> residuals;  ///< [rows][layers]: size of the stream that enters each layer
  std::size_t layers = 0;
  std::size_t windows = 0;
  std::size_t context_tokens = 0;
  std::vector<std::string> documents;  ///< titles, empty without documents

  std::span<const float> residual(std::size_t row) const {
    return std::span<const float>(residuals).subspan(row * layers, layers);
  }
};

/// Sizes of the residual stream, layer by layer, of the tokens that an executor evaluates: an
/// observer of the norms that layers begin with.
class ResidualMeter : public StepObserver {
 public:
  explicit ResidualMeter(std::size_t layers) : sizes_(layers) {}
  void before(const StepView& view) override;
  void clear();
  std::size_t layers() const { return sizes_.size(); }
  std::size_t tokens() const { return sizes_.empty() ? 0 : sizes_[0].size(); }
  /// Of the token that was evaluated as number `token` since clear().
  float size(std::size_t layer, std::size_t token) const { return sizes_[layer][token]; }

 private:
  std::vector<std::vector<float>> sizes_;  ///< [layers][tokens]
};

/// `meter` observes the reference's executor. Precondition: options.classes is given.
Result<TokenTable> collect_tokens(LogitsSource& model, LogitsSource& reference,
                                  ResidualMeter& meter, std::span<const TokenId> tokens,
                                  const CompareOptions& options);

}  // namespace checkbit
