#!/usr/bin/env python3
"""Prints every bar of the guard, found and goal: `make bench-guard`; GUARD=--short for a minute of each,
GUARD="--parts false_alarms" for one of them. The hour of generation goes on where it was stopped.

Needs build/release/checkbit, the pulled models, and for the cost of checks build/release/guard_bench.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(REPOSITORY, "build", "release")
PROMPT = "Write a long story about a lighthouse keeper who counted {} waves."
SECONDS_TO_LOAD = 4
MOST_TOKENS = 1500  # of one answer while false alarms are looked for


class Missing(Exception):
    """A figure that this build cannot give, with the reason."""


def checkbit(*words):
    """Records by name (and the whole object) of a command with --json."""
    done = subprocess.run([os.path.join(BUILD, "checkbit"), *words, "--json", "--quiet"], capture_output=True, check=False)
    if not done.stdout:
        raise Missing(done.stderr.decode().strip().split("\n")[-1] or f"{words[0]} printed nothing")
    content = json.loads(done.stdout)
    return {(record.get("subject", ""), record["name"]): record["value"] for record in content["records"]}, content


def value(records, name):
    """Of the record of this name, whatever its subject."""
    found = [value for (_, record), value in records.items() if record == name]
    if not found:
        raise Missing(f"no record {name}")
    return found[0]


def silent_faults(arguments):
    """Single and double faults on products, on blocks of the file and on sealed files."""
    words = ("--guard", "full", "--trials", str(arguments.trials), "--samples", str(arguments.samples))
    records, content = checkbit("guard", "faults", arguments.model, *words)
    for what in ("products", "blocks", "seals"):
        counts = {
            end: sum(content[what][faults][end] for faults in ("one", "two"))
            for end in ("corrected", "detected", "benign", "silent")
        }
        words = ", ".join(f"{count:,} {end}" for end, count in counts.items())
        yield f"{sum(counts.values()):,} faults on {what}: {words}", "0 silent", counts["silent"] == 0
    checks, trials = records[("products", "checks_executed")], arguments.trials
    yield f"{checks:,.0f} checks of products in {trials:,} trials", "none skipped", checks >= trials


def sum_of_file(path):
    """By which a build is known."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


def alarms_of(records):
    """Everything that the guard took for wrong, whatever it did about it."""
    names = ("guard_alarms", "guard_repaired_blocks", "guard_unrepaired_blocks", "guard_steps_disagreed")
    return sum(value(records, name) for name in (*names, "guard_sequences_recomputed"))


def generated(arguments):
    """Yields after each text what all texts of this build and model came to; goes on from the last time."""
    path = os.path.join(arguments.folder, f"false-alarms-{arguments.model}.json")
    found = {"build": sum_of_file(os.path.join(BUILD, "checkbit")), "texts": 0, "seconds": 0.0, "tokens": 0}
    found |= {"checks": 0, "alarms": 0}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            before = json.load(file)
        found = before if before["build"] == found["build"] else found
    yield found
    while True:
        began = resource.getrusage(resource.RUSAGE_CHILDREN)
        prompt = PROMPT.format(found["texts"])
        words = ("-p", prompt, "-n", str(MOST_TOKENS), "--seed", str(found["texts"]), "--guard=check", "--threads", "1")
        records, content = checkbit("run", arguments.model, *words)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        found["texts"] += 1
        found["seconds"] += ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
        found["tokens"] += content["prompt_tokens"] + len(content["tokens"])
        found["checks"] += int(value(records, "guard_checks"))
        found["alarms"] += int(alarms_of(records))
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(found, file)
        os.replace(path + ".new", path)
        yield found


def false_alarms(arguments):
    """Generation with products checked, by one thread, until it has had its processor time."""
    for found in generated(arguments):
        minutes, goal = found["seconds"] / 60, arguments.seconds / 60
        if sys.stderr.isatty():
            print(f"\rgenerating: {minutes:.1f} of {goal:.0f} minutes, {found['alarms']} alarms ", end="", file=sys.stderr)
        if minutes >= goal:
            break
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    words = f"{found['tokens']:,} tokens, {found['checks']:,} checks"
    yield (
        f"{found['alarms']} alarms in {minutes:.1f} minutes of generation ({words}, {arguments.model})",
        "0 in an hour",
        found["alarms"] == 0 and found["checks"] > 0,
    )


def cost_of_check(arguments):
    """As guard_bench prints it."""
    program = os.path.join(BUILD, "guard_bench")
    if not os.path.exists(program):
        raise Missing("build/release/guard_bench is not built")
    done = subprocess.run([program, *arguments.models], capture_output=True, check=False)
    for line in done.stdout.decode().splitlines():
        yield line, "", None
    yield "cost of check", "generation 3 %, prompts 4 % or 10 %, as above", done.returncode == 0


def cost_of_scrubbing(arguments):
    """Share of a processor while text is generated, and what checks and parity take of the memory."""
    records, _ = checkbit("run", arguments.model, "-p", PROMPT.format(200), "-n", "256", "--guard", "verify")
    share = value(records, "guard_scrub_share")
    yield f"scrubbing took {share:.2%} of a processor", "under 1 %", share < 0.01
    guarded, extra = value(records, "guard_bytes"), value(records, "guard_extra_bytes")
    yield f"checks and parity of {guarded / 1e6:.0f} MB in memory: {extra / 1e6:.1f} MB, {extra / guarded:.2%}", "", None


def seal(arguments):
    """Share, and speed of sealing and verifying beside reading, of the largest model."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = os.path.join(folder, "model.gguf")
        shutil.copy(arguments.largest, path)
        records, _ = checkbit("guard", "seal", path, "--bandwidth")
        share = value(records, "seal_share")
        yield f"seal takes {share:.2%} of the file at 64+2", "at most 3.4 %", share <= 0.034
        yield reading("seal", records)
        records, _ = checkbit("guard", "verify", path, "--bandwidth")
        yield reading("verify", records)


def reading(verb, records):
    """The bar of a command that reads the whole file."""
    share = value(records, "file_read_bandwidth_share")
    return f"{verb}: {share:.0%} of the measured read bandwidth of the file", "at least 70 %", share >= 0.7


def repair(arguments):
    """The slowest in a hundred repairs, of bits that another process flips in a running model."""
    words = [os.path.join(BUILD, "checkbit"), "run", arguments.model, "-p", PROMPT.format(200), "-n", "600", "--json", "--quiet"]
    with subprocess.Popen([*words, "--guard", "verify"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        time.sleep(SECONDS_TO_LOAD)
        flip = [os.path.join(BUILD, "checkbit"), "guard", "flip", str(running.pid), "--flips", "200"]
        flipped = subprocess.run(flip, capture_output=True, check=False)
        content = running.communicate()[0]
    if flipped.returncode != 0 or not content:
        raise Missing(flipped.stderr.decode().strip() or "the run printed nothing")
    records = {("", record["name"]): record["value"] for record in json.loads(content)["records"]}
    seconds = value(records, "guard_repair_p99_seconds")
    bits = value(records, "guard_repaired_bits")
    yield f"{bits:.0f} of 200 flipped bits mended; one block: p99 {1e6 * seconds:.0f} us", "under 1 ms", seconds < 1e-3


PARTS = (silent_faults, false_alarms, cost_of_check, cost_of_scrubbing, seal, repair)


def pulled(name):
    """The file of a pulled model."""
    home = os.environ.get("CHECKBIT_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "checkbit"
    )
    return os.path.join(home, "models", name + ".gguf")


def main():
    """One part after the other; the exit status says whether a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--short", action="store_true", help="10^5 faults, a minute of generation")
    parser.add_argument("--seconds", type=float, help="of processor time for generation, of all calls with this build together")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--models", nargs="*", default=["smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"])
    parser.add_argument("--largest", default=pulled("qwen2.5-coder-1.5b"))
    parser.add_argument("--folder", default=os.path.join(REPOSITORY, "out"), help="where the largest model is copied, and where figures are kept")
    parser.add_argument("--parts", nargs="*", help="only these: " + ", ".join(part.__name__ for part in PARTS))
    arguments = parser.parse_args()
    arguments.trials = 100_000 if arguments.short else 1_000_000
    arguments.samples = 16 if arguments.short else 1000
    arguments.seconds = arguments.seconds or (60 if arguments.short else 3600)
    os.makedirs(arguments.folder, exist_ok=True)
    missed = 0
    for part in PARTS:
        if arguments.parts and part.__name__ not in arguments.parts:
            continue
        try:
            for words, goal, holds in part(arguments):
                verdict = "" if holds is None else "  holds" if holds else "  MISSED"
                missed += holds is False
                print(f"{words}{f'  (goal: {goal})' if goal else ''}{verdict}", flush=True)
        except Missing as reason:
            missed += 1
            print(f"{part.__name__}: not measured: {reason}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
