"""How figures are written: in tables of the terminal and of the page alike."""

import statistics

import programs
from programs import BANDWIDTH, DEEP, GENERATION, PEAK, PROMPT, SHARE, START, TOGETHER
from roofline import figure
from steps import OURS

ROWS = (
    (PROMPT, "prompt, tokens/s", 1),
    (GENERATION, "generation, tokens/s", 1),
    (TOGETHER, "8 sequences, tokens/s", 1),
    (DEEP["f16"], "at 8,192 tokens, f16 cache, tokens/s", 1),
    (DEEP["q8_0"], "at 8,192 tokens, 8-bit cache, tokens/s", 1),
    (START, "first token, s", 1),
    (PEAK, "peak memory, MB", 1e6),
    (BANDWIDTH, "reading a buffer, GB/s", 1e9),
    (SHARE, "share of that", 1),
)


def spread(rounds, scale):
    """Median with smallest and largest."""
    scaled = [value / scale for value in rounds]
    middle = figure(statistics.median(scaled))
    return middle if len(scaled) < 2 else f"{middle} ({figure(min(scaled))}-{figure(max(scaled))})"


def table_rows(figures):
    """Labels of the columns, then a row per figure: its title, a cell per program, the ratio."""
    labels = [label for label in (OURS, *figures.peers) if any(key[0] == label for key in figures.values)]
    yield ["", *labels, "ratio to the best peer"]
    for name, title, scale in ROWS:
        cells = [figures.values.get((label, name)) for label in labels]
        if any(cells):
            ratio = figures.ratio(name) if programs.UNITS[name] == "tokens/s" else None
            texts = [spread(rounds, scale) if rounds else "" for rounds in cells]
            yield [title, *texts, f"{ratio.median:.2f}" if ratio else ""]


def print_rows(title, rows):
    """In columns, figures to the right; nothing without a row below the head."""
    if len(rows) < 2:
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print(f"\n{title}")
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  " + "  ".join(cells).rstrip())


def print_bars(verdicts, failures):
    """Each with goal, figure and ratio."""
    print("\nBars (median, with the smallest and the largest round)")
    for bar in verdicts:
        held = "holds " if bar["holds"] else "MISSED"
        found = "; ".join(words for words in (bar["found"], bar["ratio"]) if words)
        print(f"  {held}  {bar['model']}, {bar['bar']}: {found}. Goal: {bar['goal']}")
    for words in failures:
        print(f"  not measured: {words}")
