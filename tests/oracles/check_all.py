#!/usr/bin/env python3
"""Runs every oracle check and prints one table; exit status 1 when one fails or could not run.

Every check_*.py of this folder is a program of its own that passes each result on as it comes,
through the pipe named by CHECKBIT_RESULTS (see common.py).
"""

import argparse
import glob
import json
import os
import subprocess
import sys
import time

import common
from common import Result

FOLDER = os.path.dirname(os.path.abspath(__file__))
# Minutes on two cores, whole and short; only for the estimate of the time left.
MINUTES = {
    "budget": (6, 3),
    "encode": (2, 1),
    "fit": (8, 2),
    "formats": (5, 1),
    "forward": (9, 3),
    "gguf": (0.2, 0.2),
    "memory": (2, 1),
    "mixes": (0.3, 0.3),
    "peer_forward": (3, 1),
    "perplexity": (20, 2),
    "protect": (0.5, 0.5),
    "quantize": (9, 2),
    "tasks": (12, 3),
    "sweep": (12, 4),
    "templates": (2, 2),
    "tokenizers": (8, 5),
    "written_code": (3, 1),
}


def scripts(names):
    """Paths of the check scripts, all or those named (with or without check_)."""
    found = sorted(glob.glob(os.path.join(FOLDER, "check_*.py")))
    found = [path for path in found if os.path.basename(path) != os.path.basename(__file__)]
    stems = {os.path.basename(path)[len("check_") : -len(".py")]: path for path in found}
    wanted = [name.removeprefix("check_").removesuffix(".py") for name in names]
    unknown = [name for name in wanted if name not in stems]
    if unknown:
        raise SystemExit(f"no check named {', '.join(unknown)}; there are {', '.join(stems)}")
    return {name: stems[name] for name in wanted or stems}


def clock(seconds):
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class Progress:
    """Says what was found, how long it took and how much time is left."""

    def __init__(self, names):
        self.start = time.monotonic()
        self.minutes = {name: MINUTES.get(name, (1, 1))[common.SHORT] for name in names}
        self.done = 0.0  # expected minutes of the scripts that have ended
        self.name = ""
        self.began = self.start
        self.seconds = {}

    def begin(self, name):
        """The next script runs."""
        self.name, self.began = name, time.monotonic()
        self.say(f"-- {name}")

    def end(self):
        """It has ended."""
        self.seconds[self.name] = time.monotonic() - self.began
        self.done += self.minutes[self.name]

    def left(self):
        """Seconds: what is expected, at the pace so far."""
        now = time.monotonic()
        current = (now - self.began) / 60
        expected = self.done + min(current, self.minutes[self.name])
        pace = (now - self.start) / 60 / expected if expected > 1 else 1.0
        return max(0.0, sum(self.minutes.values()) - expected) * 60 * pace

    def say(self, text):
        """One line on standard error."""
        elapsed = clock(time.monotonic() - self.start)
        print(f"[{elapsed}, about {clock(self.left())} left] {text}", file=sys.stderr, flush=True)


def run_script(name, path, progress):
    """Results of one script. A script that ends badly without a failed result gets one."""
    reading, writing = os.pipe()
    environment = {**os.environ, common.RESULTS_VARIABLE: f"/dev/fd/{writing}"}
    results = []
    with subprocess.Popen(
        [sys.executable, path], env=environment, stdout=subprocess.DEVNULL, pass_fds=[writing]
    ) as process:
        os.close(writing)
        with open(reading, encoding="utf-8") as lines:
            for line in lines:
                results.append(Result(**json.loads(line)))
                progress.say(common.line_of(results[-1]))
    if not results or (process.returncode and all(result.passed for result in results)):
        problem = f"exit status {process.returncode} after {len(results)} results"
        results.append(Result(f"{name} came to its end", problem=problem))
        progress.say(common.line_of(results[-1]))
    return results


def print_summary(found, seconds):
    """One line per script: how many figures, how many within their limits."""
    width = max(len(name) for name in found)
    print(f"\n{'script':{width}}  {'figures':>7}  {'passed':>6}  {'failed':>6}  {'time':>6}")
    for name, results in found.items():
        passed = sum(result.passed for result in results)
        counts = f"{len(results):7}  {passed:6}  {len(results) - passed:6}"
        print(f"{name:{width}}  {counts}  {clock(seconds[name]):>6}")
    total = [result for results in found.values() for result in results]
    failed = [result.check for result in total if not result.passed]
    counts = f"{len(total):7}  {len(total) - len(failed):6}  {len(failed):6}"
    print(f"{'all':{width}}  {counts}  {clock(sum(seconds.values())):>6}")
    for check in failed:
        print(f"FAIL: {check}")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="checks to run (default: all), such as forward")
    parser.add_argument("--checkbit", metavar="PATH", help=f"binary ({common.DEFAULT_BINARY})")
    parser.add_argument("--short", action="store_true", help="fewer models and shorter texts")
    arguments = parser.parse_args()
    if arguments.checkbit:
        os.environ["CHECKBIT"] = os.path.abspath(arguments.checkbit)
    if arguments.short:
        common.set_short()
    chosen = scripts(arguments.names)
    progress = Progress(chosen)
    found = {}
    for name, path in chosen.items():
        progress.begin(name)
        found[name] = run_script(name, path, progress)
        progress.end()
    passed = common.print_table([result for results in found.values() for result in results])
    print_summary(found, progress.seconds)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
