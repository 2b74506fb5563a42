#!/usr/bin/env python3
"""ARC, HellaSwag and GSM8K of `checkbit task` against lm-evaluation-harness, item by item.

The harness is the package itself, with its own task definitions reading our files; its model is
llama.cpp on the same GGUF file. Prompts and choices must be the same strings. With float weights, float activations and a float cache on both sides likelihoods and picks
must be the same. On the file as it is both round activations to 8 bits, in their own groups: ours
may not be further from the floats than llama.cpp's, and picks may differ only where the floats see
next to a tie. For GSM8K the harness judges the very texts that Checkbit wrote.
"""

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile

import common
import numpy as np
import peer
from common import Result

if importlib.util.find_spec("lm_eval") is None:  # it has an environment of its own
    maker = os.path.join(common.REPOSITORY, "tools", "oracle_venv")
    made = subprocess.run([maker, "tasks"], stdout=subprocess.PIPE, text=True, check=True)
    os.execv(made.stdout.strip(), [made.stdout.strip(), *sys.argv])

import harness  # noqa: E402

ITEMS = 16 if common.SHORT else 80
ANSWERS = 4 if common.SHORT else 12
FLOAT_LIMIT = 0.001  # nats of an ending
ROUNDING_LIMIT = 1.25  # our distance from the floats over llama.cpp's
TIE_LIMIT = 1.5  # nats between two choices
DIFFERENT_PICKS = 0.1
FLOATS = ("--activations", "f32")


def arc_documents():
    """Questions of the instruction file in the fields that the harness reads."""
    with open(common.text_path("arc_challenge_train.json"), encoding="utf-8") as file:
        rows = json.load(file)
    for row in rows:
        whole = re.search(
            r"question: (.*)\n\nAnswer1: (.*)\n\nAnswer format: ", row["instruction"], re.S
        )
        choices = re.split(r" Answer\d: ", whole[2])
        labels = [f"answer{number + 1}" for number in range(len(choices))]
        yield {
            "question": whole[1],
            "choices": {"text": choices, "label": labels},
            "answerKey": row["answer"],
        }


def hellaswag_documents():
    """The six lines of an item; the last words of its context are the second sentence's."""
    with open(common.text_path("hellaswag_val_1000.txt"), encoding="utf-8") as file:
        lines = file.read().split("\n")
    for at in range(0, len(lines) - 5, 6):
        activity, _, context = lines[at].partition(": ")
        first, _, second = context.rpartition(". ")
        yield {
            "activity_label": activity,
            "ctx_a": first + "." if first else "",
            "ctx_b": second,
            "endings": lines[at + 2 : at + 6],
            "label": lines[at + 1],
        }


def gsm8k_documents():
    """Question and answer of each line."""
    with open(common.text_path("gsm8k_train500.jsonl"), encoding="utf-8") as file:
        yield from map(json.loads, file)


@contextlib.contextmanager
def jsonl(documents):
    """A file of one object a line."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl") as file:
        file.writelines(json.dumps(document) + "\n" for document in documents)
        file.flush()
        yield file.name


def run_task(task, model, data, limit, *flags):
    """The JSON of one `checkbit task`."""
    words = ("task", task, model, "--data", data, "--limit", limit, "--json", *flags)
    return json.loads(common.checkbit(*words))


def float_model(name):
    """The model with its weights as floats, made by llama.cpp."""
    path = common.scratch(f"{name}-F32.gguf")
    if not os.path.exists(path):
        arguments = ["--allow-requantize", common.model_path(name), path + ".part", "F32"]
        peer.run_checked("llama-quantize", arguments)
        os.replace(path + ".part", path)
    return path


def likelihoods(items):
    """All log-probabilities of our items, in order."""
    return np.array([c["log_probability"] for item in items for c in item["choices"]])


def run_both(task, model, data, floats):
    """Our items and the harness's on one file."""
    ours = run_task(task, model, data, ITEMS, *(FLOATS if floats else ()))["results"]
    return ours, harness.endings(task, model, data, ITEMS, floats)


def their_likelihoods(items):
    """All log-probabilities of the harness's items, in order."""
    return np.array([request[2] for item in items for request in item["requests"]])


def margin(item, ours):
    """Nats by which a model of floats prefers the harness's likeliest choice to our pick."""
    texts = [request[1].strip() for request in item["requests"]]
    scores = [request[2] for request in item["requests"]]
    return max(scores) - scores[texts.index(ours["accuracy"]["answer"].strip())]


def compare_endings(task, name, documents):
    """Prompts, likelihoods and picks of one task on one model, in floats and as the file is."""
    with jsonl(documents) as data:
        exact, their_exact = run_both(task, float_model(name), data, True)
        ours, theirs = run_both(task, common.model_path(name), data, False)
    label = f"{task}, {name}"
    mine = [[(i["prompt"], " " + c["text"]) for c in i["choices"]] for i in ours]
    apart = sum(a != [t[:2] for t in b["requests"]] for a, b in zip(mine, theirs, strict=True))
    yield Result(f"prompts = harness: {label}", apart, 0, f"{len(ours)} items")
    truth = their_likelihoods(their_exact)
    note = f"{len(truth)} endings, {np.abs(truth).mean():.1f} nats each"
    difference = np.abs(likelihoods(exact) - truth).max()
    yield Result(f"log-likelihood in floats = harness: {label}", difference, FLOAT_LIMIT, note)
    our_distance = np.abs(likelihoods(ours) - truth).mean()
    their_distance = np.abs(their_likelihoods(theirs) - truth).mean()
    note = f"{our_distance:.3f} nats, llama.cpp {their_distance:.3f}"
    ratio = our_distance / their_distance
    yield Result(f"8-bit rounding beside llama.cpp's: {label}", ratio, ROUNDING_LIMIT, note)
    for measure, key in (("accuracy", "acc"), ("accuracy_normalized", "acc_norm")):
        for kind, a_items, b_items, limit in (
            (" in floats", exact, their_exact, 0),
            ("", ours, theirs, DIFFERENT_PICKS),
        ):
            pairs = list(zip(a_items, b_items, strict=True))
            differ = sum(a[measure]["right"] != bool(b[key]) for a, b in pairs)
            note = f"{sum(a[measure]['right'] for a in a_items)} right, harness "
            note += str(int(sum(b[key] for b in b_items)))
            yield Result(f"{key}{kind} = harness: {label}", differ / len(ours), limit, note)
    ties = [
        margin(floats, a)
        for floats, a, b in zip(their_exact, ours, theirs, strict=True)
        if a["accuracy"]["right"] != bool(b["acc"])
    ]
    note = f"{len(ties)} items"
    yield Result(f"picks differ at ties: {label}", max(ties, default=0.0), TIE_LIMIT, note)


def check_arc():
    """ARC: as published fields."""
    for name in common.models(common.MODELS[:3:2]):
        yield from compare_endings("arc", name, list(arc_documents())[:ITEMS])


def check_hellaswag():
    """HellaSwag: as published fields."""
    for name in common.models(common.MODELS[:3:2]):
        yield from compare_endings("hellaswag", name, list(hellaswag_documents())[:ITEMS])


def check_forms():
    """The instruction and text forms ask what the published forms ask."""
    model = common.model_path(common.MODELS[0])
    for task, file, documents in (
        ("arc", "arc_challenge_train.json", arc_documents),
        ("hellaswag", "hellaswag_val_1000.txt", hellaswag_documents),
    ):
        with jsonl(list(documents())[:8]) as data:
            published = run_task(task, model, data, 8)["results"]
        own = run_task(task, model, common.text_path(file), 8)["results"]
        lower = str.lower if task == "hellaswag" else str  # the text form keeps small letters
        differ = sum(
            lower(a["prompt"]) != lower(b["prompt"])
            or [c["text"] for c in a["choices"]] != [c["text"] for c in b["choices"]]
            or a["right"] != b["right"]
            for a, b in zip(published, own, strict=True)
        )
        yield Result(f"forms agree: {task}", differ, 0, "8 items")


def check_gsm8k():
    """Prompts as the harness builds them; its filters and metric on the texts that we wrote."""
    name = common.MODELS[2]
    documents = list(gsm8k_documents())
    with jsonl(documents) as data:
        run = run_task("gsm8k", common.model_path(name), data, ANSWERS)
    ours = run["results"]
    texts = [item.get("text", "") for item in ours]
    with jsonl(documents[5:]) as data:
        theirs = harness.judge_answers("gsm8k", data, documents[:5], texts)
    prompts = sum(
        run["preamble"] + a["prompt"] != b["prompt"] for a, b in zip(ours, theirs, strict=True)
    )
    yield Result(f"prompts = harness: gsm8k, {name}", prompts, 0, f"{len(ours)} items")
    for measure, key in (
        ("accuracy_strict", "strict-match"),
        ("accuracy_flexible", "flexible-extract"),
    ):
        differ = sum(a[measure]["right"] != bool(b[key]) for a, b in zip(ours, theirs, strict=True))
        right = sum(a[measure]["right"] for a in ours)
        yield Result(f"{key} = harness: gsm8k, {name}", differ, 0, f"{right} of {len(ours)} right")


if __name__ == "__main__":
    common.main(__doc__, [check_arc, check_hellaswag, check_forms, check_gsm8k])
