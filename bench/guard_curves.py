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
FIELDS = "all,quant,scale,min,super_scale,super_min,exponent,sign"


def program():
    """The one that `make` builds."""
    return os.path.join(REPOSITORY, "build", "release", "checkbit")


def run(words, **options):
    """Stops at the first failure."""
    return subprocess.run(words, check=True, **options)


def fields_of(path):
    """Those of FIELDS that the packed model has: the others select nothing."""
    found = []
    for field in FIELDS.split(","):
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
    words = [program(), "guard", "campaign", path, "--fields", ",".join(fields_of(path)), "--json"]
    words += ["--store", os.path.join(FOLDER, "campaign.sqlite"), "--tokens", str(arguments.tokens)]
    words += ["--trials", str(arguments.trials), "--lowest", "1e-9", "--highest", "1e-3"]
    if arguments.budget:
        words += ["--budget", arguments.budget]
    found = run(words, stdout=subprocess.PIPE).stdout
    with open(os.path.join(FOLDER, f"{model}-{kind}.json"), "wb") as file:
        file.write(found)


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
        guard = "" if content["guard"] == "off" else " " + content["guard"]
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
        whole = {kind: curve(content, "all") for kind, content in kinds.items() if " " not in kind}
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
        scored = {kind.split(" ")[0]: curve(content, "all", "score") for kind, content in kinds.items() if " " in kind}
        scored = {kind: points for kind, points in scored.items() if len(points) > 1}
        if scored:
            title = f"{model}: ARC accuracy under random flips"
            yield title, write(
                f"faults-{model}-arc.svg", curves.picture(title, "bit error rate", "accuracy, mean", scored, (0, 0.5))
            )


def crossing(points, level=0.1):
    """The rate where the mean divergence passes the level, between two points; None if it does not."""
    for before, after in zip(points, points[1:]):
        if before.y <= level < after.y:
            return before.x, after.x
    return None


def table(found):
    """Where each field of each type passes 0.1 nats a token."""
    yield "| model | type | field | passes 0.1 nats a token between | at 1e-6: nats a token | broken there |"
    yield "|---|---|---|---:|---:|---:|"
    for (model, kind), content in found.items():
        for field in dict.fromkeys(cell["field"] for cell in content["cells"]):
            points = curve(content, field)
            if len(points) < 2:
                continue
            between = crossing(points)
            words = f"{between[0]:.0e} and {between[1]:.0e}" if between else f"not up to {points[-1].x:.0e}"
            if points[0].y > 0.1:
                words = f"before {points[0].x:.0e}"
            here = [cell for cell in content["cells"] if cell["field"] == field and cell["rate"] == 1e-6]
            known = here and here[0]["trials"]
            damage = f"{here[0]['divergence']:.2g}" if known else ""
            broken = f"{here[0]['broken'] / here[0]['trials']:.0%}" if known else ""
            yield f"| {model} | {kind} | {field} | {words} | {damage} | {broken} |"


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
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--budget", default="", help="for each file, such as 20m")
    arguments = parser.parse_args()
    os.makedirs(FOLDER, exist_ok=True)
    if not arguments.draw:
        for model in arguments.models:
            for kind in MODELS[model]:
                measure(model, kind, arguments)
    draw()


if __name__ == "__main__":
    main()
