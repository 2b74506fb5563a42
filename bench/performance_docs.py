#!/usr/bin/env python3
"""Writes docs/performance.md and its pictures from what bench_run.py measured.

    make performance-docs     # after make bench-run; reads out/bench/results.json and types.json

What people have to say about it (bench/notes.md) becomes part of the page.
"""

import argparse
import json
import os

import programs
import roofline
import tables
from bars import AMX_BAR, TOGETHER_BAR, TYPE_PREFIX, Figures
from bench_run import REPOSITORY
from programs import BANDWIDTH, GENERATION, PEAK_PRODUCTS, PRODUCTS_PER_TOKEN, PROMPT, SHARE
from steps import OURS

DOCUMENT = os.path.join(REPOSITORY, "docs", "performance.md")
NOTES = os.path.join(REPOSITORY, "bench", "notes.md")
# By bar: the profile that shows why it is missed, the phase of it, and the tokens of that phase.
PHASES = {
    "generation": (programs.PROFILE, "generation", programs.GENERATED_TOKENS),
    "prompt of 512": (programs.PROFILE, "prompt", programs.PROMPT_TOKENS),
    "prompt of 512, AVX2": (programs.AVX2_PROFILE, "prompt", programs.PROMPT_TOKENS),
    **{
        f"at 8,192 tokens, {cache} cache": (programs.DEEP_PROFILE[cache], "generation", programs.GENERATED_TOKENS)
        for cache in programs.CACHES
    },
}
# Tokens in one pass over the weights, and the figure.
PASSES = ((1, GENERATION), (programs.SEQUENCES, programs.TOGETHER), (programs.PROMPT_TOKENS, PROMPT))
LEAST_SHARE = 0.01  # of the time; operations below are left out


class Results:
    """The file of bench_run.py."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        self.environment, self.builds, self.bars = (content[key] for key in ("environment", "builds", "bars"))
        self.profiles, self.failures = content["profiles"], content["failures"]
        self.records = content["records"]
        self.models = {model: self.figures(model) for model in dict.fromkeys(r["model"] for r in self.records)}

    def figures(self, model):
        """Of one model."""
        rounds = {(r["program"], r["name"]): r["rounds"] for r in self.records if r["model"] == model}
        return Figures(model, rounds)

    def commands(self):
        """What was run, once each, the model left open; in the order of programs."""
        found = [(r["program"], r["command"].replace(r["model"] + ".gguf", "MODEL")) for r in self.records]
        return list(dict.fromkeys(found))


def products_of_prompt(figures, profiles):
    """Multiply-adds of one token of a prompt: the last matrix is needed for the last token alone."""
    if programs.PROFILE not in profiles:
        return figures.median(OURS, PRODUCTS_PER_TOKEN)
    operations = profiles[programs.PROFILE][programs.PROFILE]["prompt"]
    return sum(operation["products"] for operation in operations) / programs.PROMPT_TOKENS


def picture_of(figures, profiles):
    """The roofline of a model as SVG, or None without the bandwidth."""
    speed, share, peak = (figures.median(OURS, name) for name in (GENERATION, SHARE, PEAK_PRODUCTS))
    products = products_of_prompt(figures, profiles)
    if not speed or not share:
        return None
    # From the pairs: the speed of memory changes within seconds, theirs is the one that generating met.
    roof = roofline.Roof(speed / share, peak / products if peak and products else float("inf"))
    points = []
    for tone, program in enumerate((OURS, "llama.cpp", "ik_llama.cpp")):
        variants = [label for label in (OURS, *figures.peers) if label.split(",")[0] == program]
        for tokens, name in PASSES:
            label = figures.best(name, variants) if variants else None
            if label is None:
                continue
            speed = figures.median(label, name)
            share = None
            if program == OURS:
                share = speed / roof.at(tokens)
            points.append(roofline.Point(program, tokens, speed, tone, share))
    return roofline.picture(figures.model, points, roof)


def table(head, rows, right=()):
    """Markdown; columns of `right` stand to the right."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join("---:" if i in right else "---" for i in range(len(head))) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def bars_lines(results):
    """The table of bars, bar by bar."""
    yield "## Bars"
    yield ""
    order = list(dict.fromkeys(bar["bar"] for bar in results.bars))
    found = sorted(results.bars, key=lambda bar: order.index(bar["bar"]))
    rows, before = [], None
    for bar in found:  # what repeats stands once
        named = (bar["bar"], bar["goal"]) if bar["bar"] != before else ("", "")
        held = "holds" if bar["holds"] else "**missed**"
        rows.append((*named, bar["model"], bar["found"], bar["ratio"], held))
        before = bar["bar"]
    yield from table(("bar", "goal", "model", "Checkbit", "ratio", ""), rows)
    yield ""
    if AMX_BAR not in order:
        yield f"Not measured: {AMX_BAR}, for want of a processor that has it."
    for words in results.failures:
        yield f"Not measured: {words}"


def model_lines(results, pictures):
    """Per model, the picture and the figures."""
    yield "## Each model"
    yield ""
    yield "The pictures show tokens per second over the tokens that are computed in one pass over the weights: one in generation, 8 when 8 sequences generate together, 512 in a prompt. Under the slanted line, reading the weights is the limit; under the flat one, 8-bit multiply-adds are. Both were measured in the same run; the slanted one stands where generating met the memory in pairs with reading a buffer."
    for model, figures in results.models.items():
        yield ""
        yield f"### {model}"
        yield ""
        if model in pictures:
            yield f"![Roofline of {model}: Checkbit, its peers and the limits]({pictures[model]})"
            yield ""
        head, *rows = tables.table_rows(figures)
        yield from table(head, rows, right=range(1, len(head)))


def type_lines(path):
    """The table of one model per type, where bench-types has been run."""
    yield "## Every type, in the layer shape of the 1.5B model"
    yield ""
    if not os.path.exists(path):
        yield "Not measured (`make bench-types`)."
        return
    results = Results(path)
    yield f"Random weights in six layers of that shape (`make bench-types`): a prompt of {programs.TYPE_PROMPT_TOKENS}, {programs.TYPE_GENERATED_TOKENS} tokens generated; tokens per second, and the ratio to the best peer."
    yield ""
    rows = []
    for model, figures in results.models.items():
        cells = [model.removeprefix(TYPE_PREFIX)]
        for name in (PROMPT, GENERATION):
            rounds, ratio = figures.values.get((OURS, name)), figures.ratio(name)
            cells += [
                tables.spread(rounds, 1) if rounds else "",
                f"{ratio.median:.2f}" if ratio else "",
                ratio.what if ratio else "",
            ]
        rows.append(cells)
    head = ("type", "prompt", "ratio", "best peer", "generation", "ratio", "best peer")
    yield from table(head, rows, right=(1, 2, 4, 5))
    missed = [bar["model"].removeprefix(TYPE_PREFIX) for bar in results.bars if not bar["holds"]]
    yield ""
    yield f"Slower than the best peer in one of both: {', '.join(missed) or 'none'}."
    for words in results.failures:
        yield f"\nNot measured: {words}"


def limit_of(operation, profile, phase):
    """The limit that an operation comes nearest to, in words, and its share of it."""
    if phase == "prompt" and not operation["products"]:
        return ""  # floats, not bytes, are what attention waits for
    seconds = operation["seconds"]
    shares = {
        "bandwidth": operation["bytes"] / seconds / profile[BANDWIDTH],
        "8-bit products": operation["products"] / seconds / profile[PEAK_PRODUCTS],
    }
    name = max(shares, key=shares.get)
    return f"{shares[name]:.0%} of {name}" if shares[name] else ""


def profile_rows(profile, phase, tokens):
    """The operations that take time, the longest first."""
    operations = profile[programs.PROFILE][phase]
    total = sum(operation["seconds"] for operation in operations)
    for operation in sorted(operations, key=lambda operation: -operation["seconds"]):
        share = operation["seconds"] / total
        if share >= LEAST_SHARE:
            microseconds = 1e6 * operation["seconds"] / tokens
            name = operation["operation"].replace("+", ", ")
            yield name, f"{microseconds:,.1f}", f"{share:.0%}", limit_of(operation, profile, phase), operation["kernel"]


def together_lines(results):
    """How far a pass of several sequences is from both limits, where its bar is missed."""
    for bar in results.bars:
        if bar["bar"] != TOGETHER_BAR or bar["holds"]:
            continue
        figures = results.models[bar["model"]]
        names = (programs.TOGETHER, GENERATION, SHARE, PRODUCTS_PER_TOKEN, PEAK_PRODUCTS)
        speed, one, share, products, peak = (figures.median(OURS, name) for name in names)
        read = speed / programs.SEQUENCES / one * share  # one sequence reads the weights once a token
        yield f"- {bar['model']}: {read:.0%} of the bandwidth, {speed * products / peak:.0%} of the 8-bit products"


def missed_lines(results):
    """For each missed bar that a profile explains, which operation is how far from its limit."""
    found = {
        (bar["model"], bar["bar"]): results.profiles.get(bar["model"], {}).get(PHASES[bar["bar"]][0])
        for bar in results.bars
        if not bar["holds"] and bar["bar"] in PHASES
    }
    if any(found.values()):
        yield ""
        yield "## Where the time goes where a bar is missed"
        yield ""
        yield "From `checkbit bench MODEL --profile --json`, per token; the share is of the limit that the operation comes nearest to. The bandwidth was read seconds before the profile, and caches keep some of what is read: a share may pass 100 %. Arithmetic in floats, of which attention in a prompt consists, has no limit here."
    for (model, bar), profile in found.items():
        if not profile:
            continue
        _, phase, tokens = PHASES[bar]
        yield ""
        yield f"### {model}, {bar}"
        yield ""
        head = ("operation", "µs", "time", "share of its limit", "kernel")
        yield from table(head, profile_rows(profile, phase, tokens), right=(1, 2))
    together = list(together_lines(results))
    if together:
        yield ""
        yield f"A pass of {TOGETHER_BAR} where that bar is missed:"
        yield ""
        yield from together


def notes_lines():
    """What people wrote, as it is."""
    if not os.path.exists(NOTES):
        return
    with open(NOTES, encoding="utf-8") as file:
        yield ""
        yield file.read().strip()


def machine_lines(results):
    """Machine, programs and commands."""
    yield "## Machine, programs, commands"
    yield ""
    for key, value in results.environment.items():
        words = f"{value:.2g}" if isinstance(value, float) else str(value)
        yield f"- {key.replace('_', ' ')}: {words}"
    for program, build in results.builds.items():
        yield f"- {program}: build {build}"
    yield ""
    yield "```"
    yield from dict.fromkeys(command for _, command in results.commands())
    yield "```"


def document(results, pictures, types):
    """The page."""
    yield "# Performance"
    yield ""
    yield "Written by `make performance-docs` from what `make bench-run` and `make bench-types` measured; do not edit. Words by hand come from bench/notes.md."
    yield ""
    yield "Programs took turns, model by model and round by round, on the same files with the same threads. A figure is the median over rounds, in brackets the smallest and the largest; a ratio is the median of the rounds' ratios to the best peer, which is the one with the highest median, ik_llama.cpp with and without repacking at load. The bandwidth is that of reading a buffer as large as what one token reads with the same threads, alternating with generating; its share is the median over these pairs."
    for lines in (bars_lines(results), model_lines(results, pictures), type_lines(types)):
        yield ""
        yield from lines
    yield from missed_lines(results)
    yield from notes_lines()
    yield ""
    yield from machine_lines(results)


def main():
    """Command line."""
    folder = os.path.join(REPOSITORY, "out", "bench")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", default=os.path.join(folder, "results.json"))
    parser.add_argument("--types", default=os.path.join(folder, "types.json"), help="of make bench-types")
    parser.add_argument("-o", "--output", default=DOCUMENT, help="the page; pictures go to images/ beside it")
    options = parser.parse_args()
    if not os.path.exists(options.results):
        raise SystemExit(f"performance_docs: {options.results} is not there: make bench-run writes it")
    results, pictures = Results(options.results), {}
    images = os.path.join(os.path.dirname(os.path.abspath(options.output)), "images")
    os.makedirs(images, exist_ok=True)
    for model, figures in results.models.items():
        drawn = picture_of(figures, results.profiles.get(model, {}))
        if drawn:
            pictures[model] = f"images/roofline-{model}.svg"
            with open(os.path.join(images, f"roofline-{model}.svg"), "w", encoding="utf-8") as file:
                file.write(drawn)
    with open(options.output, "w", encoding="utf-8") as file:
        file.write("\n".join(document(results, pictures, options.types)) + "\n")
    print(options.output)


if __name__ == "__main__":
    main()
