#!/usr/bin/env python3
"""`quantize --bpw` against its budget, its own prediction and the plain types.

The result has at most the bits asked for and nearly all of them; the divergence predicted before
writing is near the one measured after it; and no plain type of at most the same size does less
damage. Also: an impossible budget names the smallest possible, and exactly that one is accepted.

Short form: the smallest model. CHECKBIT_BUDGET=all for three models.
"""

import os
import re
import subprocess
import tempfile

import common
from common import Result

MODELS = ("smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b")
PLAIN = ("CB2", "CB3", "CB4", "IQ4_NL")  # plain types from 2.5 to 4.5 bits that fit any row
BITS = (3.0, 3.5, 4.0, 4.5)
UNUSED = 0.01
PREDICTION = 0.30
DAMAGE = "kl_divergence_mean"


def quantized(model, *goal):
    """Records of one run whose file is thrown away."""
    with tempfile.TemporaryDirectory(dir=common.scratch()) as folder:
        output = os.path.join(folder, "out.gguf")
        return common.checkbit_records("quantize", model, "-o", output, *goal)


def check_budget():
    """Bits, prediction and damage of each budget."""
    names = MODELS if os.environ.get("CHECKBIT_BUDGET") == "all" else MODELS[:1]
    for name in names:
        model = common.model_path(name)
        plain = {kind: quantized(model, "--type", kind, "--pure") for kind in PLAIN}
        for bits in BITS:
            got = quantized(model, "--bpw", bits)
            title = f"{name} --bpw {bits}"
            used = got["bits_per_weight"]
            yield Result(f"bits over budget: {title}", used - bits, 0, f"{used:.4f}")
            yield Result(f"bits not used: {title}", 1 - used / bits, UNUSED, f"{used:.4f}")
            predicted = got["kl_divergence_predicted"]
            note = f"{predicted:.4f} predicted, {got[DAMAGE]:.4f} measured"
            error = common.relative(predicted, got[DAMAGE])
            yield Result(f"prediction: {title}", error, PREDICTION, note)
            rivals = {k: r[DAMAGE] for k, r in plain.items() if r["bits_per_weight"] <= bits}
            if rivals:
                best = min(rivals, key=rivals.get)
                note = f"{got[DAMAGE]:.4f}, {best} {rivals[best]:.4f}"
                yield Result(f"damage over plain: {title}", got[DAMAGE] / rivals[best], 1, note)


def smallest_said(model, flag, value):
    """What the refusal of an impossible budget names as the smallest."""
    command = [common.checkbit_path(), "quantize", model, "-o", "unused.gguf", flag, value]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    named = re.search(rf"smallest possible is {flag} (\S+?)[,\s]", done.stderr + " ")
    if done.returncode != 1 or not named:
        raise common.Failed(f"{flag} {value}: status {done.returncode}: {done.stderr.strip()}")
    return named[1]


def accepted(model, flag, value):
    """Whether a budget is not refused; the planning itself is cut short."""
    command = [common.checkbit_path(), "quantize", model, "-o", "unused.gguf", flag, value]
    command += ["--dry-run", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode == 0


def check_smallest():
    """The smallest possible does not move with the request, and is possible."""
    model = common.model_path(MODELS[0])
    for flag, requests in (("--bpw", ("0.5", "2.0")), ("--fit", ("1MiB", "40MiB"))):
        said = [smallest_said(model, flag, value) for value in requests]
        title = f"{flag} {said[0]}"
        yield Result(f"smallest moves: {title}", len(set(said)) - 1, 0)
        yield Result(f"smallest refused: {title}", 0 if accepted(model, flag, said[0]) else 1, 0)


if __name__ == "__main__":
    common.main(__doc__, [check_smallest, check_budget])
