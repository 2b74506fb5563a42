#!/usr/bin/env python3
"""Checkbit and its peers side by side: alternates them in one run and prints medians and ratios.

    make bench-run
    make bench-run IK_LLAMA=~/ik_llama.cpp/build/bin BENCH="--rounds 1 --models smollm2-135m"
    make bench-run BENCH=--resume          # goes on where an interrupted run stopped

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
import steps
import tables
from steps import OURS, short_name

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODELS = ("smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
DEPTH_MODELS = ("smollm2-135m", "gemma3-270m")  # peers evaluate 8,192 tokens for minutes
BUSY_LIMIT, WARM_TRIES = 0.3, 8


def clock(seconds):
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


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


def read_through(path):
    """Puts a file into the page cache, where every program finds it."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 22):
            pass


def shown(gave):
    """The figures of one step in a line."""
    figures = {name: value for name, value in gave.items() if programs.UNITS.get(name)}
    return ", ".join(f"{value:.4g} {programs.UNITS[name]}" for name, value in figures.items())


class Measured:
    """What steps gave: figures per (model, label, name) and facts beside them."""

    def __init__(self):
        self.values, self.commands, self.profiles, self.builds, self.failures = {}, {}, {}, {}, []
        self.our_failures = 0

    def add(self, step, gave):
        """One round of one program."""
        model = short_name(step.model)
        for name, value in gave.items():
            if name.startswith(programs.PROFILE):
                self.profiles.setdefault(model, {})[name] = value
            elif name == programs.BUILD:
                self.builds[step.label] = value
            else:
                self.values.setdefault((model, step.label, name), []).append(value)
                self.commands[model, step.label, name] = step.call.text()

    def fail(self, step, words):
        """A program that does not run is left out; a peer may lack what a model needs."""
        self.our_failures += step.label.startswith(OURS)
        words = " ".join(str(words).split())
        self.failures.append(f"{short_name(step.model)}, {step.label}, {step.measure}: {words}")
        print(f"bench_run: {self.failures[-1]}", file=sys.stderr, flush=True)

    def figures(self, model, planned):
        """For the bars."""
        return bars.Figures(model, {key[1:]: v for key, v in self.values.items() if key[0] == model}, planned)

    def records(self):
        """One record per program and figure; `rounds` in the order they were measured."""
        return [
            {
                "name": name, "value": statistics.median(rounds), "unit": programs.UNITS[name],
                "low": min(rounds), "high": max(rounds), "command": self.commands[model, label, name],
                "model": model, "program": label, "rounds": rounds,
            }
            for (model, label, name), rounds in self.values.items()
        ]  # fmt: skip


def run_warm(step, prefix):
    """Figures of a step; some systems take back pages of files within seconds, then it is repeated."""
    for last in [False] * (WARM_TRIES - 1) + [True]:
        if step.measure == "start":
            read_through(step.model)
        try:
            return programs.run(step.call, prefix)
        except programs.Cold:
            if last:
                raise


def run_all(todo, journal, prefix):
    """Runs what the journal does not hold. What failed once is not tried again."""
    measured, times, model, failed = Measured(), steps.Clock(todo), None, set()
    for index, step in enumerate(todo):
        gave = journal.get(step)
        if (step.model, step.measure, step.label) in failed:
            continue
        if gave is None:
            if step.model != model:
                read_through(step.model)
            model, began = step.model, time.monotonic()
            try:
                gave = run_warm(step, prefix)
            except programs.Failed as error:
                measured.fail(step, error)
                failed.add((step.model, step.measure, step.label))
                continue
            took = time.monotonic() - began
            times.done(step, took)
            journal.add(step, gave, took)
            left = f"{clock(times.elapsed())}, about {clock(times.left(index + 1))} left"
            print(f"[{left}] {short_name(step.model)} {step.measure} {step.round + 1} {step.label}: {shown(gave)}",
                  file=sys.stderr, flush=True)  # fmt: skip
        measured.add(step, gave)
    return measured


def inspected(options, model):
    """Weights and cache of the run whose peak memory is measured, from the tensor table; the machine."""
    command = [options.checkbit, "inspect", model, "--json", "--context", str(programs.START_CONTEXT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout)
    records = {record["name"]: record["value"] for record in facts["records"]}
    return records["weights_bytes"] + records["kv_cache_bytes"], facts["environment"]


def parse_options():
    """Command line; paths of peers also come from the environment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    environment = os.environ.get
    checkbit = os.path.join(REPOSITORY, "build", "release", "checkbit")
    folder = os.path.join(REPOSITORY, "out", "bench")
    parser.add_argument("--checkbit", metavar="PATH", default=environment("CHECKBIT", checkbit))
    parser.add_argument("--peer", metavar="FOLDER", default=environment("CHECKBIT_PEER"),
                        help="programs of llama.cpp (CHECKBIT_PEER; tools/peer)")  # fmt: skip
    parser.add_argument("--peer-avx2", metavar="FOLDER", default=environment("CHECKBIT_PEER_AVX2"),
                        help="the same built for AVX2 (CHECKBIT_PEER_AVX2; tools/peer --avx2)")  # fmt: skip
    parser.add_argument("--ik", metavar="FOLDER", default=environment("IK_LLAMA"),
                        help="programs of ik_llama.cpp (IK_LLAMA)")  # fmt: skip
    parser.add_argument("--models", nargs="+", default=MODELS, help="files or pulled names")
    parser.add_argument("--measures", nargs="+", default=steps.DEFAULT_MEASURES, choices=steps.MEASURES)
    parser.add_argument("--depth-models", nargs="*", default=DEPTH_MODELS,
                        help="those measured at 8,192 tokens; none given: all")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--contexts", metavar="FOLDER", default=os.path.join(folder, "contexts"),
                        help="keeps the contexts that peers have evaluated")  # fmt: skip
    parser.add_argument("--prepare", action="store_true", help="evaluate these contexts and measure nothing")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--prefix", type=shlex.split, default=[],
                        help="put before every measured command, such as 'nice -n -10'")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE", default=os.path.join(folder, "results.json"))
    options = parser.parse_args()
    for name in ("checkbit", "peer", "peer_avx2", "ik", "contexts"):
        path = getattr(options, name)
        setattr(options, name, path and os.path.abspath(os.path.expanduser(path)))
    return options


def judged(options, measured):
    """Prints the table of each model; gives the verdicts and the machine."""
    verdicts, environment = [], {}
    for path in map(steps.model_path, options.models):
        planned, environment = inspected(options, path)
        figures = measured.figures(short_name(path), planned)
        tables.print_rows(figures.model, list(tables.table_rows(figures)))
        verdicts += [
            {"model": figures.model, "bar": bar, "goal": goal, "holds": verdict.holds,
             "found": verdict.figure, "ratio": verdict.ratio}
            for bar, goal, verdict in bars.judge(figures)
        ]  # fmt: skip
    return verdicts, environment


def main():
    """Measures, writes, prints; exit status 1 when Checkbit failed, not when a bar is missed."""
    options = parse_options()
    todo = steps.plan(options, steps.sides(options)[0])
    for step in todo:
        if step.call.prepare:
            step.call.prepare()
    if options.prepare:
        return
    busy = busy_processors()
    if busy > BUSY_LIMIT and not options.prefix:
        print(f"bench_run: other programs keep {busy:.1f} processors busy; figures will be poor",
              file=sys.stderr)  # fmt: skip
    journal = steps.Journal(options.output.removesuffix(".json") + ".rounds.jsonl", options.resume)
    try:
        measured = run_all(todo, journal, options.prefix)
    except KeyboardInterrupt:
        sys.exit(f"\nbench_run: interrupted; --resume goes on from {os.path.relpath(journal.path)}")
    verdicts, environment = judged(options, measured)
    tables.print_bars(verdicts, measured.failures)
    machine = {**environment, "threads": options.threads, "rounds": options.rounds,
               "processors_busy_at_start": busy}  # fmt: skip
    content = {"records": measured.records(), "environment": machine, "builds": measured.builds,
               "bars": verdicts, "profiles": measured.profiles, "failures": measured.failures}  # fmt: skip
    steps.write_json(options.output, content)
    print(f"\n{os.path.relpath(options.output)}")
    sys.exit(1 if measured.our_failures else 0)


if __name__ == "__main__":
    main()
