"""What the measurements are held to. A bar reads the figures of one model and says whether it holds.

Bars: a name, its goal in words, and a function (Figures) -> Verdict or None where it does not apply.
"""

import statistics
from dataclasses import dataclass

from programs import CACHES, DEEP, GENERATION, PEAK, PROMPT, SEQUENCES, SHARE, START, TOGETHER
from steps import AVX2, OURS, VNNI

TYPE_PREFIX = "type-"  # models of type_models.py
SMALLEST, LARGEST = "smollm2-135m", "qwen2.5-coder-1.5b"
BANDWIDTH_GOAL, SMALLEST_RATIO_GOAL = 0.92, 1.8
PROMPT_GOAL, AVX2_GOAL, AMX_GOAL, DEPTH_GOAL, TOGETHER_GOAL = 2.0, 1.2, 1.3, 1.5, 5.0
START_GOALS = {SMALLEST: 0.2, LARGEST: 1.0}
MEMORY_MARGIN_BYTES = 64_000_000
AMX_BAR, TOGETHER_BAR = "prompt of 512, AMX", f"{SEQUENCES} sequences"


@dataclass(frozen=True)
class Ratio:
    """Of two figures, round by round."""

    what: str  # the peer, or what else stands below
    rounds: tuple

    @property
    def median(self):
        """Over rounds."""
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class Figures:
    """One model's measurements: (program label, figure) to the values of the rounds."""

    model: str
    values: dict
    planned_bytes: float = 0  # packed weights and KV cache of the run whose peak was measured

    @property
    def peers(self):
        """Labels, in the order they were measured; without those held to AVX2."""
        labels = dict.fromkeys(label for label, _ in self.values)
        return [label for label in labels if not label.startswith(OURS) and not label.endswith(AVX2)]

    def median(self, label, name):
        """None when it was not measured."""
        rounds = self.values.get((label, name))
        return statistics.median(rounds) if rounds else None

    def best(self, name, peers=None):
        """The peer with the highest median; None when none was measured."""
        measured = [peer for peer in (peers or self.peers) if self.values.get((peer, name))]
        return max(measured, key=lambda peer: self.median(peer, name), default=None)

    def over(self, above, below, what):
        """(label, name) over (label, name), in pairs where both were measured equally often."""
        mine, theirs = self.values.get(above), self.values.get(below)
        if not mine or not theirs:
            return None
        if len(mine) != len(theirs):
            mine = [statistics.median(mine)] * len(theirs)
        return Ratio(what, tuple(a / b for a, b in zip(mine, theirs, strict=True)))

    def ratio(self, name, ours=OURS, peers=None):
        """Ours over the best peer's."""
        peer = self.best(name, peers)
        return peer and self.over((ours, name), (peer, name), peer)


@dataclass(frozen=True)
class Verdict:
    """Whether a bar holds and the figures that say so."""

    holds: bool
    figure: str
    ratio: str = ""  # with its spread


def spread(rounds, form):
    """The median in a form such as "{:.2f}", in brackets the smallest and the largest where there are several."""
    middle = form.format(statistics.median(rounds))
    return middle if len(rounds) < 2 else f"{middle} ({form.format(min(rounds))}-{form.format(max(rounds))})"


def words_of(ratio):
    """A ratio with its spread."""
    return f"{spread(ratio.rounds, '{:.2f}')} of {ratio.what}"


def rate(figures, name, label=OURS):
    """Tokens per second with the spread."""
    rounds = figures.values[label, name]
    return f"{spread(rounds, '{:,.0f}' if min(rounds) >= 100 else '{:.1f}')} tokens/s"


def generation(figures):
    """The share of the bandwidth, and the peers."""
    shares, ratio = figures.values.get((OURS, SHARE)), figures.ratio(GENERATION)
    if not shares or ratio is None:
        return None
    share = statistics.median(shares)
    holds = share >= BANDWIDTH_GOAL and ratio.median > 1
    if figures.model == SMALLEST:
        holds = holds or ratio.median >= SMALLEST_RATIO_GOAL
    words = f"{spread(shares, '{:.0%}')} of the bandwidth, {rate(figures, GENERATION)}"
    return Verdict(holds, words, words_of(ratio))


def at_least(name, goal, ours=OURS, peers=None):
    """A bar on the ratio of a figure to the best peer's."""

    def bar(figures):
        ratio = figures.ratio(name, ours, peers)
        return ratio and Verdict(ratio.median >= goal, rate(figures, name, ours), words_of(ratio))

    return bar


def amx(figures):
    """Against the same program without tiles, where the processor has them."""
    ratio = figures.over((OURS, PROMPT), (OURS + VNNI, PROMPT), "AVX-512 VNNI")
    return ratio and Verdict(ratio.median >= AMX_GOAL, rate(figures, PROMPT), words_of(ratio))


def together(figures):
    """Several sequences against one, of the same process."""
    ratio = figures.over((OURS, TOGETHER), (OURS, GENERATION), "one sequence")
    return ratio and Verdict(ratio.median >= TOGETHER_GOAL, rate(figures, TOGETHER), words_of(ratio))


def start(figures):
    """Seconds to the first token."""
    rounds, goal = figures.values.get((OURS, START)), START_GOALS.get(figures.model)
    if not rounds or goal is None:
        return None
    return Verdict(statistics.median(rounds) < goal, f"{spread(rounds, '{:.3g}')} s")


def memory(figures):
    """Peak over weights and cache."""
    peak = figures.median(OURS, PEAK)
    if peak is None or not figures.planned_bytes:
        return None
    beyond = peak - figures.planned_bytes
    words = f"peak {peak / 1e6:,.0f} MB, {beyond / 1e6:+.0f} MB beyond weights and cache"
    return Verdict(beyond <= MEMORY_MARGIN_BYTES, words)


def no_slower(figures):
    """Prompt and generation of a type, both."""
    ratios = [figures.ratio(name) for name in (PROMPT, GENERATION)]
    if None in ratios:
        return None
    holds = min(ratio.median for ratio in ratios) >= 1
    figure = f"prompt {rate(figures, PROMPT)}, generation {rate(figures, GENERATION)}"
    return Verdict(holds, figure, f"prompt {words_of(ratios[0])}, generation {words_of(ratios[1])}")


BARS = (
    ("generation", "92 % of the bandwidth and faster than every peer; 135M: or 1.8 times", generation),
    ("prompt of 512", "2 times the best peer", at_least(PROMPT, PROMPT_GOAL)),
    ("prompt of 512, AVX2", "1.2 times the peer built for AVX2",
     at_least(PROMPT, AVX2_GOAL, OURS + AVX2, ("llama.cpp" + AVX2,))),
    (AMX_BAR, "1.3 times the same program held to AVX-512 VNNI", amx),
    *((f"at 8,192 tokens, {cache} cache", "1.5 times the best peer", at_least(DEEP[cache], DEPTH_GOAL))
      for cache in CACHES),
    (TOGETHER_BAR, "5 times the tokens of one", together),
    ("first token", "under 0.2 s for 135M, 1 s for 1.5B", start),
    ("memory", "at most weights + cache + 64 MB", memory),
)  # fmt: skip
TYPE_BARS = (("one type", "no slower than the best peer", no_slower),)


def judge(figures):
    """(bar, goal, verdict) of every bar that was measured for a model."""
    bars = TYPE_BARS if figures.model.startswith(TYPE_PREFIX) else BARS
    found = [(name, goal, bar(figures)) for name, goal, bar in bars]
    return [row for row in found if row[2] is not None]
