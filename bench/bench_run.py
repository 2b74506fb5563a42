#!/usr/bin/env python3
"""Checkbit and its peers side by side: alternates them in one run and prints medians and ratios.

    make bench-run
    make bench-run IK_LLAMA=~/ik_llama.cpp/build/bin BENCH="--rounds 3 --models smollm2-135m"

Programs take turns, model by model and round by round, so that what changes on the machine meets
all of them. Every figure is the median over rounds, with the smallest and the largest. Writes
out/bench/results.json and prints whether the bars hold. Needs only Python.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time

import bars
import programs
from programs import BANDWIDTH, DEEP_GENERATION, GENERATION, PEAK, PROMPT, SHARE, START

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODELS = ("smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
OURS = "Checkbit"
ROWS = (
    (PROMPT, "prompt of 512, tokens/s", 1),
    (GENERATION, "generation, tokens/s", 1),
    (DEEP_GENERATION, "at 8,192 tokens, tokens/s", 1),
    (START, "first token, s", 1),
    (PEAK, "peak memory, MB", 1e6),
    (BANDWIDTH, "reading a buffer, GB/s", 1e9),
    (SHARE, "share of that", 1),
)


def label_of(program):
    """Its name in tables."""
    return f"{program.name}, {program.variant}" if program.variant else program.name


def clock(seconds):
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def model_path(name):
    """A path as it is, or a pulled model."""
    if os.path.exists(name):
        return name
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    home = os.environ.get("CHECKBIT_HOME") or os.path.join(cache, "checkbit")
    path = os.path.join(home, "models", name + ".gguf")
    if not os.path.exists(path):
        raise SystemExit(f"bench_run: {path} is not there: checkbit pull {name}")
    return path


def short_name(model):
    """Without folder and ending."""
    return os.path.basename(model).removesuffix(".gguf")


def plan(options):
    """(model, label, measure, round, call) of everything to run, in order."""
    ours = [programs.Checkbit(options.checkbit, options.threads)]
    peers = programs.llama_cpp(options.peer, options.threads) if options.peer else []
    peers += programs.ik_llama_cpp(options.ik, options.threads) if options.ik else []
    pairs = {label_of(program): program for program in [*ours, *peers]}
    avx2 = {}
    if options.peer_avx2:
        avx2["Checkbit, AVX2"] = programs.Checkbit(options.checkbit, options.threads, "avx2")
        avx2["llama.cpp, AVX2"] = programs.llama_cpp(options.peer_avx2, options.threads)[0]
    sides = {"speed": pairs, "start": pairs, "depth": pairs, "avx2": avx2}
    calls = []
    for model in options.models:
        for measure in options.measures:
            rounds = options.depth_rounds if measure == "depth" else options.rounds
            for number in range(rounds):
                for label, program in sides[measure].items():
                    method = getattr(program, "speed" if measure == "avx2" else measure)
                    call = method(model_path(model))
                    if call:
                        calls.append((model, label, measure, number, call))
    return calls, tuple(label_of(peer) for peer in peers)


def busy_processors(seconds=0.5):
    """Processors that other programs keep busy right now."""

    def idle():
        with open("/proc/stat", encoding="ascii") as file:
            fields = [int(value) for value in file.readline().split()[1:]]
        return fields[3] + fields[4], sum(fields[:8])  # idle and waiting for disks; all

    before = idle()
    time.sleep(seconds)
    waited, passed = (after - first for after, first in zip(idle(), before, strict=True))
    return (1 - waited / max(1, passed)) * os.cpu_count()


def seconds_expected(model, measure):
    """How long a call takes, about: in proportion to the weights, only for the time left."""
    return os.path.getsize(model_path(model)) / 1e9 * {"depth": 130, "start": 2}.get(measure, 25)


def run_all(calls, prefix):
    """(model, label, figure) to rounds, and to the command. A program that fails is left out.

    Interrupted, it returns what was measured until then.
    """
    values, commands, failures = {}, {}, []
    costs = [seconds_expected(model, measure) for model, _, measure, _, _ in calls]
    start = time.monotonic()
    for index, (model, label, measure, number, call) in enumerate(calls):
        elapsed, done = time.monotonic() - start, sum(costs[:index])
        pace = elapsed / done if done else 1.0
        left = clock(sum(costs[index:]) * pace)
        try:
            figures = programs.run(call, prefix)
        except programs.Failed as error:
            failures.append(f"{model}, {label}, {measure}: {error}")
            print(f"bench_run: {failures[-1]}", file=sys.stderr)
            continue
        except KeyboardInterrupt:
            failures.append(f"{model}, {label}, {measure}, and what follows: interrupted")
            break
        shown = ", ".join(
            f"{value:.4g} {programs.UNITS[name]}"
            for name, value in figures.items()
            if programs.UNITS[name]
        )
        print(f"[{clock(elapsed)}, about {left} left] {short_name(model)} {measure} {number + 1} {label}: {shown}",
              file=sys.stderr, flush=True)  # fmt: skip
        for name, value in figures.items():
            key = (short_name(model), label, name)
            values.setdefault(key, []).append(value)
            commands[key] = call.text()
    return values, commands, failures


def planned_bytes(options, model):
    """Weights and cache of the run whose peak memory is measured, from the tensor table."""
    command = [options.checkbit, "inspect", model_path(model), "--json", "--context",
               str(programs.START_CONTEXT)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout)
    records = {record["name"]: record["value"] for record in facts["records"]}
    return records["weights_bytes"] + records["kv_cache_bytes"], facts["environment"]


def number(value):
    """Three significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def spread(rounds, scale):
    """Median with smallest and largest."""
    scaled = [value / scale for value in rounds]
    middle = number(statistics.median(scaled))
    if len(scaled) < 2:
        return middle
    return f"{middle} ({number(min(scaled))}-{number(max(scaled))})"


def print_model(figures):
    """One table: a row per figure, a column per program, the ratio to the best peer."""
    labels = [figures.ours, *figures.peers]
    labels = [label for label in labels if any(key[0] == label for key in figures.values)]
    rows = [["", *labels, "ratio"]]
    for name, title, scale in ROWS:
        cells = [figures.values.get((label, name)) for label in labels]
        if not any(cells):
            continue
        ratio = figures.ratio(name) if name in (PROMPT, GENERATION, DEEP_GENERATION) else None
        texts = [spread(rounds, scale) if rounds else "" for rounds in cells]
        rows.append([title, *texts, f"{ratio.median:.2f}" if ratio else ""])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    print(f"\n{figures.model}")
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  " + "  ".join(cells))


def records_of(values, commands):
    """One record per program and figure; `rounds` in the order they were measured."""
    return [
        {
            "name": name, "value": statistics.median(rounds), "unit": programs.UNITS[name],
            "low": min(rounds), "high": max(rounds), "command": commands[model, label, name],
            "model": model, "program": label, "rounds": rounds,
        }
        for (model, label, name), rounds in values.items()
    ]  # fmt: skip


def parse_options():
    """Command line; paths of peers also come from the environment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    environment = os.environ.get
    checkbit = os.path.join(REPOSITORY, "build", "release", "checkbit")
    results = os.path.join(REPOSITORY, "out", "bench", "results.json")
    parser.add_argument("--checkbit", metavar="PATH", default=environment("CHECKBIT", checkbit))
    parser.add_argument("--peer", metavar="FOLDER", default=environment("CHECKBIT_PEER"),
                        help="programs of llama.cpp (CHECKBIT_PEER; tools/peer)")  # fmt: skip
    parser.add_argument("--peer-avx2", metavar="FOLDER", default=environment("CHECKBIT_PEER_AVX2"),
                        help="the same built for AVX2 (CHECKBIT_PEER_AVX2; tools/peer --avx2)")  # fmt: skip
    parser.add_argument("--ik", metavar="FOLDER", default=environment("IK_LLAMA"),
                        help="programs of ik_llama.cpp (IK_LLAMA)")  # fmt: skip
    parser.add_argument("--models", nargs="+", default=MODELS, help="files or pulled names")
    parser.add_argument("--measures", nargs="+", default=("speed", "start", "avx2", "depth"),
                        choices=("speed", "start", "avx2", "depth"))  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--depth-rounds", type=int, default=2, help="rounds at 8,192 tokens")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--prefix", type=shlex.split, default=[],
                        help="put before every measured command, such as 'nice -n -10'")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE", default=results)
    return parser.parse_args()


def main():
    """Measures, writes, prints; exit status 1 when a program failed, not when a bar is missed."""
    options = parse_options()
    busy = busy_processors()
    if busy > 0.3 and not options.prefix:
        print(f"bench_run: other programs keep {busy:.1f} processors busy; figures will be poor",
              file=sys.stderr)  # fmt: skip
    calls, peers = plan(options)
    values, commands, failures = run_all(calls, options.prefix)
    verdicts, environment = [], {}
    for model in options.models:
        planned, environment = planned_bytes(options, model)
        name = short_name(model)
        own = {key[1:]: rounds for key, rounds in values.items() if key[0] == name}
        figures = bars.Figures(name, own, OURS, peers, planned)
        print_model(figures)
        verdicts += [(name, *row) for row in bars.judge(figures)]
    print("\nBars")
    for model, bar, goal, verdict in verdicts:
        print(f"  {'holds ' if verdict.holds else 'MISSED'}  {model}, {bar}: {verdict.words}; goal: {goal}")
    for words in [*failures, *bars.NOT_MEASURED]:
        print(f"  not measured: {words}")
    result = {
        "records": records_of(values, commands),
        "environment": {**environment, "threads": options.threads, "processors_busy_at_start": busy},
        "bars": [
            {"model": model, "bar": bar, "goal": goal, "holds": verdict.holds, "found": verdict.words}
            for model, bar, goal, verdict in verdicts
        ],
    }  # fmt: skip
    os.makedirs(os.path.dirname(os.path.abspath(options.output)), exist_ok=True)
    with open(options.output, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(f"\n{os.path.relpath(options.output)}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
