"""Checkbit and its peers: how each is called, and how its output is read.

A program offers measures; each is a method (model) -> Call. A call is a command and a function that
makes figures (name to number) of what the command printed and took.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

TIMED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "timed.py")
PROMPT_TOKENS, GENERATED_TOKENS = 512, 64
CONTEXT_TOKENS = 8192
# The last tokens of the context are generated, from one that is evaluated first.
DEPTH_TOKENS = CONTEXT_TOKENS - GENERATED_TOKENS - 1
START_PROMPT = "The sea"
START_CONTEXT = 512
# Names of figures.
PROMPT, GENERATION = "prompt_tokens_per_second", "generation_tokens_per_second"
DEEP_GENERATION = "generation_at_8192_tokens_per_second"
START, PEAK = "seconds_to_first_token", "peak_bytes"
BANDWIDTH, SHARE = "read_bandwidth", "read_bandwidth_share"
BYTES_PER_TOKEN, PRODUCTS_PER_TOKEN = "bytes_per_token", "products_per_token"
PEAK_PRODUCTS = "integer_peak"
UNITS = {
    BYTES_PER_TOKEN: "bytes", PRODUCTS_PER_TOKEN: "", PEAK_PRODUCTS: "products/s",
    PROMPT: "tokens/s", GENERATION: "tokens/s", DEEP_GENERATION: "tokens/s", START: "s",
    PEAK: "bytes", BANDWIDTH: "bytes/s", SHARE: "share",
}  # fmt: skip


class Failed(Exception):
    """A program did not do its work; the message holds its words."""


@dataclass(frozen=True)
class Call:
    """A command to measure."""

    command: list
    figures: object  # (standard output, facts of timed.py) -> dict of figures
    environment: dict = field(default_factory=dict)

    def text(self):
        """What a reader types to repeat it, without folders."""
        words = [os.path.basename(self.command[0]), *self.command[1:]]
        words = [os.path.basename(word) if word.endswith(".gguf") else word for word in words]
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        return shlex.join([*settings, *words])


def run(call, prefix):
    """Figures of one run. `prefix` is put before the command, outside of what is timed."""
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        done = subprocess.run(
            [*prefix, sys.executable, TIMED, report, *call.command],
            env={**os.environ, **call.environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if not os.path.exists(report):
            raise Failed(f"{call.text()}: {done.stderr.strip()[-300:]}")
        with open(report, encoding="utf-8") as file:
            facts = json.load(file)
    if facts["status"]:
        raise Failed(f"{call.text()}: exit status {facts['status']}: {done.stderr.strip()[-300:]}")
    return call.figures(done.stdout, facts)


def start_figures(_, facts):
    """Wall time and peak memory of a run that ends with its first token."""
    return {START: facts["seconds"], PEAK: facts["peak_bytes"]}


@dataclass(frozen=True)
class Checkbit:
    """The program under test; with `isa`, held to an instruction set."""

    path: str
    threads: int
    isa: str = ""

    name = "Checkbit"
    variant = ""

    def call(self, arguments, figures):
        """A call with the settings of every call."""
        environment = {"CHECKBIT_ISA": self.isa} if self.isa else {}
        command = [self.path, *arguments, "--threads", str(self.threads), "--quiet"]
        return Call(command, figures, environment)

    def bench(self, model, prompt, depth, names):
        """A call of `checkbit bench` that gives the records in `names` (ours to theirs)."""

        def figures(printed, _):
            facts = json.loads(printed)
            records = {record["name"]: record["value"] for record in facts.pop("records")} | facts
            return {name: records[record] for name, record in names.items() if record in records}

        arguments = ["bench", model, "--prompt-tokens", str(prompt), "--tokens",
                     str(GENERATED_TOKENS), "--depth", str(depth), "--runs", "1",
                     "--json"]  # fmt: skip
        return self.call(arguments, figures)

    def speed(self, model):
        """Prompt, generation, and the bandwidth that alternates with it."""
        names = (PROMPT, GENERATION, BANDWIDTH, SHARE, BYTES_PER_TOKEN, PRODUCTS_PER_TOKEN, PEAK_PRODUCTS)
        return self.bench(model, PROMPT_TOKENS, 0, {name: name for name in names})

    def depth(self, model):
        """Generation at the end of a long context."""
        return self.bench(model, 0, DEPTH_TOKENS, {DEEP_GENERATION: GENERATION})

    def start(self, model):
        """From the command to its first token."""
        arguments = ["run", model, "--raw", "-p", START_PROMPT, "-n", "1"]
        return self.call([*arguments, "--context", str(START_CONTEXT)], start_figures)


@dataclass(frozen=True)
class LlamaBench:
    """llama.cpp or a fork of it: a folder of its programs."""

    name: str
    folder: str
    threads: int
    variant: str = ""
    flags: tuple = ()
    deep: object = None  # arguments for generation at depth

    def tool(self, program):
        """Path of one of its programs; empty when it was not built."""
        path = os.path.join(self.folder, program)
        return path if os.access(path, os.X_OK) else ""

    def bench(self, model, arguments, pick):
        """A call of llama-bench; `pick` gives the figure's name of one of its tests."""

        def figures(printed, _):
            tests = json.loads(printed[printed.index("[") :])
            found = {pick(test): test["avg_ts"] for test in tests}
            return {name: value for name, value in found.items() if name}

        command = [self.tool("llama-bench"), "-m", model, "-t", str(self.threads), "-r", "1"]
        return Call([*command, *arguments, *self.flags, "-o", "json"], figures)

    def speed(self, model):
        """Prompt and generation."""
        arguments = ["-p", str(PROMPT_TOKENS), "-n", str(GENERATED_TOKENS)]
        return self.bench(model, arguments, lambda test: GENERATION if test["n_gen"] else PROMPT)

    def depth(self, model):
        """Generation at the end of a long context."""
        arguments = ["-p", "0", *self.deep]
        return self.bench(model, arguments, lambda test: DEEP_GENERATION if test["n_gen"] else "")

    def start(self, model):
        """From the command to its first token; None where the program was not built."""
        if not self.tool("llama-completion"):
            return None
        arguments = ["-m", model, "-p", START_PROMPT, "-n", "1", "-t", str(self.threads), "-c",
                     str(START_CONTEXT), "-no-cnv", "--no-warmup"]  # fmt: skip
        return Call([self.tool("llama-completion"), *arguments], start_figures)


def llama_cpp(folder, threads, name="llama.cpp"):
    """llama.cpp as tools/peer builds it."""
    deep = ("-n", str(GENERATED_TOKENS), "-d", str(DEPTH_TOKENS))
    return [LlamaBench(name, folder, threads, deep=deep)]


def ik_llama_cpp(folder, threads):
    """ik_llama.cpp without and with repacking at load; the better one counts."""
    deep = ("-n", "0", "-gp", f"{DEPTH_TOKENS},{GENERATED_TOKENS}", "-w", "0")
    return [
        LlamaBench("ik_llama.cpp", folder, threads, variant, ("-rtr", flag), deep)
        for variant, flag in (("as in the file", "0"), ("repacked", "1"))
    ]
