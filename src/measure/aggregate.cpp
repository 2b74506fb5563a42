#include "measure/aggregate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace checkbit {
namespace {

void add_to(std::array<double, kBlockColumns>& sums,
            const std::array<double, kBlockColumns>& more) {
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += more[i];
}

/// How sure both models are of what they choose: what makes a changed choice worth looking at.
double sureness(const ChangedChoice& example) {
  return example.reference_probability * example.probability;
}

}  // namespace

void Aggregate::Group::add(const TokenScore& score, bool changed_choice) {
  tokens += 1;
  divergence_sum += score.divergence;
  changed_sum += changed_choice ? 1 : 0;
  loss_change_sum += score.loss - score.reference_loss;
}

void Aggregate::Group::close() {
  divergence.add(divergence_sum, tokens);
  changed.add(changed_sum, tokens);
  loss_change.add(loss_change_sum, tokens);
  tokens = divergence_sum = changed_sum = loss_change_sum = 0;
}

GroupFigures Aggregate::Group::figures(std::string name) const {
  return {.name = std::move(name),
          .tokens = divergence.weight(),
          .divergence = divergence.estimate(),
          .changed = changed.estimate(),
          .loss_change = loss_change.estimate()};
}

Aggregate::Aggregate(const AggregateOptions& options) : options_(options) {
  CB_CHECK(options.first_scored < options.last_scored);
  positions_.resize(std::min(kPositionBins, options.last_scored - options.first_scored));
  if (options.classes != nullptr) classes_.resize(kTokenClasses);
  documents_.resize(std::min(kMostDocuments, options.documents.size()));
  for (std::size_t i = 0; i < kSurenessBins; ++i) {
    sureness_[i].low = static_cast<double>(i) / kSurenessBins;
    sureness_[i].high = static_cast<double>(i + 1) / kSurenessBins;
  }
}

std::size_t Aggregate::position_bin(std::size_t position) const {
  const std::size_t scored = options_.last_scored - options_.first_scored;
  CB_CHECK(position >= options_.first_scored && position < options_.last_scored);
  return (position - options_.first_scored) * positions_.size() / scored;
}

std::size_t Aggregate::document_of(std::size_t text_position) const {
  const auto after =
      std::ranges::upper_bound(options_.documents, text_position, {}, &Document::first_token);
  const auto index = static_cast<std::size_t>(after - options_.documents.begin());
  return std::min(index == 0 ? 0 : index - 1, documents_.size() - 1);
}

void Aggregate::add(const TokenPlace& place, const TokenScore& score) {
  const bool changed = score.choice != score.reference_choice;
  const double shift = std::exp(-score.loss) - std::exp(-score.reference_loss);
  add_to(window_, {1, score.loss, score.reference_loss, score.divergence, changed ? 1.0 : 0.0,
                   score.top5_kept, score.top10_kept, score.reference_rank, score.entropy,
                   score.reference_entropy, shift * shift});
  divergences_.add(score.divergence);
  ranks_.add(score.reference_rank);
  positions_[position_bin(place.position)].add(score, changed);
  if (!classes_.empty()) {
    const TokenClass kind = options_.classes->of(place.before.back(), place.actual);
    classes_[static_cast<std::size_t>(kind)].add(score, changed);
  }
  if (!documents_.empty()) {
    const std::size_t document = document_of(place.text_position);
    if (documents_[document].tokens == 0) open_documents_.push_back(document);
    documents_[document].add(score, changed);
  }
  const auto bin = static_cast<std::size_t>(score.reference_choice_probability * kSurenessBins);
  SurenessBin& sure = sureness_[std::min(bin, kSurenessBins - 1)];
  sure.tokens += 1;
  sure.reference_probability += score.reference_choice_probability;
  sure.probability += score.kept_probability;
  sure.kept += changed ? 0 : 1;
  if (changed) keep_example(place, score);
}

void Aggregate::keep_example(const TokenPlace& place, const TokenScore& score) {
  ChangedChoice example{.window = place.window,
                        .position = place.position,
                        .before = {},
                        .actual = place.actual,
                        .reference_choice = score.reference_choice,
                        .choice = score.choice,
                        .reference_probability = score.reference_choice_probability,
                        .probability = score.choice_probability};
  // One of each window, so that they come from all over the text.
  auto rival = std::ranges::find(examples_, example.window, &ChangedChoice::window);
  if (rival == examples_.end() && examples_.size() == kExamples) {
    rival = std::ranges::min_element(examples_, {}, sureness);
  }
  if (rival != examples_.end() && sureness(*rival) >= sureness(example)) return;
  const auto before = place.before.last(std::min<std::size_t>(kExampleTokens, place.before.size()));
  example.before.assign(before.begin(), before.end());
  if (rival == examples_.end()) {
    examples_.push_back(std::move(example));
  } else {
    *rival = std::move(example);
  }
}

void Aggregate::close_window() {
  for (Group& group : positions_) group.close();
  for (Group& group : classes_) group.close();
  for (const std::size_t document : open_documents_) documents_[document].close();
  open_documents_.clear();
  windows_worse_ += window_[kLoss] > window_[kReferenceLoss] ? 1 : 0;
  windows_better_ += window_[kLoss] < window_[kReferenceLoss] ? 1 : 0;
  add_to(block_, window_);
  last_window_ = window_;
  window_ = {};
  windows_in_block_ += 1;
  if (windows_in_block_ == windows_per_block_) add_block();
}

void Aggregate::add_block() {
  blocks_.push_back(block_);
  block_ = {};
  windows_in_block_ = 0;
  if (blocks_.size() < kMostBlocks) return;
  for (std::size_t i = 0; i < kMostBlocks / 2; ++i) {
    blocks_[i] = blocks_[2 * i];
    add_to(blocks_[i], blocks_[2 * i + 1]);
  }
  blocks_.resize(kMostBlocks / 2);
  windows_per_block_ *= 2;
}

BlockTable Aggregate::blocks() const {
  BlockTable table(kBlockColumns);
  for (const auto& block : blocks_) table.add(block);
  if (windows_in_block_ > 0) table.add(block_);
  return table;
}

std::vector<GroupFigures> Aggregate::by_position() const {
  std::vector<GroupFigures> figures;
  const std::size_t scored = options_.last_scored - options_.first_scored;
  const std::size_t bins = positions_.size();
  // The first position of a bin is the least p with p * bins / scored == bin.
  const auto begin = [&](std::size_t bin) {
    return options_.first_scored + (bin * scored + bins - 1) / bins;
  };
  for (std::size_t bin = 0; bin < bins; ++bin) {
    // A prediction at position p is of token p + 1 of the window, counted from 1: p + 2.
    const std::size_t first = begin(bin) + 2;
    const std::size_t last = begin(bin + 1) + 1;
    figures.push_back(positions_[bin].figures(
        first == last ? fmt::format("{}", first) : fmt::format("{} to {}", first, last)));
  }
  return figures;
}

std::vector<GroupFigures> Aggregate::by_class() const {
  std::vector<GroupFigures> figures;
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    if (classes_[i].divergence.blocks() == 0) continue;
    figures.push_back(classes_[i].figures(std::string(to_string(static_cast<TokenClass>(i)))));
  }
  return figures;
}

std::vector<GroupFigures> Aggregate::by_document() const {
  std::vector<GroupFigures> figures;
  for (std::size_t i = 0; i < documents_.size(); ++i) {
    if (documents_[i].divergence.blocks() == 0) continue;
    const bool rest = i + 1 == kMostDocuments && options_.documents.size() > kMostDocuments;
    figures.push_back(
        documents_[i].figures(rest ? "all later documents" : options_.documents[i].title));
  }
  return figures;
}

std::vector<SurenessBin> Aggregate::by_sureness() const {
  std::vector<SurenessBin> bins;
  for (SurenessBin bin : sureness_) {
    if (bin.tokens == 0) continue;
    bin.reference_probability /= bin.tokens;
    bin.probability /= bin.tokens;
    bin.kept /= bin.tokens;
    bins.push_back(bin);
  }
  return bins;
}

std::vector<ChangedChoice> Aggregate::examples() const {
  std::vector<ChangedChoice> sorted = examples_;
  std::ranges::stable_sort(sorted, std::ranges::greater(), sureness);
  return sorted;
}

}  // namespace checkbit
