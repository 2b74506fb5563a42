// Rounding blocks of CT2 and CT3: the path around the trellis of least loss under a metric.
//
// What: Viterbi's search, where each path that is still open knows its own errors, so that what
// they
//   ask of later weights under the metric counts when paths are compared. The metric is factored
//   anew in the order of the circle. The scale, and the state at which the circle is closed, are
//   those of the format's encoder.
// Threads: one coder per thread.
#pragma once

#include "formats/trellis.h"
#include "quantize/rounding/block_coder.h"

namespace checkbit {

class TrellisCoder : public BlockCoder {
 public:
  TrellisCoder(const Format& format, const Trellis& trellis) : format_(format), trellis_(trellis) {}

  int unit_elements() const override { return 1; }
  void round(const BlockMetric& metric, const float* center, int rows, std::uint8_t* blocks,
             float* values, float* loss) override;

 private:
  const Format& format_;
  const Trellis& trellis_;
};

}  // namespace checkbit
