#!/usr/bin/env python3
"""Writes small GGUF models of seeded random weights, in the file form of real models.

Weights are scaled so that attention and feed-forward matter: an engine that drops a bias, pairs
rotary dimensions wrongly or ignores a window gives visibly different logits.
"""

import argparse
import os

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

import random_tokenizer
from random_recipes import RANDOM, TINY
from random_weights import block_size, random_matrix

EPSILON = 1e-2  # of norms: far larger than in real models, so that a wrong one shows
SCORE_GAIN = 1.4  # queries and keys; attention scores get a deviation near its square
BIAS_DEVIATION = 0.5


class ModelWriter:
    """Deals out random tensors to a GGUF file."""

    def __init__(self, path, recipe):
        """Opens the file."""
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
    if recipe.head_size * recipe.heads != recipe.width or recipe.architecture in (
        "qwen3",
        "gemma3",
    ):
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


def write_model(path, recipe, model_writer=ModelWriter):
    """Writes the model of a recipe; returns the writer."""
    model = model_writer(path, recipe)
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
    return model


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
