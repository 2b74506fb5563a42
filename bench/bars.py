"""What the measurements are held to. A bar reads the figures of one model and says whether it holds.

Bars: a name, its goal in words, and a function (Figures) -> Verdict or None where it does not apply.
"""

import statistics
from dataclasses import dataclass

from programs import DEEP_GENERATION, GENERATION, PEAK, PROMPT, SHARE, START

TYPE_PREFIX = "type-"  # models of type_models.py
SMALLEST, LARGEST = "smollm2-135m", "qwen2.5-coder-1.5b"
BANDWIDTH_GOAL, SMALLEST_RATIO_GOAL = 0.92, 1.8
PROMPT_GOAL, AVX2_GOAL, DEPTH_GOAL = 2.0, 1.2, 1.5
START_GOALS = {SMALLEST: 0.2, LARGEST: 1.0}
MEMORY_MARGIN_BYTES = 64_000_000


@dataclass(frozen=True)
class Ratio:
    """Ours over the best peer's, round by round."""

    peer: str
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
    ours: str
    peers: tuple
    planned_bytes: float  # packed weights and KV cache of the run whose peak was measured

    def median(self, label, name):
        """None when it was not measured."""
        rounds = self.values.get((label, name))
        return statistics.median(rounds) if rounds else None

    def ratio(self, name, ours=None, peers=None):
        """Against the peer with the highest median; None when one side was not measured."""
        rounds = self.values.get((ours or self.ours, name))
        medians = {peer: self.median(peer, name) for peer in (self.peers if peers is None else peers)}
        medians = {peer: median for peer, median in medians.items() if median}
        if not rounds or not medians:
            return None
        best = max(medians, key=medians.get)
        pairs = zip(rounds, self.values[best, name], strict=False)
        return Ratio(best, tuple(mine / theirs for mine, theirs in pairs))


@dataclass(frozen=True)
class Verdict:
    """Whether a bar holds and the figures that say so."""

    holds: bool
    words: str


def words_of(ratio):
    """A ratio with its spread."""
    spread = f"{min(ratio.rounds):.2f} to {max(ratio.rounds):.2f}"
    return f"{ratio.median:.2f} of {ratio.peer} ({spread})"


def generation(figures):
    """The share of the bandwidth, and the peers."""
    share, ratio = figures.median(figures.ours, SHARE), figures.ratio(GENERATION)
    if share is None or ratio is None:
        return None
    holds = share >= BANDWIDTH_GOAL and ratio.median > 1
    if figures.model == SMALLEST:
        holds = holds or ratio.median >= SMALLEST_RATIO_GOAL
    return Verdict(holds, f"{share:.0%} of the bandwidth, {words_of(ratio)}")


def at_least(name, goal):
    """A bar on the ratio of a figure to the best peer's."""

    def bar(figures):
        ratio = figures.ratio(name)
        return ratio and Verdict(ratio.median >= goal, words_of(ratio))

    return bar


def avx2_prompt(figures):
    """Both held to AVX2."""
    ratio = figures.ratio(PROMPT, "Checkbit, AVX2", ("llama.cpp, AVX2",))
    return ratio and Verdict(ratio.median >= AVX2_GOAL, words_of(ratio))


def start(figures):
    """Seconds to the first token."""
    seconds, goal = figures.median(figures.ours, START), START_GOALS.get(figures.model)
    if seconds is None or goal is None:
        return None
    return Verdict(seconds < goal, f"{seconds:.2f} s")


def memory(figures):
    """Peak over weights and cache."""
    peak = figures.median(figures.ours, PEAK)
    if peak is None or not figures.planned_bytes:
        return None
    beyond = peak - figures.planned_bytes
    return Verdict(beyond <= MEMORY_MARGIN_BYTES, f"{beyond / 1e6:+.0f} MB beyond weights and cache")


def no_slower(figures):
    """Prompt and generation of a type, both."""
    ratios = [figures.ratio(name) for name in (PROMPT, GENERATION)]
    if None in ratios:
        return None
    words = f"prompt {words_of(ratios[0])}, generation {words_of(ratios[1])}"
    return Verdict(min(ratio.median for ratio in ratios) >= 1, words)


BARS = (
    ("generation", "92 % of the bandwidth and faster than every peer; 135M: or 1.8 times", generation),
    ("prompt of 512", "2 times the best peer", at_least(PROMPT, PROMPT_GOAL)),
    ("prompt of 512, AVX2", "1.2 times the peer built for AVX2", avx2_prompt),
    ("at 8,192 tokens", "1.5 times the best peer", at_least(DEEP_GENERATION, DEPTH_GOAL)),
    ("first token", "0.2 s for 135M, 1 s for 1.5B", start),
    ("memory", "weights + cache + 64 MB", memory),
)


# Goals that no measure here stands for.
NOT_MEASURED = (
    "8 sequences at once, 5 times the tokens of one",
    "prompt with AMX, 1.3 times our own AVX-512 VNNI",
)
TYPE_BARS = (("one type", "no slower than the best peer", no_slower),)


def judge(figures):
    """(bar, goal, verdict) of every bar that was measured for a model."""
    bars = TYPE_BARS if figures.model.startswith(TYPE_PREFIX) else BARS
    found = [(name, goal, bar(figures)) for name, goal, bar in bars]
    return [row for row in found if row[2] is not None]
