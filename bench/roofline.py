"""Roofline pictures as SVG: tokens per second over tokens per pass over the weights.

Below the slanted roof memory is the limit (weights are read once per pass), below the flat one
arithmetic is. Follows the reader's dark mode; figures stand beside marks, so that colour is never
the only carrier.
"""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 616, 44, 322
X_LOW, X_HIGH = 0.6, 900
X_TICKS = (1, 8, 64, 512)
LABEL_PIXELS = 16  # least distance of two labels
TONES = ("ours", "peer0", "peer1", "peer2")
STYLE = """
svg { --paper: #fbfaf7; --ink: #1b1d21; --soft: #5b616b; --rule: #dfdcd4;
  --ours: #0b6285; --peer0: #b14a0c; --peer1: #d99a6c; --peer2: #6d6a63; }
@media (prefers-color-scheme: dark) { svg { --paper: #14171a; --ink: #e8e6e1; --soft: #a2a8b1;
  --rule: #30363d; --ours: #6cb9d9; --peer0: #ef9a62; --peer1: #a3673f; --peer2: #8f8b82; } }
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  fill: var(--soft); font-variant-numeric: tabular-nums; }
.title { font-size: 14px; font-weight: 600; fill: var(--ink); }
.grid { stroke: var(--rule); }
.roof { fill: none; stroke: var(--ink); stroke-width: 2; }
.halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
"""


@dataclass(frozen=True)
class Point:
    """A program's speed with a number of tokens per pass."""

    label: str
    tokens: float
    speed: float  # tokens per second
    tone: str  # one of TONES
    share: float | None = None  # of the limit, where it is stated


@dataclass(frozen=True)
class Roof:
    """What the machine allows, in tokens per second."""

    memory: float  # with one token per pass
    arithmetic: float = math.inf

    def at(self, tokens):
        """The lower of both."""
        return min(self.memory * tokens, self.arithmetic)


class Axes:
    """Logarithmic on both sides; heights follow the values shown."""

    def __init__(self, values):
        self.low = 10 ** math.floor(math.log10(min(values) * 0.8))
        self.high = max(values) * 1.6

    def x(self, tokens):
        """Pixels from the left."""
        return LEFT + (RIGHT - LEFT) * math.log(tokens / X_LOW) / math.log(X_HIGH / X_LOW)

    def y(self, speed):
        """Pixels from the top."""
        share = math.log(speed / self.low) / math.log(self.high / self.low)
        return BOTTOM - (BOTTOM - TOP) * share

    def ticks(self):
        """Powers of ten."""
        tick = self.low
        while tick <= self.high:
            yield tick
            tick *= 10


def text(x, y, words, anchor="start", kind=""):
    """A line of text."""
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{attribute}>{escape(words)}</text>'


def grid(axes):
    """Rules, their figures and the names of the axes."""
    for tick in axes.ticks():
        y = axes.y(tick)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        yield text(LEFT - 8, y + 4, f"{tick:,.0f}", "end")
    for tick in X_TICKS:
        yield text(axes.x(tick), BOTTOM + 18, str(tick), "middle")
    yield text((LEFT + RIGHT) / 2, BOTTOM + 40, "tokens computed in one pass over the weights", "middle")
    yield text(LEFT, TOP - 12, "tokens per second", "start")


def roof_path(axes, roof):
    """The roof and its names."""
    bend = min(X_HIGH, roof.arithmetic / roof.memory)
    start, end = max(X_LOW, axes.low / roof.memory), min(bend, axes.high / roof.memory)
    path = f"M{axes.x(start):.1f} {axes.y(roof.memory * start):.1f}"
    path += f"L{axes.x(end):.1f} {axes.y(roof.memory * end):.1f}"
    if bend < X_HIGH:
        path += f"H{RIGHT}"
        yield text(RIGHT, axes.y(roof.arithmetic) - 8, "limit: 8-bit arithmetic", "end", "halo")
    yield f'<path class="roof" d="{path}"/>'
    middle = math.sqrt(max(1, start) * end)
    x, y = axes.x(middle), axes.y(roof.memory * middle)
    yield text(x + 10, y + 8, "limit: reading the weights", kind="halo")


def label_heights(points, axes):
    """A height for each point's label, near it and clear of the others."""
    heights = {}
    floor = math.inf
    for point in sorted(points, key=lambda point: point.speed):
        heights[point] = min(axes.y(point.speed), floor - LABEL_PIXELS)
        floor = heights[point]
    return heights


def marks(points, axes):
    """Marks with labels, those of one number of tokens beside each other."""
    for tokens in sorted({point.tokens for point in points}):
        group = [point for point in points if point.tokens == tokens]
        right = axes.x(tokens) < (LEFT + RIGHT) / 2
        for point, height in label_heights(group, axes).items():
            x, y = axes.x(tokens), axes.y(point.speed)
            radius = 6 if point.tone == "ours" else 5
            yield (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="var(--{point.tone})" '
                   'stroke="var(--paper)"/>')  # fmt: skip
            share = "" if point.share is None else f", {point.share:.0%} of the limit"
            words = f"{point.label} {point.speed:,.0f}{share}"
            yield text(x + (12 if right else -12), height + 4, words, "start" if right else "end", "halo")


def picture(title, points, roof):
    """The whole picture."""
    axes = Axes([point.speed for point in points] + [roof.at(point.tokens) for point in points])
    figures = "; ".join(f"{p.label} {p.speed:,.0f} tokens/s at {p.tokens}" for p in points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}: {escape(figures)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="var(--paper)"/>',
        text(LEFT, 18, title, kind="title"),
        *grid(axes),
        *roof_path(axes, roof),
        *marks(points, axes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
