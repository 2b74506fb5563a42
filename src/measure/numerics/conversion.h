// Does a converted file behave as its source? Tensor by tensor, and step by step.
//
// What: `check_tensors` compares names, shapes and decoded values. A unit is a block of the
//   converted format, or 64 values of a plain one. It is
//     same      when both files hold the same values,
//     rounded   when it is what encoding the source's values in that format gives, bit for bit, or
//               at most kSlack times as far from them (encoders that weigh columns round
//               differently), and
//     damaged   otherwise: named with its tensor, number, row and first column.
//   `check_steps` runs both over the same tokens with float activations. Before each step of the
//   converted model its inputs are those that the source had, so that a step differs only by its
//   own weights; the first step that differs more than its weights do is named. `compare_metadata`
//   lists keys that are missing, new or different, tokenizer keys among them.
// Errors: those of opening and reading; what the check finds is a result, not an error.
// Threads: one check at a time; the pool of the converted session decodes.
// Reference: "Analysis of Failures and Risks in Deep Learning Model Converters: A Case Study in the
//   ONNX Ecosystem", which finds wrong behaviour without any error the commonest failure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "run/session.h"

namespace checkbit {

struct DamagedUnit {
  std::uint64_t unit = 0;  ///< number of the block within the tensor
  std::uint64_t row = 0;
  std::uint64_t column = 0;  ///< of its first value
  double error = 0;          ///< root mean square of the difference
  double expected = 0;       ///< what rounding would have left
};

enum class TensorState { same, rounded, damaged, missing, added, reshaped };
std::string_view to_string(TensorState state);

struct TensorCheck {
  std::string name;
  TensorState state = TensorState::same;
  std::string source_format;  ///< "" when missing there
  std::string converted_format;
  double relative_error = 0;  ///< of all values, by rounding or not
  double rounding_error = 0;  ///< the same, of plain rounding alone
  std::uint64_t damaged_units = 0;
  std::optional<DamagedUnit> first_damage;
};

Result<std::vector<TensorCheck>> check_tensors(const ModelFile& source, const ModelFile& converted,
                                               ThreadPool& pool);

struct MetadataDifference {
  std::string key;
  std::string source;  ///< its value in short, "" when missing
  std::string converted;
};

/// Without what a conversion has to change: file type, quantization version, checkbit.*.
std::vector<MetadataDifference> compare_metadata(const Metadata& source, const Metadata& converted);

struct StepCheck {
  std::string name;  ///< "layer 7 ffn_down"
  double error = 0;  ///< relative, of its outputs
  double allowed = 0;
};

struct OutputCheck {
  std::size_t steps = 0;
  std::optional<StepCheck> first_difference;
  StepCheck worst;        ///< of those within what is allowed
  double divergence = 0;  ///< KL of the logits, each model on its own, nats a token
  std::size_t changed_choices = 0;
  std::size_t tokens = 0;
};

/// `source` and `converted` are sessions with float activations of one architecture.
Result<OutputCheck> check_steps(Session& source, Session& converted,
                                std::span<const TokenId> tokens,
                                const std::vector<TensorCheck>& tensors);

}  // namespace checkbit
