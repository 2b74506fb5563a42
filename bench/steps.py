"""What is measured in which order, how long it will take, and what was measured already."""

import json
import os
import time
from dataclasses import dataclass

import programs

OURS = "Checkbit"
AVX2, VNNI = ", AVX2", ", AVX-512 VNNI"  # end the label of a program held to it
MEASURES = ("speed", "start", "avx2", "depth", "profile", "short")
DEFAULT_MEASURES = MEASURES[:-1]
MORE_STARTS = 2  # rounds: they are short, and what fresh memory costs varies
# Seconds that a call takes with a gigabyte of weights, about; only for the time left.
PACE = {"speed": 15, "start": 1, "avx2": 12, "depth": 12, "profile": 25, "short": 10}
PACE_OF_OURS = {"depth": 140}  # it evaluates the context in every process


@dataclass(frozen=True)
class Step:
    """One call and where its figures belong."""

    model: str  # path
    measure: str
    label: str
    round: int
    call: programs.Call

    @property
    def key(self):
        """What makes it the same step in another run; includes when the program was built."""
        built = os.stat(self.call.command[0]).st_mtime_ns
        return json.dumps([self.call.text(), self.measure, self.label, self.round, built])


def label_of(program):
    """Its name in tables."""
    return f"{program.name}, {program.variant}" if program.variant else program.name


def home():
    """Where Checkbit keeps what it fetched."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("CHECKBIT_HOME") or os.path.join(cache, "checkbit")


def model_path(name):
    """A path as it is, or a pulled model."""
    if os.path.exists(name):
        return os.path.abspath(name)
    path = os.path.join(home(), "models", name + ".gguf")
    if not os.path.exists(path):
        raise SystemExit(f"bench_run: {path} is not there: checkbit pull {name}")
    return path


def short_name(model):
    """Without folder and ending."""
    return os.path.basename(model).removesuffix(".gguf")


def has_amx():
    """Whether the processor multiplies tiles of 8-bit numbers."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return "amx_int8" in file.read()


def sides(options):
    """Programs that take part in each measure, by label, and the labels of peers."""
    ours = programs.Checkbit(options.checkbit, options.threads)
    shared = (options.threads, options.contexts)
    peers = programs.llama_cpp(options.peer, *shared) if options.peer else []
    peers += programs.ik_llama_cpp(options.ik, *shared) if options.ik else []
    both = {label_of(program): program for program in [ours, *peers]}
    avx2 = {}
    if options.peer_avx2:
        avx2[OURS + AVX2] = programs.Checkbit(options.checkbit, options.threads, "avx2")
        avx2["llama.cpp" + AVX2] = programs.llama_cpp(options.peer_avx2, *shared)[0]
    amx = {OURS + VNNI: programs.Checkbit(options.checkbit, options.threads, "avx512_vnni")} if has_amx() else {}
    plain = programs.llama_cpp(options.peer, *shared, flash=False) if options.peer else []
    deep = both | {label_of(program): program for program in plain}
    found = {"speed": both | amx, "start": both, "depth": deep, "short": both, "avx2": avx2, "profile": {OURS: ours}}
    return found, tuple(label_of(peer) for peer in peers)


def calls_of(program, measure, model):
    """The calls of one round, in order."""
    if measure == "depth":
        return [program.depth(model, cache) for cache in programs.CACHES]
    return [getattr(program, "prompt" if measure == "avx2" else measure)(model)]


def takes_part(measure, label, number, rounds):
    """In each round, but for what Checkbit does at depth: it repeats that within one long process."""
    if measure == "profile" or (measure == "depth" and label == OURS):
        return number == rounds // 2
    return True


def plan(options, taking_part):
    """Every step in order: model by model, measure by measure, and in turns round by round."""
    steps = []
    for model in options.models:
        for measure in options.measures:
            if measure == "depth" and options.depth_models and short_name(model) not in options.depth_models:
                continue
            for number in range(options.rounds + (MORE_STARTS if measure == "start" else 0)):
                for label, program in taking_part[measure].items():
                    if not takes_part(measure, label, number, options.rounds):
                        continue
                    calls = calls_of(program, measure, model_path(model))
                    steps += [Step(model_path(model), measure, label, number, call) for call in calls if call]
    return steps


class Clock:
    """Says how long the rest takes, from what steps of the same kind took."""

    def __init__(self, steps):
        self.steps, self.took, self.expected_of_done = steps, {}, 0.0
        self.start = time.monotonic()

    @staticmethod
    def guess(step):
        """From the size of the model alone."""
        pace = PACE_OF_OURS.get(step.measure) if step.label == OURS else None
        return 0.5 + os.path.getsize(step.model) / 1e9 * (pace or PACE[step.measure])

    def done(self, step, seconds):
        """Call after each step that was measured, with what it took."""
        self.took[step.model, step.measure, step.label] = seconds
        self.expected_of_done += self.guess(step)

    def elapsed(self):
        """Seconds since the start."""
        return time.monotonic() - self.start

    def left(self, index):
        """Seconds that the steps from `index` on take, about."""
        measured = self.expected_of_done
        pace = self.elapsed() / measured if measured > 20 else 1.0
        rest = self.steps[index:]
        known = [self.took.get((step.model, step.measure, step.label)) for step in rest]
        return sum(self.guess(step) * pace if took is None else took
                   for step, took in zip(rest, known, strict=True))  # fmt: skip


class Journal:
    """What each step gave, one line of JSON a step, so that an interrupted run can go on."""

    def __init__(self, path, resume):
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        lines = []
        if resume and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                lines = [line for line in file if line.endswith("\n")]  # the last may be cut off
        self.path = path
        self.found = {found["key"]: found["gave"] for found in map(json.loads, lines)}
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(lines)

    def get(self, step):
        """What it gave in the run that goes on, or None."""
        return self.found.get(step.key)

    def add(self, step, gave, seconds):
        """Keeps it, and how long it took."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"key": step.key, "gave": gave, "seconds": round(seconds, 1)}) + "\n")


def write_json(path, content):
    """Appears under its name only when it is whole."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    os.replace(path + ".part", path)
