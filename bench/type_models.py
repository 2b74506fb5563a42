#!/usr/bin/env python3
"""Writes one model per tensor type, of random weights in the layer shape of qwen2.5-coder-1.5b.

    type_models.py FOLDER [TYPE ...]     (in the oracles' environment: tools/oracle_venv)

Prints the paths. What is there already is not written again. The layers share their random
numbers: a program reads them all, whatever they hold.
"""

import os
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(REPOSITORY, "tests", "oracles"))
import make_random_model  # noqa: E402
import random_weights  # noqa: E402
from random_recipes import Recipe  # noqa: E402

# Types that llama.cpp runs too.
TYPES = (
    "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ1_S", "IQ1_M",
    "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4",
    "F16", "BF16",
)  # fmt: skip
LAYERS = 6  # together far larger than caches
PREFIX = "type-"


class RepeatingWriter(make_random_model.ModelWriter):
    """Makes the numbers of a shape once."""

    def __init__(self, path, recipe):
        super().__init__(path, recipe)
        self.made = {}

    def matrix(self, name, rows, columns, gain=1.0, type_name=None):
        """As its base, from the numbers of an earlier layer where there are some."""
        type_name = type_name or self.next_type(columns)
        key = (rows, columns, type_name)
        if key not in self.made:
            deviation = gain / columns**0.5
            self.made[key] = random_weights.random_matrix(self.rng, *key, deviation)
        raw_type = make_random_model.GGMLQuantizationType[type_name]
        self.writer.add_tensor(f"{name}.weight", self.made[key], raw_dtype=raw_type)


def recipe(type_name):
    """Layers of the 1.5B model; a small vocabulary, so that they are what is measured."""
    return Recipe(
        PREFIX + type_name, "llama", "speed of a type", 1, width=1536, layers=LAYERS, heads=12,
        shared_heads=2, head_size=128, feed_forward=8960, vocabulary=300, types=(type_name,),
        embedding_type="F16",
    )  # fmt: skip


def main():
    """Command line."""
    folder, wanted = sys.argv[1], sys.argv[2:] or TYPES
    os.makedirs(folder, exist_ok=True)
    for type_name in wanted:
        path = os.path.join(folder, f"{PREFIX}{type_name}.gguf")
        if not os.path.exists(path):
            print(f"type_models: writing {path}", file=sys.stderr)
            make_random_model.write_model(path + ".part", recipe(type_name), RepeatingWriter)
            os.replace(path + ".part", path)
        print(path)


if __name__ == "__main__":
    main()
