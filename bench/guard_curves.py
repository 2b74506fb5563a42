#!/usr/bin/env python3
"""Curves of damage over bit error rate, per format and field; pictures and a table for docs/guard.md.

    make guard-curves        # makes the files, damages them (hours; goes on where it stopped), draws
    make guard-pictures      # draws from out/guard/*.json alone

Each file is the model in one type throughout. Every trial is kept in out/guard/campaign.sqlite.
"""

import argparse
import glob
import json
import os
import re
import subprocess

import curves

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(REPOSITORY, "out", "guard")
IMAGES = os.path.join(REPOSITORY, "docs", "images")
DOCUMENT = os.path.join(REPOSITORY, "docs", "guard.md")
BEGIN, END = "<!-- curves: make guard-pictures -->", "<!-- end of curves -->"
# Types that every row width allows, and those of rows of 256.
SMALL = ("CB2", "CB3", "Q4_0", "Q5_0", "Q8_0")
LARGE = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
MODELS = {
    "smollm2-135m": SMALL,
    "gemma3-270m": SMALL,
    "qwen2.5-coder-0.5b": SMALL,
    "qwen2.5-coder-1.5b": LARGE,
}
# Fields and the rates that tell most of them: quants bear a thousand times as many flips as scales.
FIELDS = {
    ("all", "scale", "min", "super_scale", "super_min", "exponent", "sign"): ("1e-9", "1e-5"),
    ("quant",): ("1e-6", "1e-2"),
}


def program():
    """The one that `make` builds."""
    return os.path.join(REPOSITORY, "build", "release", "checkbit")


def run(words, **options):
    """Stops at the first failure."""
    return subprocess.run(words, check=True, **options)


def those_of(path, fields):
    """Those that the packed model has: the others select nothing."""
    found = []
    for field in fields:
        words = [program(), "guard", "campaign", path, "--fault", f"field={field} rate=1e-12", "--trials", "1"]
        words += ["--tokens", "4", "--workers", "1", "--quiet", "--store", os.path.join(FOLDER, "fields.sqlite")]
        if subprocess.run(words, capture_output=True, check=False).returncode == 0:
            found.append(field)
    return found


def measure(model, kind, arguments):
    """One model in one type: a file, its campaign, its JSON."""
    path = os.path.join(FOLDER, f"{model}-{kind}.gguf")
    if not os.path.exists(path):
        run([program(), "quantize", model, "--type", kind, "--pure", "-o", path])
    found = {}
    for fields, (lowest, highest) in FIELDS.items():
        fields = tuple(field for field in fields if not arguments.fields or field in arguments.fields)
        if not fields:
            continue
        words = [program(), "guard", "campaign", path, "--json", "--store", os.path.join(FOLDER, "campaign.sqlite")]
        words += ["--fields", ",".join(those_of(path, fields)), "--tokens", str(arguments.tokens)]
        words += ["--trials", str(arguments.trials), "--lowest", lowest, "--highest", highest]
        words += ["--per-decade", str(arguments.per_decade), "--guard", arguments.guard]
        if arguments.budget:
            words += ["--budget", arguments.budget]
        more = json.loads(run(words, stdout=subprocess.PIPE).stdout)
        found = {**more, "cells": found.get("cells", []) + more["cells"]}
    ending = "" if arguments.guard == "off" else f"-{arguments.guard}"
    with open(os.path.join(FOLDER, f"{model}-{kind}{ending}.json"), "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1)


def load():
    """By model and type, in the order of MODELS; with a task the key ends with its name."""
    found = {}
    for path in glob.glob(os.path.join(FOLDER, "*.json")):
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        match = re.fullmatch(r"(.+?)-([A-Z]+[0-9]_?[0-9K]*)(-.+)?", content.get("model", ""))
        if match is None or not content.get("cells"):
            continue
        ending = "" if not content.get("scorer") else " " + content["scorer"].split(",")[0]
        guard = "" if content["guard"] == "off" else ", guard " + content["guard"]
        found[(match[1], match[2] + ending + guard)] = content
    order = list(MODELS)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0][0]), len(item[0][1]), item[0][1])))


def curve(content, field, value="divergence"):
    """Points with a rate and at least a few trials."""
    points = []
    for cell in content["cells"]:
        if cell["field"] != field or not cell["rate"] or cell["trials"] < 4 or value not in cell:
            continue
        half = cell.get(f"{value}_half_width")
        bounds = (None, None) if half is None else (max(cell[value] - half, 0), cell[value] + half)
        points.append(curves.Point(cell["rate"], cell[value], *bounds))
    return points


def write(name, content):
    """A picture, by the path that the document gives it."""
    with open(os.path.join(IMAGES, name), "w", encoding="utf-8") as file:
        file.write(content)
    return f"images/{name}"


def pictures(found):
    """(title, path) of each picture: of each model all types, and of each type all fields."""
    for model in dict.fromkeys(model for model, _ in found):
        kinds = {kind: content for (name, kind), content in found.items() if name == model}
        whole = {kind: curve(content, "all") for kind, content in kinds.items() if not content.get("scorer")}
        whole = {kind: points for kind, points in whole.items() if len(points) > 1}
        if whole:
            title = f"{model}: random flips of packed weights, by type"
            yield title, write(
                f"faults-{model}.svg", curves.picture(title, "bit error rate", "nats a token, mean", whole)
            )
        for kind, content in kinds.items():
            fields = dict.fromkeys(cell["field"] for cell in content["cells"])
            parts = {field: curve(content, field) for field in fields}
            parts = {field: points for field, points in parts.items() if len(points) > 1}
            if len(parts) > 1 and " " not in kind:
                title = f"{model} in {kind}: flips by field"
                yield title, write(
                    f"faults-{model}-{kind.lower()}.svg",
                    curves.picture(title, "bit error rate of the field", "nats a token, mean", parts),
                )
        scored = {kind: curve(content, "all", "score") for kind, content in kinds.items() if content.get("scorer")}
        scored = {kind: points for kind, points in scored.items() if len(points) > 1}
        if scored:
            title = f"{model}: ARC accuracy under random flips"
            yield title, write(
                f"faults-{model}-arc.svg", curves.picture(title, "bit error rate", "accuracy, mean", scored, (0, 0.5))
            )


def half_broken(content, field):
    """The neighbouring rates between which half of the trials are broken, in words."""
    cells = [cell for cell in content["cells"] if cell["field"] == field and cell["trials"] >= 4]
    cells.sort(key=lambda cell: cell["rate"])
    shares = [cell["broken"] / cell["trials"] for cell in cells]
    for before, after, low, high in zip(shares, shares[1:], cells, cells[1:]):
        if before <= 0.5 < after:
            return f"{low['rate']:.1e} and {high['rate']:.1e}"
    return f"below {cells[0]['rate']:.1e}" if shares[0] > 0.5 else f"above {cells[-1]['rate']:.1e}"


def ended(content, field):
    """How the trials ended, of those in which something was hit and changed."""
    cells = [cell for cell in content["cells"] if cell["field"] == field]
    return tuple(sum(cell[end] for cell in cells) for end in ("corrected", "detected", "silent"))


def table(found):
    """What each field of each type bears."""
    yield (
        "| model | type | field | trials a rate | half of the trials broken between | at 1e-7: nats a token "
        "| broken there | corrected, detected, silent |"
    )
    yield "|---|---|---|---:|---:|---:|---:|---:|"
    for (model, kind), content in found.items():
        for field in dict.fromkeys(cell["field"] for cell in content["cells"]):
            cells = {cell["rate"]: cell for cell in content["cells"] if cell["field"] == field and cell["trials"] >= 4}
            if len(cells) < 2:
                continue
            trials = min(cell["trials"] for cell in cells.values())
            here = cells.get(1e-7)
            damage = f"{here['divergence']:.2g}" if here else ""
            broken = f"{here['broken'] / here['trials']:.0%}" if here else ""
            words = half_broken(content, field)
            ends = ", ".join(str(count) for count in ended(content, field))
            yield f"| {model} | {kind} | {field} | {trials} | {words} | {damage} | {broken} | {ends} |"


def draw():
    """Pictures, and the part of the document between the two marks."""
    found = load()
    lines = [f"![{title}]({path})\n" for title, path in pictures(found)] + list(table(found))
    with open(DOCUMENT, encoding="utf-8") as file:
        content = file.read()
    before, rest = content.split(BEGIN)
    after = rest.split(END)[1]
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + after)


def main():
    """Measure, unless only drawing is asked for, then draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--draw", action="store_true", help="only draw what is there")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--kinds", nargs="*", help="only these types")
    parser.add_argument("--fields", nargs="*", help="only these fields")
    parser.add_argument("--guard", default="off", help="the level that the models run with")
    parser.add_argument("--per-decade", type=int, default=2)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--budget", default="", help="for each file, such as 20m")
    arguments = parser.parse_args()
    os.makedirs(FOLDER, exist_ok=True)
    if not arguments.draw:
        for model in arguments.models:
            for kind in arguments.kinds or MODELS[model]:
                measure(model, kind, arguments)
    draw()


if __name__ == "__main__":
    main()
