"""Roofline pictures as SVG: tokens per second over tokens per pass over the weights.

Below the slanted roof memory is the limit (weights are read once per pass), below the flat one
arithmetic is. Follows the reader's dark mode; each program has a shape as well as a colour.
"""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 384
LEFT, RIGHT, TOP, BOTTOM = 64, 616, 84, 330
LEGEND_Y, LETTER_PIXELS = 42, 7
X_LOW, X_HIGH = 0.6, 900
X_TICKS = (1, 8, 64, 512)
LABEL_PIXELS = 16  # least distance of two labels
TICKS = (1, 2, 5)  # of every power of ten
STYLE = """
svg { --paper: #fbfaf7; --ink: #1b1d21; --soft: #5b616b; --rule: #dfdcd4;
  --tone0: #0b6285; --tone1: #b14a0c; --tone2: #6b5b95; }
@media (prefers-color-scheme: dark) { svg { --paper: #14171a; --ink: #e8e6e1; --soft: #a2a8b1;
  --rule: #30363d; --tone0: #6cb9d9; --tone1: #ef9a62; --tone2: #b9a7e6; } }
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
  fill: var(--soft); font-variant-numeric: tabular-nums; }
.title { font-size: 14px; font-weight: 600; fill: var(--ink); }
.grid { stroke: var(--rule); }
.roof { fill: none; stroke: var(--ink); stroke-width: 2; }
.tone0 { fill: var(--tone0); font-weight: 600; }
.tone1 { fill: var(--tone1); }
.tone2 { fill: var(--tone2); }
.halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
"""


@dataclass(frozen=True)
class Point:
    """A program's speed with a number of tokens per pass."""

    label: str
    tokens: float
    speed: float  # tokens per second
    tone: int  # of STYLE and SHAPES
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
        self.low, self.high = min(values) * 0.45, max(values) * 1.6

    def x(self, tokens):
        """Pixels from the left."""
        return LEFT + (RIGHT - LEFT) * math.log(tokens / X_LOW) / math.log(X_HIGH / X_LOW)

    def y(self, speed):
        """Pixels from the top."""
        share = math.log(speed / self.low) / math.log(self.high / self.low)
        return BOTTOM - (BOTTOM - TOP) * share

    def ticks(self):
        """Round figures."""
        for power in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))):
            yield from (step * 10**power for step in TICKS if self.low < step * 10**power < self.high)


def text(x, y, words, anchor="start", kind=""):
    """A line of text."""
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{attribute}>{escape(words)}</text>'


def figure(value):
    """Three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def grid(axes):
    """Rules, their figures and the names of the axes."""
    for tick in axes.ticks():
        y = axes.y(tick)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        yield text(LEFT - 8, y + 4, figure(tick), "end")
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
    width, height = axes.x(end) - axes.x(start), axes.y(roof.memory * start) - axes.y(roof.memory * end)
    x, y = axes.x(start) + width / 2, axes.y(roof.memory * end) + height / 2
    words = text(0, -8, "limit: reading the weights", "middle", "halo")
    yield f'<g transform="translate({x:.1f} {y:.1f}) rotate({-math.degrees(math.atan2(height, width)):.1f})">{words}</g>'


def shape(tone, x, y):
    """A mark: a disc, a square or a diamond."""
    size = (5.5, 4.5, 4.5)[tone]
    paint = f'fill="var(--tone{tone})" stroke="var(--paper)"'
    if tone == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" {paint}/>'
    turn = f' transform="rotate(45 {x:.1f} {y:.1f})"' if tone == 2 else ""
    return (f'<rect x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size}" height="{2 * size}" '
            f'{paint}{turn}/>')  # fmt: skip


def legend(points):
    """Shapes with names, in a row below the title."""
    x = LEFT
    for tone, label in sorted({(point.tone, point.label) for point in points}):
        yield shape(tone, x + 5, LEGEND_Y - 4)
        yield text(x + 16, LEGEND_Y, label)
        x += 36 + LETTER_PIXELS * len(label)


def label_heights(points, axes):
    """A height for each point's label, near it and clear of the others."""
    heights = {}
    ceiling = -math.inf
    for point in sorted(points, key=lambda point: -point.speed):  # ours keeps its place, below the roof
        heights[point] = max(axes.y(point.speed), ceiling + LABEL_PIXELS)
        ceiling = heights[point]
    return heights


def marks(points, axes):
    """Marks with labels, those of one number of tokens beside each other."""
    for tokens in sorted({point.tokens for point in points}):
        group = [point for point in points if point.tokens == tokens]
        right = axes.x(tokens) < (LEFT + RIGHT) / 2
        for point, height in reversed(label_heights(group, axes).items()):  # the fastest on top
            x, y = axes.x(tokens), axes.y(point.speed)
            yield shape(point.tone, x, y)
            share = "" if point.share is None else f", {point.share:.0%} of the limit"
            words = f"{figure(point.speed)}{share}"
            yield text(x + (12 if right else -12), height + 4, words, "start" if right else "end", f"halo tone{point.tone}")


def picture(title, points, roof):
    """The whole picture."""
    axes = Axes([point.speed for point in points] + [roof.at(point.tokens) for point in points])
    figures = "; ".join(f"{p.label} {figure(p.speed)} tokens/s with {p.tokens} in a pass" for p in points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}: {escape(figures)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="var(--paper)"/>',
        text(LEFT, 18, title, kind="title"),
        *legend(points),
        *grid(axes),
        *roof_path(axes, roof),
        *marks(points, axes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
