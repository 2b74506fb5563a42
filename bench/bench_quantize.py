#!/usr/bin/env python3
"""Rounding methods side by side at equal bytes, and llama.cpp's llama-quantize beside them.

    make bench-quantize CALIBRATION=calibration.txt TEXT=other.txt
    make bench-quantize CALIBRATION=calibration.txt TEXT=other.txt QUANTIZE="--models smollm2-135m --types CB2 Q4_0"

Every model is written in every type by every method, in the type alone (--pure), and by the peer with
an importance matrix of the same tokens; all are compared with the pulled file on TEXT, in one run,
with the 95 % interval of a bootstrap over windows. Prints a table in Markdown and writes
out/bench/quantize.json. A file that is there already is not made again.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

METHODS = ["nearest", "weighted", "feedback", "descent", "propagated"]
MODELS = {"smollm2-135m": ["CB2", "CB3", "Q4_0"],
          "gemma3-270m": ["CB2", "CB3", "Q4_0"],
          "qwen2.5-coder-0.5b": ["CB2", "CB3", "Q4_0"],
          "qwen2.5-coder-1.5b": ["IQ2_XXS", "IQ2_S", "Q2_K", "Q3_K"]}
OWN_TYPES = {"CB2", "CB3", "CB4"}
PEER = "llama.cpp"


def model_path(name):
    """Of a pulled model."""
    home = os.environ.get("CHECKBIT_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "checkbit")
    return os.path.join(home, "models", name + ".gguf")


def timed(command):
    """Seconds that a command took; ends the run when it fails."""
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.monotonic() - start


class Bench:
    """One model's files in the folder of the run."""

    def __init__(self, args, model):
        self.args, self.model = args, model
        self.folder = pathlib.Path(args.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.seconds = {}

    def file(self, stem):
        """A file of this model."""
        return str(self.folder / f"{self.model}-{stem}.gguf")

    def make(self, path, command):
        """Unless it is there."""
        if not os.path.exists(path):
            self.seconds[path] = timed(command)
        return path

    def quantize(self, path, *flags):
        """Our side."""
        tokens = ["--calibration-tokens", str(self.args.tokens)] if "--rounding" in flags else []
        return self.make(path, [self.args.checkbit, "quantize", self.model, "-o", path, "--no-measure",
                                "-q", *flags, *tokens])

    def moments(self):
        """Second moments of the calibration text, measured once with whatever type."""
        path = self.file("moments")
        if not os.path.exists(path):
            self.quantize(self.file("first"), "--type", "Q8_0", "--pure", "--rounding", "feedback",
                          "--calibration", self.args.calibration, "--write-calibration", path)
        return path

    def imatrix(self):
        """The same moments' diagonal, for the peer."""
        path = self.file("imatrix")
        if not os.path.exists(path):
            self.quantize(self.file("second"), "--type", "Q8_0", "--pure", "--effort", "fast",
                          "--calibration", self.moments(), "--write-imatrix", path)
        return path

    def ours(self, tensor_type, method):
        """One of our files."""
        text = self.args.calibration if method == "propagated" else self.moments()
        return self.quantize(self.file(f"{tensor_type}-{method}"), "--type", tensor_type, "--pure",
                             "--rounding", method, "--calibration", text)

    def theirs(self, tensor_type):
        """The peer's file; None where it has no such type."""
        if tensor_type in OWN_TYPES or not self.args.peer:
            return None
        path = self.file(f"{tensor_type}-peer")
        return self.make(path, [os.path.join(self.args.peer, "llama-quantize"), "--allow-requantize",
                                "--pure", "--imatrix", self.imatrix(), model_path(self.model), path,
                                tensor_type, str(os.cpu_count())])

    def measure(self, paths):
        """Records by file."""
        command = [self.args.checkbit, "measure", *paths, "--against", self.model, "--text",
                   self.args.text, "--windows", str(self.args.windows), "--json", "-q"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in (0, 1) or not done.stdout:
            sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
        rows = {}
        for record in json.loads(done.stdout)["records"]:
            subject = record.get("subject") or pathlib.Path(paths[0]).stem
            rows.setdefault(subject, {})[record["name"]] = record
        return rows, " ".join(command)


def row(label, path, records, seconds):
    """One line of the table."""
    divergence = records["kl_divergence_mean"]
    low, high = divergence.get("low"), divergence.get("high")
    interval = f" ({low:.4f} to {high:.4f})" if low is not None else ""
    took = f"{seconds:.0f} s" if seconds else ""
    return (f"| {label} | {os.path.getsize(path):,} | {divergence['value']:.4f}{interval} | "
            f"{100 * (1 - records['top1_changed']['value']):.1f} % | "
            f"{records['perplexity']['value']:.1f} | {took} |")


def run_model(args, model):
    """All types and methods of one model."""
    bench = Bench(args, model)
    results = []
    for tensor_type in args.types or MODELS[model]:
        files = {f"{tensor_type} {method}": bench.ours(tensor_type, method) for method in args.methods}
        peer = bench.theirs(tensor_type)
        if peer:
            files[f"{tensor_type} {PEER}"] = peer
        rows, command = bench.measure(list(files.values()))
        print(f"\n{model}, {tensor_type}: `{command}`\n\n| rounding | bytes | KL divergence | same top "
              "token | perplexity | time |\n|---|---|---|---|---|---|")
        for label, path in files.items():
            records = rows[pathlib.Path(path).stem]
            print(row(label, path, records, bench.seconds.get(path)), flush=True)
            results.append({"model": model, "label": label, "bytes": os.path.getsize(path),
                            "seconds": bench.seconds.get(path), "records": records,
                            "command": command})
    return results


def main():
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--checkbit", default="build/release/checkbit")
    parser.add_argument("--calibration", required=True, help="text to round with")
    parser.add_argument("--text", required=True, help="another text to measure on")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--types", nargs="+", help="in place of those of each model")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--tokens", type=int, default=8192, help="of the calibration text")
    parser.add_argument("--windows", type=int, default=24, help="of the text, 512 tokens each")
    parser.add_argument("--folder", default="out/bench/quantize", help="for the files made")
    parser.add_argument("-o", "--output", default="out/bench/quantize.json")
    args = parser.parse_args()
    args.peer = os.environ.get("CHECKBIT_PEER")
    results = []
    for model in args.models:
        results += run_model(args, model)
    pathlib.Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(args.output).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
