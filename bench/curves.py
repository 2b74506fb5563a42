"""Curves over a logarithmic axis as SVG, with intervals: what faults do to a model.

Follows the reader's dark mode; every curve has a shape and its name at its end as well as a colour.
"""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

from roofline import HEIGHT, STYLE, WIDTH, text

LEFT, RIGHT, TOP, BOTTOM = 64, 500, 56, 330
TONES = ("#0b6285", "#b14a0c", "#6b5b95", "#2f7d4f", "#9a2f55", "#7a6a1f", "#3f4f9f", "#555b63")
DARK_TONES = ("#6cb9d9", "#ef9a62", "#b9a7e6", "#7fcf9f", "#ec8fb0", "#d8c56b", "#98a8f2", "#b4bac4")
LABEL_PIXELS = 15  # least distance of two names


@dataclass(frozen=True)
class Point:
    """A value with its interval, if there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Axis:
    """From low to high; logarithmic ones in whole decades."""

    low: float
    high: float
    begin: float  # pixels
    end: float
    logarithmic: bool = True

    def place(self, value):
        """Pixels, inside the axis."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.begin + (self.end - self.begin) * share

    def ticks(self):
        """Round figures."""
        if not self.logarithmic:
            return [self.low + (self.high - self.low) * i / 4 for i in range(5)]
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        return [10.0**power for power in range(first, last + 1, max(1, (last - first) // 6))]


def decades(values):
    """The whole decades that hold them."""
    return 10.0 ** math.floor(math.log10(min(values))), 10.0 ** math.ceil(math.log10(max(values)))


def style():
    """That of the rooflines, with more tones."""
    light = "".join(f"--line{i}: {tone}; " for i, tone in enumerate(TONES))
    dark = "".join(f"--line{i}: {tone}; " for i, tone in enumerate(DARK_TONES))
    lines = "".join(
        f".line{i} {{ stroke: var(--line{i}); }} .name{i} {{ fill: var(--line{i}); font-weight: 600; }}\n"
        for i in range(len(TONES))
    )
    return (
        f"{STYLE}svg {{ {light}}}\n@media (prefers-color-scheme: dark) {{ svg {{ {dark}}} }}\n"
        ".curve { fill: none; stroke-width: 2; }\n.whisker { stroke-width: 1; opacity: 0.6; }\n" + lines
    )


def mark(index, x, y):
    """A small shape of its own for each curve."""
    paint = f'fill="var(--line{index})"'
    if index % 3 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" {paint}/>'
    turn = f' transform="rotate(45 {x:.1f} {y:.1f})"' if index % 3 == 2 else ""
    return f'<rect x="{x - 2.8:.1f}" y="{y - 2.8:.1f}" width="5.6" height="5.6" {paint}{turn}/>'


def names(curves, axis):
    """Heights for the names at the right, near the ends of their curves and clear of each other."""
    ends = sorted((axis.place(points[-1].y), index) for index, points in enumerate(curves.values()))
    heights, floor = {}, -math.inf
    for height, index in ends:
        heights[index] = floor = max(height, floor + LABEL_PIXELS)
    excess = max(0, floor - BOTTOM)
    return {index: height - excess for index, height in heights.items()}


def picture(title, x_name, y_name, curves, linear=None):
    """`curves`: lists of points by name. `linear`: (low, high) of y in place of a logarithmic axis."""
    points = [point for curve in curves.values() for point in curve]
    x_axis = Axis(*decades([point.x for point in points]), LEFT, RIGHT)
    positive = [point.y for point in points if point.y > 0] or [1]
    low, high = linear or decades([max(min(positive), 1e-7), max(positive)])
    y_axis = Axis(low, high, BOTTOM, TOP, linear is None)
    said = "; ".join(
        f"{name}: " + ", ".join(f"{point.y:.2g} at {point.x:.2g}" for point in curve) for name, curve in curves.items()
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}: {escape(said)}</title>",
        f"<style>{style()}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="var(--paper)"/>',
        text(LEFT, 18, title, kind="title"),
        text(LEFT, TOP - 14, y_name),
        text((LEFT + RIGHT) / 2, BOTTOM + 40, x_name, "middle"),
    ]
    for tick in y_axis.ticks():
        y = y_axis.place(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>')
        parts.append(text(LEFT - 8, y + 4, f"{tick:.2g}", "end"))
    for tick in x_axis.ticks():
        parts.append(text(x_axis.place(tick), BOTTOM + 18, f"{tick:.0e}".replace("e-0", "e-"), "middle"))
    heights = names(curves, y_axis)
    for index, (name, curve) in enumerate(curves.items()):
        path = " ".join(f"{x_axis.place(point.x):.1f},{y_axis.place(point.y):.1f}" for point in curve)
        parts.append(f'<polyline class="curve line{index}" points="{path}"/>')
        for point in curve:
            x = x_axis.place(point.x)
            if point.low is not None:
                low_y, high_y = y_axis.place(point.low), y_axis.place(point.high)
                parts.append(f'<path class="whisker line{index}" d="M{x:.1f} {low_y:.1f}V{high_y:.1f}"/>')
            parts.append(mark(index, x, y_axis.place(point.y)))
        parts.append(text(RIGHT + 10, heights[index] + 4, name, "start", f"name{index}"))
    return "\n".join(parts + ["</svg>"]) + "\n"
