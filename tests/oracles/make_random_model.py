#!/usr/bin/env python3
"""Writes small GGUF models of seeded random weights, in the file form of real models.

Weights are scaled so that attention and feed-forward matter: an engine that drops a bias, pairs
rotary dimensions wrongly or ignores a window gives visibly different logits.
"""

import argparse
import os
from dataclasses import dataclass, field

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

import random_tokenizer
from random_weights import block_size, random_matrix

EPSILON = 1e-2  # of norms: far larger than in real models, so that a wrong one shows
SCORE_GAIN = 1.4  # queries and keys; attention scores get a deviation near its square
BIAS_DEVIATION = 0.5


@dataclass(frozen=True)
class Recipe:
    """One random model. `types` are dealt out to the matrices in turn, skipping what does not fit."""

    name: str
    architecture: str
    about: str
    seed: int
    width: int = 64
    layers: int = 2
    heads: int = 4
    shared_heads: int = 2
    head_size: int = 16
    feed_forward: int = 128
    vocabulary: int = 300
    context: int = 2048
    types: tuple = ("F32",)
    embedding_type: str = "F16"
    tied: bool = True
    rope_base: float = 10000.0
    llama3_divisors: bool = False
    extra: dict = field(default_factory=dict)  # metadata without the architecture's prefix

    @property
    def has_biases(self):
        """Query, key and value biases."""
        return self.architecture == "qwen2"

    @property
    def has_head_norms(self):
        """Norms of queries and keys."""
        return self.architecture in ("qwen3", "gemma3")


class ModelWriter:
    """Deals out random tensors to a GGUF file."""

    def __init__(self, path, recipe):
        self.recipe = recipe
        self.rng = np.random.default_rng(recipe.seed)
        self.writer = GGUFWriter(path, recipe.architecture)
        self.matrices = 0

    def next_type(self, columns):
        """The next of the recipe's types that fits."""
        for _ in self.recipe.types:
            name = self.recipe.types[self.matrices % len(self.recipe.types)]
            self.matrices += 1
            if columns % block_size(name) == 0:
                return name
        raise ValueError(f"{self.recipe.name}: no type fits {columns} columns")

    def matrix(self, name, rows, columns, gain=1.0, type_name=None):
        """A matrix whose product with unit inputs has deviation `gain`."""
        type_name = type_name or self.next_type(columns)
        data = random_matrix(self.rng, rows, columns, type_name, gain / np.sqrt(columns))
        self.writer.add_tensor(f"{name}.weight", data, raw_dtype=GGMLQuantizationType[type_name])

    def vector(self, name, size, mean, deviation):
        """A float32 vector."""
        values = mean + deviation * self.rng.standard_normal(size)
        self.writer.add_tensor(name, values.astype(np.float32))

    def norm(self, name, size, mean=1.0):
        """Weights of a norm."""
        self.vector(f"{name}.weight", size, mean, 0.15 * mean)


def add_metadata(writer, recipe):
    """Hyperparameters and tokenizer."""
    prefix = recipe.architecture + "."
    writer.add_name(f"Random {recipe.name}")
    writer.add_context_length(recipe.context)
    writer.add_embedding_length(recipe.width)
    writer.add_block_count(recipe.layers)
    writer.add_feed_forward_length(recipe.feed_forward)
    writer.add_head_count(recipe.heads)
    writer.add_head_count_kv(recipe.shared_heads)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_freq_base(recipe.rope_base)
    if recipe.head_size * recipe.heads != recipe.width or recipe.architecture in ("qwen3", "gemma3"):
        writer.add_key_length(recipe.head_size)
        writer.add_value_length(recipe.head_size)
    if recipe.architecture == "llama":
        writer.add_rope_dimension_count(recipe.head_size)
        writer.add_vocab_size(recipe.vocabulary)
    for key, value in recipe.extra.items():
        add = {str: writer.add_string, int: writer.add_uint32, float: writer.add_float32}
        add[type(value)](prefix + key, value)
    writer.add_quantization_version(2)
    if recipe.architecture == "gemma3":
        random_tokenizer.add_spm(writer, recipe.vocabulary)
    else:
        pretokenizer = "smollm" if recipe.architecture == "llama" else "qwen2"
        random_tokenizer.add_bpe(writer, recipe.vocabulary, pretokenizer)


def llama3_divisors(recipe):
    """Per-frequency divisors: 1 for fast pairs, 8 for slow ones, a slope between (Llama 3)."""
    pairs = np.arange(recipe.head_size // 2)
    wavelengths = 2 * np.pi * recipe.rope_base ** (2.0 * pairs / recipe.head_size)
    original, factor, slow, fast = 32.0, 8.0, 1.0, 4.0  # a short context, so that tests reach it
    blend = np.clip((original / wavelengths - slow) / (fast - slow), 0.0, 1.0)
    return 1.0 / ((1.0 - blend) / factor + blend)


def add_layer(model, layer):
    """The tensors of one layer."""
    recipe, prefix = model.recipe, f"blk.{layer}."
    query = recipe.heads * recipe.head_size
    shared = recipe.shared_heads * recipe.head_size
    gain = 1.0 if recipe.has_head_norms else SCORE_GAIN
    model.norm(prefix + "attn_norm", recipe.width)
    model.matrix(prefix + "attn_q", query, recipe.width, gain)
    model.matrix(prefix + "attn_k", shared, recipe.width, gain)
    model.matrix(prefix + "attn_v", shared, recipe.width)
    if recipe.has_biases:
        for name, size in (("attn_q", query), ("attn_k", shared), ("attn_v", shared)):
            model.vector(f"{prefix}{name}.bias", size, 0.0, BIAS_DEVIATION)
    if recipe.has_head_norms:
        model.norm(prefix + "attn_q_norm", recipe.head_size, SCORE_GAIN)
        model.norm(prefix + "attn_k_norm", recipe.head_size, SCORE_GAIN)
    model.matrix(prefix + "attn_output", recipe.width, query)
    model.norm(prefix + "ffn_norm", recipe.width)
    model.matrix(prefix + "ffn_gate", recipe.feed_forward, recipe.width, 1.5)
    model.matrix(prefix + "ffn_up", recipe.feed_forward, recipe.width)
    model.matrix(prefix + "ffn_down", recipe.width, recipe.feed_forward)
    if recipe.architecture == "gemma3":
        model.norm(prefix + "post_attention_norm", recipe.width)
        model.norm(prefix + "post_ffw_norm", recipe.width)


def write_model(path, recipe):
    """Writes the model of a recipe."""
    model = ModelWriter(path, recipe)
    add_metadata(model.writer, recipe)
    gain = 3.0 if recipe.tied else np.sqrt(recipe.width)
    model.matrix("token_embd", recipe.vocabulary, recipe.width, gain, recipe.embedding_type)
    if recipe.llama3_divisors:
        divisors = llama3_divisors(recipe).astype(np.float32)
        model.writer.add_tensor("rope_freqs.weight", divisors)
    for layer in range(recipe.layers):
        add_layer(model, layer)
    model.norm("output_norm", recipe.width)
    if not recipe.tied:
        model.matrix("output", recipe.vocabulary, recipe.width, 3.0)
    model.writer.write_header_to_file()
    model.writer.write_kv_data_to_file()
    model.writer.write_tensors_to_file()
    model.writer.close()


YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
        "rope.scaling.original_context_length": 512}
K_TYPES = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
I_TYPES = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS")
SMALL_TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4", "BF16")

# Committed to tests/data/tiny with their logits (make_tiny_models.py).
TINY = (
    Recipe("llama-llama3", "llama", "divisors of Llama 3 in rope_freqs.weight, tied output", 1,
           types=("Q8_0", "F16", "Q4_0"), embedding_type="F16", rope_base=500.0,
           llama3_divisors=True),
    Recipe("llama-yarn", "llama", "YaRN scaling by 4, own output matrix", 2, tied=False,
           types=("Q4_0", "Q8_0", "F16"), embedding_type="Q8_0", rope_base=100.0, extra=YARN),
    Recipe("qwen2-bias", "qwen2", "query, key and value biases, one shared head", 3,
           shared_heads=1, types=("Q8_0", "F16"), embedding_type="Q8_0", rope_base=1e6),
    Recipe("qwen3-norms", "qwen3", "query and key norms, heads wider than width / heads", 4,
           head_size=32, types=("Q4_0", "Q8_0"), embedding_type="F16", rope_base=1e6),
    Recipe("gemma3-window", "gemma3", "seven layers, window of 8 tokens, one global layer", 5,
           layers=7, shared_heads=1, feed_forward=64, types=("Q4_0", "Q4_0", "Q4_0", "Q8_0"),
           embedding_type="Q8_0", vocabulary=310, rope_base=1e6,
           extra={"attention.sliding_window": 8}),
)

# Made when needed.
RANDOM = (
    Recipe("llama-linear", "llama", "linear scaling by 4", 11,
           extra={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    Recipe("llama-f32", "llama", "plain, all F32", 12, layers=3, tied=False, embedding_type="F32"),
    Recipe("llama-yarn-long", "llama", "YaRN, wide heads, F32", 13, head_size=32, extra=YARN),
    Recipe("llama-odd-80", "llama", "80 and 240 columns: only F32, F16, BF16 fit", 14, width=80,
           heads=5, shared_heads=5, feed_forward=240, types=("F32", "F16", "BF16")),
    Recipe("qwen2-odd-96", "qwen2", "96 and 224 columns: blocks of 32 only, own output", 15,
           width=96, heads=6, shared_heads=3, feed_forward=224, tied=False, types=SMALL_TYPES,
           embedding_type="Q8_0"),
    Recipe("qwen2-k-types", "qwen2", "K types, own output", 16, width=256, heads=8, head_size=32,
           feed_forward=512, tied=False, types=K_TYPES, embedding_type="Q4_K"),
    Recipe("qwen3-i-types", "qwen3", "IQ types", 17, width=256, heads=4, head_size=128,
           feed_forward=512, types=I_TYPES, embedding_type="Q6_K"),
    Recipe("qwen3-f32", "qwen3", "plain, all F32, one query head per shared head", 18, layers=4,
           shared_heads=4, embedding_type="F32", rope_base=1e6),
    Recipe("llama-ternary", "llama", "TQ1_0, TQ2_0 and MXFP4", 19, width=256, head_size=64,
           feed_forward=512, types=("TQ1_0", "TQ2_0", "MXFP4", "Q8_0")),
    Recipe("gemma3-long", "gemma3", "twelve layers, window of 32, linear scaling of global layers",
           20, layers=12, width=96, head_size=32, feed_forward=160, vocabulary=400,
           types=("Q5_0", "F16", "Q5_1"), embedding_type="Q8_0", rope_base=1e6,
           extra={"attention.sliding_window": 32, "rope.scaling.type": "linear",
                  "rope.scaling.factor": 8.0}),
)


def main():
    """Command line."""
    recipes = {recipe.name: recipe for recipe in TINY + RANDOM}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="models to write (default: all)")
    parser.add_argument("-o", "--output", default=".", help="folder")
    parser.add_argument("--list", action="store_true", help="only list the models")
    arguments = parser.parse_args()
    for name in arguments.names or recipes:
        if name not in recipes:
            parser.error(f"no model {name!r}; --list shows them")
        path = os.path.join(arguments.output, name + ".gguf")
        if not arguments.list:
            os.makedirs(arguments.output, exist_ok=True)
            write_model(path, recipes[name])
        print(f"{name:18} {recipes[name].architecture:7} {recipes[name].about}")


if __name__ == "__main__":
    main()
