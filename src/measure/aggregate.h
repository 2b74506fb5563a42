// What a measurement keeps of one candidate: sums, sketches and a few examples, whatever the length
// of the text.
//
// What: `Aggregate` takes one `TokenScore` per scored token, closes each window, and gives figures
//   over the text (a table of blocks for the bootstrap), by position in the window, token class and
//   document, the quantiles of divergence and rank, how often a choice was kept by how sure the
//   reference was, and the changed choices where both models were surest.
// Blocks: one window each, until there are kMostBlocks; then neighbours become one, and so on.
// Units: nats, tokens, probabilities and shares (0..1). Without a reference only loss and entropy
//   of the candidate mean something.
// Memory: about 250 kB and 200 bytes a document, of which kMostDocuments are told apart.
// Threads: one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "measure/documents.h"
#include "measure/token_class.h"
#include "score/quantile_sketch.h"
#include "score/ratio_sums.h"
#include "score/statistics.h"

namespace checkbit {

/// Two models' predictions of one token.
struct TokenScore {
  bool finite = true;            ///< the candidate's row is usable
  bool reference_finite = true;  ///< the reference's
  double loss = 0;               ///< negative log likelihood of the actual token
  double reference_loss = 0;
  double divergence = 0;
  double entropy = 0;
  double reference_entropy = 0;
  double top5_kept = 0;  ///< share of the reference's five likeliest that are among the candidate's
  double top10_kept = 0;
  double reference_rank = 1;  ///< of the reference's choice in the candidate
  TokenId choice = 0;         ///< the candidate's likeliest token
  TokenId reference_choice = 0;
  double choice_probability = 0;            ///< of its own choice, in the candidate
  double reference_choice_probability = 0;  ///< of its own choice, in the reference
  double kept_probability = 0;              ///< of the reference's choice, in the candidate
};

/// Columns of the table of blocks: sums over the block's scored tokens.
enum BlockColumn : std::size_t {
  kTokens,
  kLoss,
  kReferenceLoss,
  kDivergence,
  kChanged,
  kTop5Kept,
  kTop10Kept,
  kRank,
  kEntropy,
  kReferenceEntropy,
  kProbabilitySquares,  ///< of the change of the actual token's probability
  kBlockColumns
};

/// Figures of the tokens that have something in common.
struct GroupFigures {
  std::string name;
  double tokens = 0;
  Estimate divergence;
  Estimate changed;
  Estimate loss_change;  ///< candidate minus reference, per token
};

/// A choice that changed, with what stood before it.
struct ChangedChoice {
  std::size_t window = 0;
  std::size_t position = 0;
  std::vector<TokenId> before;  ///< the last tokens of the context
  TokenId actual = 0;           ///< how the text goes on
  TokenId reference_choice = 0;
  TokenId choice = 0;
  double reference_probability = 0;  ///< that the reference gives its choice
  double probability = 0;            ///< that the candidate gives its own
};

/// Tokens where the reference gave its choice a probability in [low, high).
struct SurenessBin {
  double low = 0;
  double high = 0;
  double tokens = 0;
  double reference_probability = 0;  ///< mean
  double probability = 0;            ///< mean that the candidate gives the same token
  double kept = 0;                   ///< share of choices kept
};

/// Where a token stands.
struct TokenPlace {
  std::size_t window = 0;           ///< of the text
  std::size_t position = 0;         ///< of the prediction in the window
  std::size_t text_position = 0;    ///< of the predicted token in the text
  std::span<const TokenId> before;  ///< the window up to and with `position`
  TokenId actual = 0;
};

struct AggregateOptions {
  std::size_t first_scored = 0;  ///< positions of a window that are scored: [first, last)
  std::size_t last_scored = 0;
  const TokenClasses* classes = nullptr;  ///< none: no figures by class
  std::span<const Document> documents;    ///< outlive the aggregate
};

class Aggregate {
 public:
  static constexpr std::size_t kMostBlocks = 1024;
  static constexpr std::size_t kMostDocuments = 4096;
  static constexpr std::size_t kPositionBins = 16;
  static constexpr std::size_t kSurenessBins = 10;
  static constexpr std::size_t kExamples = 8;
  static constexpr std::size_t kExampleTokens = 24;

  explicit Aggregate(const AggregateOptions& options);
  void add(const TokenPlace& place, const TokenScore& score);
  void close_window();

  /// Sums of the window closed last.
  const std::array<double, kBlockColumns>& last_window() const { return last_window_; }
  /// [blocks, kBlockColumns]. The last block may hold fewer windows than windows_per_block().
  BlockTable blocks() const;
  std::size_t windows_per_block() const { return windows_per_block_; }
  /// Windows where the candidate's loss is above the reference's, and below it.
  std::uint64_t windows_worse() const { return windows_worse_; }
  std::uint64_t windows_better() const { return windows_better_; }
  const QuantileSketch& divergences() const { return divergences_; }
  const QuantileSketch& ranks() const { return ranks_; }
  std::vector<GroupFigures> by_position() const;
  std::vector<GroupFigures> by_class() const;
  std::vector<GroupFigures> by_document() const;
  std::vector<SurenessBin> by_sureness() const;
  /// Best first.
  std::vector<ChangedChoice> examples() const;

 private:
  struct Group {
    double tokens = 0;  ///< of the open window
    double divergence_sum = 0;
    double changed_sum = 0;
    double loss_change_sum = 0;
    RatioSums divergence;
    RatioSums changed;
    RatioSums loss_change;
    void add(const TokenScore& score, bool changed_choice);
    void close();
    GroupFigures figures(std::string name) const;
  };
  std::size_t position_bin(std::size_t position) const;
  std::size_t document_of(std::size_t text_position) const;
  void add_block();
  void keep_example(const TokenPlace& place, const TokenScore& score);

  AggregateOptions options_;
  std::array<double, kBlockColumns> window_{};
  std::array<double, kBlockColumns> last_window_{};
  std::array<double, kBlockColumns> block_{};
  std::size_t windows_in_block_ = 0;
  std::size_t windows_per_block_ = 1;
  std::vector<std::array<double, kBlockColumns>> blocks_;
  std::uint64_t windows_worse_ = 0;
  std::uint64_t windows_better_ = 0;
  QuantileSketch divergences_;
  QuantileSketch ranks_;
  std::vector<Group> positions_;
  std::vector<Group> classes_;
  std::vector<Group> documents_;
  std::vector<std::size_t> open_documents_;  ///< with tokens in the open window
  std::array<SurenessBin, kSurenessBins> sureness_{};
  std::vector<ChangedChoice> examples_;
};

}  // namespace checkbit
