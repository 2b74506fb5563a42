// The text that calibration uses unless the user names another: data/calibration_text.txt, embedded
// by cmake/embed_text.cmake.
#pragma once

namespace checkbit {

extern const char* const kCalibrationText;

}  // namespace checkbit
