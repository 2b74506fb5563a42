#!/usr/bin/env python3
"""The promise of `quantize --fit` against what the kernel counts when the result runs.

A model is fitted into shares of what it takes as it is; the result then reads a prompt that nearly
fills the context and generates. The most memory that process had (its maximum resident set, mapped
pages of the file included) must stay within 3 % of what was promised, and not above it.

A small and a middle model, in a short run the small one; CHECKBIT_FIT=all for the four models.
"""

import json
import os
import tempfile

import common
from common import Result

USUAL = ("smollm2-135m", "qwen2.5-coder-0.5b")
CASES = (  # share of what it takes unchanged, context, type of cache
    (0.75, 512, "f16"),
    (0.9, 512, "f16"),
    (0.8, 4096, "f16"),
    (0.8, 4096, "q8_0"),
)
GENERATED = 24
CLOSE = 0.03
AMPLE = "64GiB"


def prompt_of(model, context, folder):
    """A file of token ids that leaves room for what is generated."""
    start = os.path.join(folder, "start.txt")
    with open(common.text_path(), encoding="utf-8") as text:
        words = text.read(8 * context)
    with open(start, "w", encoding="utf-8") as file:
        file.write(words)
    ids = json.loads(common.checkbit("tokenize", model, "--file", start, "--ids"))
    path = os.path.join(folder, "prompt.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(ids[: context - GENERATED], file)
    return path


def fit_results(name, share, context, cache):
    """Promise against request, and peak against promise, from both sides."""
    model = common.model_path(name)
    title = f"{name} in {share:.0%}, context {context}, {cache} cache"
    with tempfile.TemporaryDirectory(dir=common.scratch()) as folder:
        output = os.path.join(folder, "fitted.gguf")
        goal = ("-o", output, "--context", context, "--kv-cache", cache, "--no-measure")
        whole = common.checkbit_records("quantize", model, *goal, "--fit", AMPLE, "--dry-run")["peak_bytes_promised"]
        asked = int(share * whole)
        promised = common.checkbit_records("quantize", model, *goal, "--fit", asked)["peak_bytes_promised"]
        prompt = prompt_of(model, context, folder)
        run = ("run", output, "-c", context, "--kv-cache", cache, "--tokens-file", prompt, "-n", GENERATED, "--json")
        peak = common.peak_bytes(*run)
    note = f"asked {asked / 2**20:.1f}, promised {promised / 2**20:.1f}, peak {peak / 2**20:.1f} MiB"
    yield Result(f"promise over request: {title}", promised / asked - 1, 0, note)
    yield Result(f"peak over promise: {title}", peak / promised - 1, 0, note)
    yield Result(f"promise not used: {title}", 1 - peak / promised, CLOSE, note)


def check_fit():
    """Every case of the models asked for."""
    names = common.MODELS if os.environ.get("CHECKBIT_FIT") == "all" else common.models(USUAL)
    for name in names:
        for case in CASES:
            yield from fit_results(name, *case)


if __name__ == "__main__":
    common.main(__doc__, [check_fit])
