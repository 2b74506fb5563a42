#!/usr/bin/env python3
"""Rewrites tests/data/tiny: tiny random models, token ids and the float64 oracle's logits.

Needed only when a recipe in make_random_model.py or the oracle itself changes.
"""

import argparse
import os

import numpy as np

import common
from forward import forward
from make_random_model import write_model
from random_recipes import TINY

TOKENS = 40


def write_case(folder, recipe):
    """One model with its tokens and logits."""
    stem = os.path.join(folder, recipe.name)
    write_model(stem + ".gguf", recipe)
    rng = np.random.default_rng(recipe.seed + 1000)
    tokens = rng.integers(0, recipe.vocabulary, TOKENS).astype("<i4")
    logits = forward(stem + ".gguf", tokens).astype("<f4")
    tokens.tofile(stem + ".tokens")
    logits.tofile(stem + ".logits")
    print(f"{recipe.name}: {TOKENS} tokens, logits {logits.min():.2f} to {logits.max():.2f}")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.path.join(common.REPOSITORY, "tests", "data", "tiny")
    parser.add_argument("-o", "--output", default=default, help="folder")
    folder = parser.parse_args().output
    os.makedirs(folder, exist_ok=True)
    for recipe in TINY:
        write_case(folder, recipe)


if __name__ == "__main__":
    main()
