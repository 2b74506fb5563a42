"""What the oracle scripts share: places, running Checkbit, comparing, and the table of results.

A check script is a list of functions, each yielding Results, handed to `main`. Run alone it prints
its table; check_all.py runs every script and collects the results through CHECKBIT_RESULTS.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass

import numpy as np

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEFAULT_BINARY = os.path.join(REPOSITORY, "build", "release", "checkbit")
MODELS = ("smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
RESULTS_VARIABLE = "CHECKBIT_RESULTS"  # file that receives one JSON line per result
SHORT_VARIABLE = "CHECKBIT_SHORT"
SHORT = bool(os.environ.get(SHORT_VARIABLE))  # fewer models and shorter texts


def set_short():
    """For this process and those it starts."""
    global SHORT
    SHORT = True
    os.environ[SHORT_VARIABLE] = "1"


def models(long=MODELS):
    """Those of `long`, in a short run only the first."""
    return long[:1] if SHORT else long


class Missing(Exception):
    """Something a check needs is not there; the message says how to get it."""


class Failed(Exception):
    """A program under test or an oracle did not do its work; the message holds its words."""


@dataclass(frozen=True)
class Result:
    """One figure against its limit, or the reason why there is none."""

    check: str
    figure: float = float("nan")
    limit: float = float("nan")
    note: str = ""
    problem: str = ""  # the program failed
    skipped: str = ""  # something is missing

    @property
    def passed(self):
        """Figures are all 'at most the limit'; NaN never passes."""
        return not self.skipped and not self.problem and self.figure <= self.limit

    @property
    def verdict(self):
        """The last column of the table."""
        if self.skipped:
            return "skipped: " + self.skipped
        if self.passed:
            return f"pass  {self.note}".rstrip()
        return "FAIL" + (": " + self.problem if self.problem else "")


def home():
    """Checkbit's own folder: models, peer, caches."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("CHECKBIT_HOME") or os.path.join(cache, "checkbit")


def scratch(*names):
    """A file of the oracles' own cache, or its folder; folders are made."""
    path = os.path.join(home(), "oracle-cache", *names)
    os.makedirs(os.path.dirname(path) if names else path, exist_ok=True)
    return path


def model_path(name):
    """A pulled model."""
    path = os.path.join(home(), "models", name + ".gguf")
    if not os.path.exists(path):
        raise Missing(f"{path}: checkbit pull {name}")
    return path


def text_folder():
    """The test texts: CHECKBIT_TEXTS, else beside the repository."""
    beside = os.path.join(os.path.dirname(REPOSITORY), "shared", "data")
    return os.environ.get("CHECKBIT_TEXTS") or beside


def text_path(name="wikitext2_valid.txt"):
    """A test text."""
    path = os.path.join(text_folder(), name)
    if not os.path.exists(path):
        raise Missing(f"{path}: CHECKBIT_TEXTS names the folder of the test texts")
    return path


def file_hash(path):
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_hash(text):
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def checkbit_path():
    """The program under test."""
    return os.environ.get("CHECKBIT", DEFAULT_BINARY)


def checkbit(*arguments):
    """Standard output of a run of Checkbit that must succeed."""
    binary = checkbit_path()
    if not os.access(binary, os.X_OK):
        raise Missing(f"{binary}: make build")
    command = [str(argument) for argument in arguments]
    done = subprocess.run([binary, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise Failed(f"checkbit {command[0]}: status {done.returncode}: {lines[-1]}")
    return done.stdout


def checkbit_records(*arguments):
    """Records of a --json run: a dictionary from name to value."""
    records = json.loads(checkbit(*arguments, "--json"))["records"]
    return {record["name"]: record["value"] for record in records}


def peak_bytes(*arguments):
    """The maximum resident set of one run of Checkbit."""
    command = [checkbit_path(), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        words = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(words.strip())
    return usage.ru_maxrss * 1024


def log_softmax(logits):
    """Over the last axis, in float64."""
    shifted = np.asarray(logits, dtype=np.float64) - np.max(logits, axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def kl_divergence(reference, other):
    """Mean over rows of the divergence between log-probabilities, in nats."""
    return float(np.mean(np.sum(np.exp(reference) * (reference - other), axis=-1)))


def share_of_range(reference, other):
    """Largest difference as a share of the reference's range; NaN in either gives NaN."""
    return float(np.max(np.abs(reference - other)) / (np.max(reference) - np.min(reference)))


def relative(value, reference):
    """Relative difference from a reference, without sign."""
    return abs(value / reference - 1.0)


def columns_of(result):
    """Figure and limit as text; empty where there is none."""
    return ["" if np.isnan(x) else f"{x:.3g}" for x in (result.figure, result.limit)]


def line_of(result):
    """A result as one line of a log."""
    figure, limit = columns_of(result)
    numbers = f"{figure} (limit {limit})  " if figure else ""
    return f"{result.check}: {numbers}{result.verdict}"


def print_table(results):
    """One line per result; returns whether all passed."""
    width = max((len(result.check) for result in results), default=5)
    print(f"{'check':{width}}  {'figure':>9}  {'limit':>9}  verdict")
    for result in results:
        figure, limit = columns_of(result)
        print(f"{result.check:{width}}  {figure:>9}  {limit:>9}  {result.verdict}")
    return all(result.passed for result in results)


def run_checks(checks):
    """Results of check functions (generators); what one raises becomes a result of its name."""
    for check in checks:
        name = check.__name__.removeprefix("check_")
        try:
            yield from check()
        except Missing as error:
            yield Result(name, skipped=str(error))
        except (Failed, OSError, ValueError, KeyError) as error:
            yield Result(name, problem=f"{type(error).__name__}: {error}")


def collect(results):
    """The list of results, each reported as it comes."""
    collected = []
    for result in results:
        if RESULTS_VARIABLE in os.environ:
            with open(os.environ[RESULTS_VARIABLE], "a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result)) + "\n")
        else:
            print(line_of(result), file=sys.stderr, flush=True)
        collected.append(result)
    return collected


def main(description, checks):
    """Command line of a check script: exit status 1 when a check fails or could not run."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    names = [check.__name__.removeprefix("check_") for check in checks]
    parser.add_argument(
        "names", nargs="*", help="checks to run (default: all): " + ", ".join(names)
    )
    parser.add_argument("--checkbit", metavar="PATH", help=f"binary (default {DEFAULT_BINARY})")
    parser.add_argument("--short", action="store_true", help="fewer models and shorter texts")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names)
    if unknown:
        parser.error(f"no check named {', '.join(sorted(unknown))}")
    if arguments.checkbit:
        os.environ["CHECKBIT"] = arguments.checkbit
    if arguments.short:
        set_short()
    wanted = arguments.names or names
    chosen = [check for check, name in zip(checks, names, strict=True) if name in wanted]
    sys.exit(0 if print_table(collect(run_checks(chosen))) else 1)
