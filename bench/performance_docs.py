#!/usr/bin/env python3
"""Writes docs/performance.md and its pictures from what bench_run.py measured.

    make performance-docs     # after make bench-run; reads out/bench/results.json
"""

import argparse
import json
import os
import statistics

import programs
import roofline
from bars import NOT_MEASURED, TYPE_PREFIX
from bench_run import REPOSITORY, ROWS, spread
from programs import (
    BANDWIDTH,
    BYTES_PER_TOKEN,
    GENERATION,
    PEAK_PRODUCTS,
    PRODUCTS_PER_TOKEN,
    PROMPT,
    SHARE,
)

DOCUMENT = os.path.join(REPOSITORY, "docs", "performance.md")
OURS = "Checkbit"


class Results:
    """The file of bench_run.py, looked up by model, program and figure."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        self.environment, self.bars = content["environment"], content["bars"]
        self.records = {(r["model"], r["program"], r["name"]): r for r in content["records"]}
        self.models = list(dict.fromkeys(model for model, _, _ in self.records))

    def programs(self, model):
        """In the order of the table, ours first; those held to AVX2 have a bar of their own."""
        names = dict.fromkeys(program for of, program, _ in self.records if of == model)
        return [name for name in names if not name.endswith("AVX2")]

    def value(self, model, program, name):
        """The median, or None."""
        record = self.records.get((model, program, name))
        return record and record["value"]

    def ratio(self, model, name):
        """Ours over the best peer's, the median of the rounds; None when one is missing."""
        mine = self.records.get((model, OURS, name))
        peers = [self.records.get((model, peer, name)) for peer in self.programs(model) if peer != OURS]
        peers = [peer for peer in peers if peer]
        if not mine or not peers:
            return None
        best = max(peers, key=lambda peer: peer["value"])
        pairs = zip(mine["rounds"], best["rounds"], strict=False)
        return statistics.median(a / b for a, b in pairs)


def picture_of(results, model):
    """The roofline of a model as SVG, or None without the bandwidth."""
    bandwidth, weights = (results.value(model, OURS, name) for name in (BANDWIDTH, BYTES_PER_TOKEN))
    if not bandwidth or not weights:
        return None
    peak, products = (results.value(model, OURS, name) for name in (PEAK_PRODUCTS, PRODUCTS_PER_TOKEN))
    arithmetic = peak / products if peak and products else float("inf")
    roof = roofline.Roof(bandwidth / weights, arithmetic)
    points = []
    for tone, program in zip(roofline.TONES, results.programs(model), strict=False):
        for tokens, name in ((1, GENERATION), (programs.PROMPT_TOKENS, PROMPT)):
            speed = results.value(model, program, name)
            if not speed:
                continue
            share = None
            if program == OURS:  # in pairs where there are pairs
                paired = results.value(model, OURS, SHARE) if name == GENERATION else None
                share = paired or speed / roof.at(tokens)
            points.append(roofline.Point(program, tokens, speed, tone, share))
    return roofline.picture(model, points, roof)


def table_of(results, model):
    """The figures of a model as Markdown."""
    names = results.programs(model)
    yield "| | " + " | ".join(names) + " | ratio to the best peer |"
    yield "|---|" + "---:|" * (len(names) + 1)
    for name, title, scale in ROWS:
        records = [results.records.get((model, program, name)) for program in names]
        if not any(records):
            continue
        cells = [spread(record["rounds"], scale) if record else "" for record in records]
        ratio = results.ratio(model, name) if programs.UNITS[name] == "tokens/s" else None
        yield f"| {title} | " + " | ".join(cells) + f" | {f'{ratio:.2f}' if ratio else ''} |"


def commands_of(results, model):
    """What was run for a model, once each."""
    found = [record["command"] for (of, _, _), record in results.records.items() if of == model]
    return list(dict.fromkeys(found))


def environment_lines(results):
    """The machine, one fact a line."""
    for key, value in results.environment.items():
        words = f"{value:.2g}" if isinstance(value, float) else str(value)
        yield f"- {key.replace('_', ' ')}: {words}"


def document(results, pictures):
    """The page."""
    yield "# Performance"
    yield ""
    yield "Written by `make performance-docs` from what `make bench-run` measured; do not edit."
    yield ""
    yield "Programs took turns, model by model and round by round, on the same files with the same threads. A figure is the median over rounds, with the smallest and the largest; a ratio is the median of the rounds' ratios to the best peer. The bandwidth is that of reading a buffer as large as the weights of one token with the same threads, alternating with generating; its share is the median over these pairs."
    yield ""
    yield "## The machine"
    yield ""
    yield from environment_lines(results)
    yield ""
    yield "## Bars"
    yield ""
    yield "| model | bar | goal | found | |"
    yield "|---|---|---|---|---|"
    for bar in results.bars:
        words = "holds" if bar["holds"] else "**missed**"
        yield f"| {bar['model']} | {bar['bar']} | {bar['goal']} | {bar['found']} | {words} |"
    yield ""
    yield f"Not measured: {'; '.join(NOT_MEASURED)}."
    for model in results.models:
        yield ""
        yield f"## {model}"
        yield ""
        yield from table_of(results, model)
        if model in pictures:
            yield ""
            yield f"![Roofline of {model}]({pictures[model]})"
        yield ""
        yield "```"
        yield from commands_of(results, model)
        yield "```"


def type_lines(path):
    """The table of one model per type, where bench-types has been run."""
    if not os.path.exists(path):
        return
    results = Results(path)
    yield ""
    yield "## Every type, in the layer shape of the 1.5B model"
    yield ""
    yield "Random weights in six layers of that shape (`make bench-types`); tokens per second, and the ratio to the best peer."
    yield ""
    yield "| type | prompt of 512 | ratio | generation | ratio |"
    yield "|---|---:|---:|---:|---:|"
    for model in results.models:
        cells = [model.removeprefix(TYPE_PREFIX)]
        for name in (PROMPT, GENERATION):
            record, ratio = results.records.get((model, OURS, name)), results.ratio(model, name)
            cells += [spread(record["rounds"], 1) if record else "", f"{ratio:.2f}" if ratio else ""]
        yield "| " + " | ".join(cells) + " |"


def main():
    """Command line."""
    folder = os.path.join(REPOSITORY, "out", "bench")
    default = os.path.join(folder, "results.json")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", default=default)
    parser.add_argument("-o", "--output", default=DOCUMENT, help="the page; pictures go to images/ beside it")
    options = parser.parse_args()
    results, pictures = Results(options.results), {}
    images = os.path.join(os.path.dirname(os.path.abspath(options.output)), "images")
    os.makedirs(images, exist_ok=True)
    for model in results.models:
        drawn = picture_of(results, model)
        if drawn:
            pictures[model] = f"images/roofline-{model}.svg"
            with open(os.path.join(images, f"roofline-{model}.svg"), "w", encoding="utf-8") as file:
                file.write(drawn)
    with open(options.output, "w", encoding="utf-8") as file:
        lines = [*document(results, pictures), *type_lines(os.path.join(folder, "types.json"))]
        file.write("\n".join(lines) + "\n")
    print(options.output)


if __name__ == "__main__":
    main()
