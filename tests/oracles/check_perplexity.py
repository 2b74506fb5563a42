#!/usr/bin/env python3
"""Perplexity and divergence of `checkbit measure` against llama.cpp's perplexity tool.

Same text, windows of 512 tokens, the second half of each scored.
"""

import contextlib
import os
import tempfile

import common
import peer
from common import Result

CONTEXT, WINDOWS = 512, 16  # 8,192 tokens
PEER_LIMIT = 0.01
ACTIVATIONS_LIMIT = 0.005
# Relative. Quantiles and maxima of few tokens move more than means with the last bits of a model.
DIVERGENCE_LIMITS = {
    "perplexity": 0.01,
    "perplexity_reference": 0.01,
    "kl_divergence_mean": 0.01,
    "kl_divergence_median": 0.02,
    "kl_divergence_p90": 0.02,
    "kl_divergence_p99": 0.05,
    "probability_change_rms": 0.02,
}
CHANGED_LIMIT = 0.01
QUANTIZED_MODEL, QUANTIZED_TYPE = "qwen2.5-coder-0.5b", "Q4_0"


@contextlib.contextmanager
def text_file(model, windows=WINDOWS):
    """A file with the start of the test text, of the given number of whole windows in tokens."""
    text = peer.text_of_tokens(model, windows * CONTEXT, (windows + 1) * CONTEXT)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        file.write(text)
        file.flush()
        yield file.name


def measure(model, text, *flags):
    """Records of `checkbit measure` over a text file."""
    return common.checkbit_records(
        "measure", model, "--text", text, "--context", CONTEXT, "--windows", WINDOWS, *flags
    )


def check_perplexity():
    """Perplexity of real models: ours and llama.cpp's, 8-bit and float activations."""
    for name in common.models():
        model = common.model_path(name)
        with text_file(model) as text:
            theirs = peer.perplexity(model, text, CONTEXT, WINDOWS)
            ours = measure(model, text)["perplexity"]
            exact = measure(model, text, "--activations", "f32")["perplexity"]
        yield Result(
            f"perplexity = llama.cpp: {name}",
            common.relative(ours, theirs),
            PEER_LIMIT,
            f"{ours:.4f}, llama.cpp {theirs:.4f}",
        )
        yield Result(
            f"perplexity 8-bit = f32: {name}",
            common.relative(ours, exact),
            ACTIVATIONS_LIMIT,
            f"{ours:.4f}, f32 {exact:.4f}",
        )


def check_divergence():
    """Divergence of a model quantized by llama.cpp from the one it was made of."""
    name = common.MODELS[0] if common.SHORT else QUANTIZED_MODEL
    reference = common.model_path(name)
    model = common.scratch(f"{name}-{QUANTIZED_TYPE}.gguf")
    if not os.path.exists(model):
        arguments = ["--allow-requantize", reference, model + ".part", QUANTIZED_TYPE]
        peer.run_checked("llama-quantize", arguments)
        os.replace(model + ".part", model)
    with text_file(reference) as text:
        theirs = peer.divergence(model, reference, text, CONTEXT, WINDOWS)
        ours = measure(model, text, "--against", reference)
    label = f"{name} {QUANTIZED_TYPE}"
    for figure, limit in DIVERGENCE_LIMITS.items():
        yield Result(
            f"{figure} = llama.cpp: {label}",
            common.relative(ours[figure], theirs[figure]),
            limit,
            f"{ours[figure]:.5f}, llama.cpp {theirs[figure]:.5f}",
        )
    yield Result(
        f"changed tokens = llama.cpp: {label}",
        abs(ours["top1_changed"] - theirs["top1_changed"]),
        CHANGED_LIMIT,
        f"{ours['top1_changed']:.4f}, llama.cpp {theirs['top1_changed']:.4f}",
    )


if __name__ == "__main__":
    common.main(__doc__, [check_perplexity, check_divergence])
