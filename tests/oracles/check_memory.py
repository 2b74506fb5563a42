#!/usr/bin/env python3
"""Peak memory of quantizing, as the operating system counts it.

It stays under twice the largest tensor plus 200 MB. (What a fitted file takes: check_fit.py.)
"""

import json
import os
import tempfile

import common
from common import Result

QUANTIZED = (("smollm2-135m", "Q4_0"), ("qwen2.5-coder-1.5b", "Q4_K_M"))
QUANTIZE_MARGIN_BYTES = 200_000_000


def check_quantizing():
    """A small and a large model, with and without much to stream."""
    for name, type_name in common.models(QUANTIZED):
        model = common.model_path(name)
        tensors = json.loads(common.checkbit("inspect", model, "--json"))["tensors"]
        limit = 2 * max(tensor["bytes"] for tensor in tensors) + QUANTIZE_MARGIN_BYTES
        with tempfile.TemporaryDirectory(dir=common.scratch()) as folder:
            output = os.path.join(folder, "quantized.gguf")
            peak = common.peak_bytes("quantize", model, "-o", output, "--type", type_name)
        note = f"{peak / 1e6:.0f} MB, limit {limit / 1e6:.0f} MB"
        yield Result(f"peak of quantizing / limit: {name} {type_name}", peak / limit, 1, note)


if __name__ == "__main__":
    common.main(__doc__, [check_quantizing])
