#!/usr/bin/env python3
"""Runs every oracle check and prints one table; exit status 1 when one fails or could not run.

Every check_*.py of this folder is a program of its own. Those that append results to the file named
by CHECKBIT_RESULTS (see common.py) get a row per result; others get one row, their exit status.
"""

import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile

import common
from common import Result

FOLDER = os.path.dirname(os.path.abspath(__file__))


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


def run_script(name, path):
    """Results of one script. A script that ends badly without a failed result gets one."""
    with tempfile.NamedTemporaryFile("w+", suffix=".jsonl") as file:
        environment = {**os.environ, common.RESULTS_VARIABLE: file.name}
        done = subprocess.run(
            [sys.executable, path], env=environment, stdout=subprocess.PIPE, text=True, check=False
        )
        results = [Result(**json.loads(line)) for line in file]
    if not results or (done.returncode and all(result.passed for result in results)):
        lines = done.stdout.strip().splitlines() or [""]
        results.append(Result(f"{name}: exit status", done.returncode, 0, lines[-1][:60]))
    return results


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="checks to run (default: all), such as forward")
    parser.add_argument("--checkbit", metavar="PATH", help=f"binary ({common.DEFAULT_BINARY})")
    arguments = parser.parse_args()
    if arguments.checkbit:
        os.environ["CHECKBIT"] = os.path.abspath(arguments.checkbit)
    results = []
    for name, path in scripts(arguments.names).items():
        print(f"-- {name}", file=sys.stderr, flush=True)
        results += run_script(name, path)
    sys.exit(0 if common.print_table(results) else 1)


if __name__ == "__main__":
    main()
