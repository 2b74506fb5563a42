"""Checkbit and its peers: how each is called, and how its output is read.

A program offers measures; each is a method that gives a Call: a command and a function that makes
figures (name to number) and facts (name to anything else) of what the command printed and took.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

TIMED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "timed.py")
PROMPT_TOKENS, GENERATED_TOKENS, SEQUENCES = 512, 64, 8
TYPE_PROMPT_TOKENS, TYPE_GENERATED_TOKENS = 128, 32  # there are many types
CONTEXT_TOKENS = 8192
# The last tokens of the context are generated, from one that is evaluated first.
DEPTH_TOKENS = CONTEXT_TOKENS - GENERATED_TOKENS - 1
DEPTH_RUNS = 3  # of Checkbit, which evaluates the context anew in every process
CACHES = ("f16", "q8_0")
START_PROMPT = "The sea"
START_CONTEXT = 512
# Names of figures.
PROMPT, GENERATION = "prompt_tokens_per_second", "generation_tokens_per_second"
DEEP = {cache: f"generation_at_8192_{cache}_tokens_per_second" for cache in CACHES}
TOGETHER = "sequences_tokens_per_second"
START, PEAK = "seconds_to_first_token", "peak_bytes"
BANDWIDTH, SHARE = "read_bandwidth", "read_bandwidth_share"
BYTES_PER_TOKEN, PRODUCTS_PER_TOKEN = "bytes_per_token", "products_per_token"
PEAK_PRODUCTS = "integer_peak"
UNITS = {
    BYTES_PER_TOKEN: "bytes", PRODUCTS_PER_TOKEN: "", PEAK_PRODUCTS: "products/s",
    PROMPT: "tokens/s", GENERATION: "tokens/s", DEEP["f16"]: "tokens/s", DEEP["q8_0"]: "tokens/s",
    TOGETHER: "tokens/s", START: "s", PEAK: "bytes", BANDWIDTH: "bytes/s", SHARE: "share",
}  # fmt: skip
# Names of facts. A profile holds operations by phase and the limits of the same run.
BUILD, PROFILE = "build", "profile"
AVX2_PROFILE, DEEP_PROFILE = PROFILE + "_avx2", {cache: f"{PROFILE}_{cache}" for cache in CACHES}


class Failed(Exception):
    """A program did not do its work; the message holds its words."""


class Cold(Failed):
    """What was to be in the page cache was not; the measurement is to be repeated."""


@dataclass(frozen=True)
class Call:
    """A command to measure."""

    command: list
    read: object  # (standard output, facts of timed.py) -> dict of figures and facts
    environment: dict = field(default_factory=dict)
    prepare: object = None  # () -> None, run before and not measured

    def text(self):
        """What a reader types to repeat it, without folders."""
        words = [os.path.basename(word) if os.path.isabs(word) else word for word in self.command]
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        return shlex.join([*settings, *words])


def run(call, prefix):
    """Figures and facts of one run. `prefix` is put before the command, outside of what is timed."""
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        done = subprocess.run(
            [*prefix, sys.executable, TIMED, report, *call.command],
            env={**os.environ, **call.environment}, cwd=folder,  # some write logs where they run
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if not os.path.exists(report):
            raise Failed(f"{call.text()}: {done.stderr.strip()[-300:]}")
        with open(report, encoding="utf-8") as file:
            facts = json.load(file)
    if facts["status"]:
        raise Failed(f"{call.text()}: exit status {facts['status']}: {done.stderr.strip()[-300:]}")
    try:
        return call.read(done.stdout, {**facts, "stderr": done.stderr})
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"{call.text()}: its output was not understood: {error!r}") from error


def start_figures(_, facts):
    """Wall time and peak memory of a run that ends with its first token. The bar is for a warm page cache."""
    if facts["read_from_disk"]:
        raise Cold(f"{facts['read_from_disk']} pages were not in the page cache")
    return {START: facts["seconds"], PEAK: facts["peak_bytes"]}


@dataclass(frozen=True)
class Checkbit:
    """The program under test; with `isa`, held to an instruction set."""

    path: str
    threads: int
    isa: str = ""

    name = "Checkbit"
    variant = ""

    def call(self, arguments, read):
        """A call with the settings of every call."""
        environment = {"CHECKBIT_ISA": self.isa} if self.isa else {}
        command = [self.path, *arguments, "--threads", str(self.threads), "--quiet"]
        return Call(command, read, environment)

    def bench(self, model, arguments, names, profile=None):
        """A call of `checkbit bench` that gives the records and facts in `names` (ours to theirs), and a profile."""

        def read(printed, _):
            facts = json.loads(printed)
            if self.isa and facts["isa"] != self.isa:
                raise Failed(f"{model}: computed with {facts['isa']} instead of {self.isa}")
            records = {record["name"]: record["value"] for record in facts.pop("records")} | facts
            found = {name: records[record] for name, record in names.items() if record in records}
            limits = (PROFILE, BANDWIDTH, PEAK_PRODUCTS)
            return found | ({profile: {name: records[name] for name in limits}} if profile else {})

        arguments = [*map(str, arguments), *(["--profile"] if profile else [])]
        return self.call(["bench", model, *arguments, "--json"], read)

    def speed(self, model):
        """Prompt, generation alone and together, and the bandwidth that alternates with it."""
        names = (PROMPT, GENERATION, TOGETHER, BANDWIDTH, SHARE, BYTES_PER_TOKEN, PRODUCTS_PER_TOKEN,
                 PEAK_PRODUCTS)  # fmt: skip
        arguments = ("--prompt-tokens", PROMPT_TOKENS, "--tokens", GENERATED_TOKENS, "--sequences",
                     SEQUENCES, "--runs", 1)  # fmt: skip
        return self.bench(model, arguments, {name: name for name in names})

    def prompt(self, model):
        """Only the prompt; held to AVX2."""
        arguments = ("--prompt-tokens", PROMPT_TOKENS, "--tokens", 1, "--runs", 1)
        return self.bench(model, arguments, {PROMPT: PROMPT}, AVX2_PROFILE)

    def short(self, model):
        """Prompt and generation, both short."""
        arguments = ("--prompt-tokens", TYPE_PROMPT_TOKENS, "--tokens", TYPE_GENERATED_TOKENS, "--runs",
                     1)  # fmt: skip
        return self.bench(model, arguments, {name: name for name in (PROMPT, GENERATION, SHARE)})

    def depth(self, model, cache):
        """Generation at the end of a long context."""
        arguments = ("--prompt-tokens", 0, "--tokens", GENERATED_TOKENS, "--depth", DEPTH_TOKENS,
                     "--kv-cache", cache, "--runs", DEPTH_RUNS)  # fmt: skip
        return self.bench(model, arguments, {DEEP[cache]: GENERATION}, DEEP_PROFILE[cache])

    def start(self, model):
        """From the command to its first token."""
        arguments = ["run", model, "--raw", "-p", START_PROMPT, "-n", "1"]
        return self.call([*arguments, "--context", str(START_CONTEXT)], start_figures)

    def profile(self, model):
        """Where the time goes."""
        arguments = ("--prompt-tokens", PROMPT_TOKENS, "--tokens", GENERATED_TOKENS, "--runs", 1)
        return self.bench(model, arguments, {}, PROFILE)


@dataclass(frozen=True)
class LlamaCpp:
    """llama.cpp or a fork of it: a folder of its programs."""

    name: str
    folder: str
    threads: int
    completion: str  # its program that continues a text
    contexts: str  # folder of evaluated contexts
    variant: str = ""
    bench_flags: tuple = ()
    flags: tuple = ()  # of the program that continues a text
    flash: bool = True  # flash attention at depth, where an 8-bit cache needs it

    def tool(self, program):
        """Path of one of its programs; empty when it was not built."""
        path = os.path.join(self.folder, program)
        return path if os.access(path, os.X_OK) else ""

    def bench(self, model, prompt, generated):
        """A call of llama-bench."""

        def read(printed, _):
            tests = json.loads(printed[printed.index("[") :])
            found = {GENERATION if test["n_gen"] else PROMPT: test["avg_ts"] for test in tests}
            return found | {BUILD: tests[0]["build_commit"]}

        command = [self.tool("llama-bench"), "-m", model, "-t", str(self.threads), "-r", "1"]
        return Call([*command, "-p", str(prompt), "-n", str(generated), *self.bench_flags, "-o", "json"], read)

    def speed(self, model):
        """Prompt and generation."""
        return self.bench(model, PROMPT_TOKENS, GENERATED_TOKENS)

    def prompt(self, model):
        """Only the prompt."""
        return self.bench(model, PROMPT_TOKENS, 0)

    def short(self, model):
        """Prompt and generation, both short."""
        return self.bench(model, TYPE_PROMPT_TOKENS, TYPE_GENERATED_TOKENS)

    def continuation(self, model, arguments, read, prepare=None):
        """A call of the program that continues a text; None where it was not built."""
        if not self.tool(self.completion):
            return None
        command = [self.tool(self.completion), "-m", model, "-t", str(self.threads), *self.flags]
        return Call([*command, *arguments], read, prepare=prepare)

    def start(self, model):
        """From the command to its first token."""
        arguments = ["-p", START_PROMPT, "-n", "1", "-c", str(START_CONTEXT)]
        return self.continuation(model, arguments, start_figures)

    def depth(self, model, cache):
        """Generation at the end of a long context, which is evaluated once and then read from a file."""
        if cache != "f16" and not self.flash:
            return None

        def read(_, facts):
            spent = re.search(r"(?<!prompt )eval time =\s*([\d.]+) ms /\s*(\d+) (runs|tokens)", facts["stderr"])
            return {DEEP[cache]: 1000 * int(spent[2]) / float(spent[1])}

        words = "The" + " sea" * (DEPTH_TOKENS - 3)  # each one token, and one may begin the text
        prompt = os.path.join(self.contexts, f"prompt-{DEPTH_TOKENS}.txt")
        # Does not depend on how weights lie in memory.
        kind = cache if self.flash else cache + "-plain"
        state = os.path.join(self.contexts, f"{os.path.basename(model)}-{self.name}-{kind}-{DEPTH_TOKENS}")
        common = ["-f", prompt, "-c", str(CONTEXT_TOKENS), "-ctk", cache, "-ctv", cache, "-fa",
                  "on" if self.flash else "off", "--temp", "0", "--ignore-eos"]  # fmt: skip

        def prepare():
            os.makedirs(self.contexts, exist_ok=True)
            with open(prompt, "w", encoding="utf-8") as file:
                file.write(words)
            if os.path.exists(state):
                return
            print(f"bench_run: {self.name} evaluates {DEPTH_TOKENS} tokens once, {os.path.basename(model)}, {cache} cache",
                  file=sys.stderr, flush=True)  # fmt: skip
            made = self.continuation(model, [*common, "-n", "1", "--prompt-cache", state + ".part"], read)
            # Threads that wait without spinning: other programs may be running, this is not measured.
            run(Call(made.command, lambda *_: {}, {"OMP_WAIT_POLICY": "passive"}), [])
            os.replace(state + ".part", state)

        arguments = [*common, "-n", str(GENERATED_TOKENS), "--prompt-cache", state, "--prompt-cache-ro"]
        return self.continuation(model, arguments, read, prepare)


def llama_cpp(folder, threads, contexts, flash=True):
    """llama.cpp as tools/peer builds it."""
    flags = ("-no-cnv", "--no-warmup", "--perf")
    variant = "" if flash else "no flash attention"
    common = ("llama.cpp", folder, threads, "llama-completion", contexts, variant)
    return [LlamaCpp(*common, flags=flags, flash=flash)]


def ik_llama_cpp(folder, threads, contexts):
    """ik_llama.cpp without and with repacking at load; the better one counts."""
    common = ("ik_llama.cpp", folder, threads, "llama-cli", contexts)
    return [
        LlamaCpp(*common, "as in the file", flags=("--no-warmup",)),
        LlamaCpp(*common, "repacked", ("-rtr", "1"), ("--no-warmup", "-rtr")),
    ]
