#!/usr/bin/env python3
"""Peak memory as the operating system counts it, against what Checkbit promises.

Quantizing stays under twice the largest tensor plus 200 MB; a file made by `quantize --fit` runs
within 3 % of the peak it promised, with its context full.
"""

import json
import os
import re
import sys
import tempfile

import common
from common import Failed, Result

sys.path.insert(0, os.path.join(common.REPOSITORY, "bench"))
import programs  # noqa: E402  (the benchmarks' way to measure a process)

QUANTIZED = (("smollm2-135m", "Q4_0"), ("qwen2.5-coder-1.5b", "Q4_K_M"))
QUANTIZE_MARGIN_BYTES = 200_000_000
FITTED = (("smollm2-135m", "120MiB"), ("qwen2.5-coder-0.5b", "400MiB"))
CONTEXT = 512
PROMISE_LIMIT = 0.03


def peak_bytes(*arguments):
    """Peak resident bytes of a run of Checkbit."""
    command = [common.checkbit_path(), *map(str, arguments)]
    try:
        return programs.run(programs.Call(command, lambda _, facts: facts["peak_bytes"]), [])
    except programs.Failed as error:
        raise Failed(str(error)) from None


def first_tokens(model, count):
    """Ids of the first tokens of the test text."""
    printed = common.checkbit("tokenize", model, "--file", common.text_path(), "--ids")
    return [int(number) for number in re.findall(r"\d+", printed)][:count]


def check_quantizing():
    """A small and a large model, with and without much to stream."""
    for name, type_name in common.models(QUANTIZED):
        model = common.model_path(name)
        tensors = json.loads(common.checkbit("inspect", model, "--json"))["tensors"]
        limit = 2 * max(tensor["bytes"] for tensor in tensors) + QUANTIZE_MARGIN_BYTES
        with tempfile.TemporaryDirectory(dir=common.scratch()) as folder:
            output = os.path.join(folder, "quantized.gguf")
            peak = peak_bytes("quantize", model, "-o", output, "--type", type_name)
        note = f"{peak / 1e6:.0f} MB, limit {limit / 1e6:.0f} MB"
        yield Result(f"peak of quantizing / limit: {name} {type_name}", peak / limit, 1, note)


def check_fit():
    """The promise in the records of `quantize --fit`, and a run that fills the context."""
    for name, budget in common.models(FITTED):
        with tempfile.TemporaryDirectory(dir=common.scratch()) as folder:
            output = os.path.join(folder, "fitted.gguf")
            arguments = ("--fit", budget, "--context", CONTEXT, "--json")
            made = json.loads(common.checkbit("quantize", common.model_path(name), "-o", output, *arguments))
            records = {record["name"]: record["value"] for record in made["records"]}
            promised = records["peak_bytes_promised"]
            tokens = os.path.join(folder, "tokens.json")
            with open(tokens, "w", encoding="utf-8") as file:
                json.dump(first_tokens(output, CONTEXT), file)
            run = ("run", output, "--tokens-file", tokens, "-n", 1, "--context", CONTEXT)
            peak = peak_bytes(*run)
        note = f"{peak / 1e6:.1f} MB, promised {promised / 1e6:.1f} MB"
        difference = common.relative(peak, promised)
        yield Result(f"peak = promised: {name} {budget}", difference, PROMISE_LIMIT, note)


if __name__ == "__main__":
    common.main(__doc__, [check_quantizing, check_fit])
