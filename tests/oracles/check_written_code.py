#!/usr/bin/env python3
"""HumanEval, MBPP and SQL of `checkbit task` against lm-evaluation-harness, Python and sqlite3.

Prompts: the harness's own definitions on our files, item by item. Verdicts: the harness's metric on
the very texts that Checkbit wrote; code_eval, which the harness fetches from a hub, is written anew
here from its description (candidate, line end, tests; SystemExit is a failure; a time limit). SQL:
prompts hold each question, and both queries are run by Python's sqlite3, rows compared as multisets.
"""

import collections
import contextlib
import gzip
import importlib.util
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import types

import common
from common import Result

if importlib.util.find_spec("lm_eval") is None:  # it has an environment of its own
    maker = os.path.join(common.REPOSITORY, "tools", "oracle_venv")
    made = subprocess.run([maker, "tasks"], stdout=subprocess.PIPE, text=True, check=True)
    os.execv(made.stdout.strip(), [made.stdout.strip(), *sys.argv])

ITEMS = int(os.environ.get("N", 4 if common.SHORT else 20))
SECONDS = 10
MODEL = common.MODELS[2]


class CodeEval:
    """The metric code_eval, in a plain Python process: only for texts of models that are known."""

    @staticmethod
    def passes(candidate, tests):
        """Does the program end without an exception?"""
        program = (
            f"try:\n    exec({candidate + chr(10) + tests!r}, {{}})\n"
            "except BaseException:\n    raise SystemExit(1)\n"
            "print('passed')\n"
        )
        try:
            done = subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True,
                timeout=SECONDS,
                cwd=tempfile.gettempdir(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0 and done.stdout.endswith(b"passed\n")

    def compute(self, references, predictions, k):
        """As `evaluate` calls it: shares and details."""
        del k
        passed = [
            self.passes(candidates[0], tests)
            for candidates, tests in zip(predictions, references, strict=True)
        ]
        return {"pass@1": sum(passed) / len(passed)}, {}


sys.modules["evaluate"] = types.SimpleNamespace(load=lambda name: CodeEval())

import harness  # noqa: E402
import lm_eval  # noqa: E402

harness.DEFINITIONS["humaneval"] = ("humaneval/humaneval.yaml", "test")
harness.DEFINITIONS["mbpp"] = ("mbpp/mbpp.yaml", "test")


def judge_programs(task, path, shots, texts):
    """Per document: its prompt and the harness's verdict on the given text."""
    with harness.task_over(task, path) as definition, contextlib.redirect_stdout(sys.stderr):
        found = lm_eval.simple_evaluate(
            model=harness.SpokenModel(texts),
            tasks=[definition],
            num_fewshot=shots,
            limit=len(texts),
            bootstrap_iters=0,
            log_samples=True,
            task_manager=harness.TaskManager(),
            verbosity="ERROR",
            confirm_run_unsafe_code=True,
        )
    samples = sorted(list(found["samples"].values())[0], key=lambda sample: sample["doc_id"])
    metrics = ("pass@1", "pass_at_1")
    return [
        {
            "prompt": harness.arguments_of(sample)[0][0],
            "right": bool(next(sample[name] for name in metrics if name in sample)),
        }
        for sample in samples
    ]


def written(task, data, limit):
    """The JSON of one `checkbit task`."""
    words = ("task", task, common.model_path(MODEL), "--data", data, "--limit", limit, "--json")
    return json.loads(common.checkbit(*words))


def compare(task, path, shots, documents):
    """Prompts and verdicts of one task that writes programs."""
    run = written(task, path, ITEMS)
    ours = run["results"]
    texts = [item.get("text", "") for item in ours]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl") as file:
        file.writelines(json.dumps(document) + "\n" for document in documents[: len(ours)])
        file.flush()
        theirs = judge_programs(task, file.name, shots, texts)
    differ = sum(
        run["preamble"] + a["prompt"] != b["prompt"] for a, b in zip(ours, theirs, strict=True)
    )
    yield Result(f"prompts = harness: {task}, {MODEL}", differ, 0, f"{len(ours)} items")
    differ = [
        f"{a['line']}: {a['accuracy']['answer']}"
        for a, b in zip(ours, theirs, strict=True)
        if a["accuracy"]["right"] != b["right"]
    ]
    right = sum(a["accuracy"]["right"] for a in ours)
    note = f"{right} of {len(ours)} right" + "".join("; line " + one for one in differ)
    yield Result(f"verdicts = harness: {task}, {MODEL}", len(differ), 0, note)


def check_humaneval():
    """The prompt as it is; the harness's filter and metric on what we wrote."""
    path = common.text_path("HumanEval.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        documents = [json.loads(line) for line in file]
    yield from compare("humaneval", path, 0, documents)


def check_mbpp():
    """Three examples before each prompt, those of the harness."""
    path = common.text_path("mbpp.jsonl")
    with open(path, encoding="utf-8") as file:
        documents = [json.loads(line) for line in file]
    documents = [document for document in documents if 11 <= document["task_id"] <= 510]
    yield from compare("mbpp", path, 3, documents)


def rows_of(database, query):
    """Rows with numbers rounded, or None when the query fails."""
    connection = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
    try:
        found = connection.execute(query).fetchall()
    except (sqlite3.Error, sqlite3.Warning):
        return None
    finally:
        connection.close()
    return [
        tuple(float(f"{value:.9g}") if isinstance(value, (int, float)) else value for value in row)
        for row in found
    ]


def same_rows(gold, answer, ordered):
    """Execution match."""
    if gold is None or answer is None:
        return False
    return gold == answer if ordered else collections.Counter(gold) == collections.Counter(answer)


def questions(path):
    """Question and right query, by turns over the queries."""
    with open(path, encoding="utf-8") as file:
        records = json.load(file)
    turns = []
    for record in records:
        asked = [s for s in record["sentences"] if s["question-split"] != "train"]
        filled = []
        for sentence in asked:
            pair = [sentence["text"], record["sql"][0]]
            for name, value in sorted(sentence["variables"].items(), key=lambda v: -len(v[0])):
                pair = [text.replace(name, value) for text in pair]
            filled.append(pair)
        turns.append(filled)
    for turn in range(max(map(len, turns))):
        yield from (filled[turn] for filled in turns if turn < len(filled))


def check_sql():
    """Questions, order and verdicts, by Python's sqlite3."""
    path = common.text_path("geography_dev.json")
    database = common.text_path("geography.sqlite")
    run = written("sql", path, ITEMS)
    pairs = [pair for pair in questions(path) if rows_of(database, pair[1]) is not None]
    prompts = verdicts = 0
    for item, (question, query) in zip(run["results"], pairs):
        prompts += item["prompt"] != f"-- {question}\nSELECT"
        gold = rows_of(database, query)
        answer = rows_of(database, "SELECT " + item.get("text", ""))
        ordered = re.search(r"\bORDER BY\b(?![^(]*\))", query) is not None
        verdicts += same_rows(gold, answer, ordered) != item["accuracy"]["right"]
    right = sum(item["accuracy"]["right"] for item in run["results"])
    yield Result(f"prompts = file: sql, {MODEL}", prompts, 0, f"{len(run['results'])} items")
    note = f"{right} of {len(run['results'])} right"
    yield Result(f"verdicts = sqlite3: sql, {MODEL}", verdicts, 0, note)
    tables = rows_of(database, "SELECT name FROM sqlite_master WHERE type = 'table'")
    missing = sum(f'CREATE TABLE "{name}"' not in run["preamble"] for (name,) in tables)
    yield Result("schema in the prompt: sql", missing, 0, f"{len(tables)} tables")


if __name__ == "__main__":
    common.main(__doc__, [check_humaneval, check_mbpp, check_sql])
