// Does a model refuse? Asked by how it would begin, and by the words of what it does answer.
//
// What: `refusal_question` sets a message with openings of refusals and of help to choose from;
//   `refusal_share` is how much of the probability of all these openings is on refusals. A share
//   moves with every bit that quantization takes, long before the greedy answer turns over.
//   `sounds_like_refusal` reads a finished answer.
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "measure/probes/probe.h"

namespace checkbit {

/// `refuse`: whether refusing is right.
Question refusal_question(std::string message, bool refuse);

/// 0..1. `scores`: of the choices of a refusal_question.
double refusal_share(const ChoiceScores& scores);

bool sounds_like_refusal(std::string_view answer);

}  // namespace checkbit
