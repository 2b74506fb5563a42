// The best paths around the circle of a trellis for eight scales at once, one in each lane.
// Included per instruction set by trellis.cpp; the bits are the same.

CHECKBIT_TRELLIS_TARGET TrellisCode CHECKBIT_TRELLIS_NAME(const Trellis& trellis,
                                                          const Group& group,
                                                          const std::uint8_t (&bytes)[kScales]) {
  const int states = trellis.states();
  const Scales none = Scales{} + std::numeric_limits<float>::infinity();
  Scales values[kTrellisTable], cost[kMostStates] = {}, next[kMostStates];
  Choices oldest[kTrellisWeights][kMostStates];
  Scales scales{};
  for (int lane = 0; lane < kScales; ++lane) scales[lane] = trellis_scale(bytes[lane]);
  for (int q = 0; q < kTrellisTable; ++q) values[q] = scales * trellis.value(q);
  int closed[kScales] = {};

  // Half a round and a round from anywhere, so that the end has forgotten the beginning; then, with
  // the circle closed at the state the best path comes back from, the round that counts.
  for (int step = -kTrellisWeights / 2; step < 2 * kTrellisWeights; ++step) {
    const int t = (step + kTrellisWeights) % kTrellisWeights;
    if (step == kTrellisWeights) {
      for (int lane = 0; lane < kScales; ++lane) {
        int state = 0;
        for (int s = 1; s < states; ++s) {
          if (cost[s][lane] < cost[state][lane]) state = s;
        }
        const auto forgotten = [&](int place, int s) { return oldest[place][s][lane]; };
        state = trace_path(trellis, state, forgotten, nullptr);
        closed[lane] = state;
        for (int s = 0; s < states; ++s) cost[s][lane] = s == state ? 0 : none[0];
      }
    }
    const int i = trellis_weight(t);
    const Scales x = Scales{} + group.x[i];
    const Scales w = Scales{} + group.w[i];
    for (int s = 0; s < states; ++s) {
      Scales least = none;
      Choices chosen{};
      for (int o = 0; o < trellis.codes(); ++o) {
        const int q = trellis.window_into(s, o);
        const Scales miss = x - values[q];
        const Scales total = cost[trellis.state_before(q)] + w * miss * miss;
        const Choices better = total < least;
        least = better ? total : least;
        chosen = better ? Choices{} + o : chosen;
      }
      next[s] = least;
      oldest[t][s] = chosen;
    }
    for (int s = 0; s < states; ++s) cost[s] = next[s];
  }

  int best = 0;
  for (int lane = 1; lane < kScales; ++lane) {
    if (cost[closed[lane]][lane] < cost[closed[best]][best]) best = lane;
  }
  TrellisCode code;
  code.scale = bytes[best];
  code.error = cost[closed[best]][best];
  const auto forgotten = [&](int place, int s) { return oldest[place][s][best]; };
  trace_path(trellis, closed[best], forgotten, code.codes.data());
  return code;
}

#undef CHECKBIT_TRELLIS_TARGET
#undef CHECKBIT_TRELLIS_NAME
