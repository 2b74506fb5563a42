#!/usr/bin/env python3
"""The numpy oracle against llama.cpp: two independent readings of the same model families.

With float32 weights llama.cpp does not round activations, so both must agree to the 16-bit steps in
which it stores log-probabilities (gemma3: to its table of GELU values). Real models are converted
to float32 by llama.cpp's own decoder, so this also compares the decoding of their weight types.
"""

import dataclasses
import os
import tempfile

import numpy as np

import common
import forward
import peer
from common import Result
from make_random_model import write_model
from random_recipes import RANDOM, TINY

RANDOM_CONTEXT, REAL_CONTEXT = 160, 128
LIMIT = 2e-5
GELU_TABLE_LIMIT = 5e-4
FLOAT_CACHE = ["-ctk", "f32", "-ctv", "f32", "-fa", "off"]


def oracle_log_probabilities(model, tokens):
    """What llama-perplexity scores of one window: the second half but for its last token."""
    loaded = forward.Model(model)
    window = tokens.copy()
    if loaded.field("tokenizer.ggml.add_bos_token"):
        window[0] = loaded.field("tokenizer.ggml.bos_token_id")
    positions = range(len(window) // 2, len(window) - 1)
    return common.log_softmax(forward.forward(model, window, list(positions)))


def compare(label, model, float_model, context):
    """Largest difference of log-probabilities over one window, as a share of the oracle's range."""
    tokens, theirs = peer.log_probabilities(
        float_model, common.text_path(), context, 1, FLOAT_CACHE
    )
    oracle = oracle_log_probabilities(model, tokens[0])
    stored = np.maximum(oracle, theirs[0].min(axis=-1, keepdims=True))  # the stored minimum
    difference = float(np.max(np.abs(stored - theirs[0])) / np.ptp(oracle))
    limit = GELU_TABLE_LIMIT if forward.Model(model).architecture == "gemma3" else LIMIT
    return Result(f"oracle = llama.cpp: {label}", difference, limit)


def check_random():
    """Every random model, with its weight types replaced by F32."""
    with tempfile.TemporaryDirectory() as folder:
        for recipe in (recipe for recipe in TINY + RANDOM if recipe.in_peer):
            model = os.path.join(folder, recipe.name + ".gguf")
            write_model(model, dataclasses.replace(recipe, types=("F32",), embedding_type="F32"))
            yield compare(recipe.name, model, model, RANDOM_CONTEXT)


def check_real():
    """Three of the catalogue's models, one of each family."""
    for name in common.models(common.MODELS[:3]):
        model = common.model_path(name)
        with tempfile.NamedTemporaryFile(dir=common.scratch(), suffix=".gguf") as file:
            peer.run_checked("llama-quantize", ["--allow-requantize", model, file.name, "F32"])
            yield compare(name, model, file.name, REAL_CONTEXT)


if __name__ == "__main__":
    common.main(__doc__, [check_random, check_real])
