#!/usr/bin/env python3
"""An independent forward pass in float64 over a GGUF file: the oracle of the engine's logits.

Written from the papers of each model family (Llama 2302.13971, Qwen2 2407.10671, Qwen3 2505.09388,
Gemma 3 2503.19786) and the GGUF specification; weights are decoded by the gguf package. Slow and
plain on purpose. One layer is decoded at a time, so memory stays near one layer plus the logits.
"""

import argparse
import json
import math
import sys
from dataclasses import dataclass

import numpy as np
from gguf import GGUFReader

import format_oracle
import own_formats
import rotary

OUTPUT_ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Family:
    """How one architecture differs from the plain pre-norm transformer with gated feed-forward."""

    adjacent_pairs: bool = False
    query_key_norm: bool = False
    post_norms: bool = False
    gelu_gate: bool = False
    scaled_embedding: bool = False
    sliding_period: int = 0  # every n-th layer is global, the others slide; 0: all global
    local_rope_base: float = 10000.0


FAMILIES = {
    "llama": Family(adjacent_pairs=True),
    "qwen2": Family(),
    "qwen3": Family(query_key_norm=True),
    "gemma3": Family(
        query_key_norm=True,
        post_norms=True,
        gelu_gate=True,
        scaled_embedding=True,
        sliding_period=6,
    ),
}


class Model:
    """Metadata and decoded tensors of one GGUF file.

    `half_cache` rounds keys and values to float16, as engines store them between tokens.
    """

    def __init__(self, path, half_cache=False):
        """Opens the file; refuses architectures it does not know."""
        self.half_cache = half_cache
        self.reader = GGUFReader(path)
        self.tensors = {tensor.name: tensor for tensor in self.reader.tensors}
        self.own_formats = own_formats.tensor_types(self.reader)
        self.architecture = self.field("general.architecture")
        if self.architecture not in FAMILIES:
            raise ValueError(f"{path}: architecture {self.architecture!r} has no oracle")
        self.family = FAMILIES[self.architecture]
        self.layers = self.key("block_count")
        self.width = self.key("embedding_length")
        self.vocabulary = int(self.tensors["token_embd.weight"].shape[1])
        self.epsilon = self.key("attention.layer_norm_rms_epsilon")

    def field(self, name, default=None):
        """A metadata value, or the default."""
        found = self.reader.get_field(name)
        return default if found is None else found.contents()

    def key(self, name, default=None):
        """A metadata value of the model's architecture; an error when missing without default."""
        value = self.field(f"{self.architecture}.{name}", default)
        if value is None:
            raise ValueError(f"metadata {self.architecture}.{name} is missing")
        return value

    def heads(self, layer):
        """Query heads, key and value heads of a layer (either may be one number per layer)."""
        query = self.key("attention.head_count")
        shared = self.key("attention.head_count_kv", query)
        return tuple(
            value[layer] if isinstance(value, list) else value for value in (query, shared)
        )

    def head_sizes(self):
        """Size of a key and of a value."""
        default = self.width // self.heads(0)[0]
        return self.key("attention.key_length", default), self.key(
            "attention.value_length", default
        )

    def rows(self, name, selection=slice(None)):
        """Decoded rows of a matrix as float64, or a vector."""
        data = self.tensors[name].data[selection]
        if name in self.own_formats:
            flat = own_formats.dequantize(data, self.own_formats[name])
        else:
            flat = format_oracle.dequantize(data, self.tensors[name].tensor_type.name)
        shape = (len(data), -1) if data.ndim > 1 else (-1,)
        return flat.astype(np.float64).reshape(shape)

    def optional(self, name):
        """A decoded tensor, or None when the file does not have it."""
        return self.rows(name) if name in self.tensors else None

    def window(self, layer):
        """Tokens that a token of this layer sees, itself included; 0 means all."""
        period = self.family.sliding_period
        if not period:
            return 0
        period = self.key("attention.sliding_window_pattern", period)
        local = period[layer] if isinstance(period, list) else (layer + 1) % period != 0
        return self.key("attention.sliding_window", 0) if local else 0

    def rotary_config(self, layer):
        """Rotation of a layer; sliding layers have their own base and no scaling."""
        dimensions = self.key("rope.dimension_count", self.head_sizes()[0])
        adjacent = self.family.adjacent_pairs
        if self.window(layer):
            base = self.key("rope.freq_base_swa", self.family.local_rope_base)
            return rotary.RotaryConfig(dimensions, base, adjacent)
        factor = self.key("rope.scaling.factor", self.key("rope.scale_linear", 1.0))
        return rotary.RotaryConfig(
            dimensions,
            self.key("rope.freq_base", 10000.0),
            adjacent,
            self.key("rope.scaling.type", "linear"),
            factor,
            self.key("rope.scaling.attn_factor", 1.0),
            self.key("rope.scaling.original_context_length", self.key("context_length")),
            self.key("rope.scaling.yarn_beta_fast", 32.0),
            self.key("rope.scaling.yarn_beta_slow", 1.0),
        )


def rms_norm(vectors, weight, epsilon):
    """Root mean square normalisation over the last axis (1910.07467)."""
    mean_square = np.mean(vectors * vectors, axis=-1, keepdims=True)
    return vectors / np.sqrt(mean_square + epsilon) * weight


def silu(x):
    """x times its sigmoid."""
    return x / (1.0 + np.exp(-x))


def gelu_tanh(x):
    """The tanh form of the Gaussian error linear unit (1606.08415)."""
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def softmax(scores):
    """Over the last axis; -inf entries get exactly 0."""
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def project(model, name, inputs):
    """inputs [tokens, columns] times the transposed matrix `name`.weight, plus `name`.bias."""
    result = inputs @ model.rows(f"{name}.weight").T
    bias = model.optional(f"{name}.bias")
    return result if bias is None else result + bias


def visible(tokens, window):
    """[tokens, tokens] of booleans: may the row's token see the column's?"""
    distance = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
    allowed = distance >= 0
    return allowed & (distance < window) if window else allowed


def attention(model, layer, inputs):
    """Grouped-query attention over the whole sequence: [tokens, width] to [tokens, width]."""
    tokens = inputs.shape[0]
    query_heads, shared_heads = model.heads(layer)
    key_size, value_size = model.head_sizes()
    prefix = f"blk.{layer}."
    query = project(model, prefix + "attn_q", inputs).reshape(tokens, query_heads, key_size)
    key = project(model, prefix + "attn_k", inputs).reshape(tokens, shared_heads, key_size)
    value = project(model, prefix + "attn_v", inputs).reshape(tokens, shared_heads, value_size)
    if model.family.query_key_norm:
        query = rms_norm(query, model.rows(prefix + "attn_q_norm.weight"), model.epsilon)
        key = rms_norm(key, model.rows(prefix + "attn_k_norm.weight"), model.epsilon)
    positions = np.arange(tokens)
    config = model.rotary_config(layer)
    divisors = model.optional("rope_freqs.weight")
    query = rotary.rotate(query, positions, config, divisors)
    key = rotary.rotate(key, positions, config, divisors)

    if model.half_cache:
        key, value = (x.astype(np.float16).astype(np.float64) for x in (key, value))

    allowed = visible(tokens, model.window(layer))
    mixed = np.empty((tokens, query_heads, value_size))
    for head in range(query_heads):
        shared = head // (query_heads // shared_heads)
        scores = query[:, head] @ key[:, shared].T / math.sqrt(key_size)
        mixed[:, head] = softmax(np.where(allowed, scores, -np.inf)) @ value[:, shared]
    return project(model, prefix + "attn_output", mixed.reshape(tokens, -1))


def feed_forward(model, layer, inputs):
    """The gated feed-forward block (2002.05202)."""
    prefix = f"blk.{layer}."
    gate = project(model, prefix + "ffn_gate", inputs)
    gate = gelu_tanh(gate) if model.family.gelu_gate else silu(gate)
    return project(model, prefix + "ffn_down", gate * project(model, prefix + "ffn_up", inputs))


def block(model, layer, hidden):
    """One layer: attention and feed-forward, each added to the stream."""

    def norm(name, vectors):
        return rms_norm(vectors, model.rows(f"blk.{layer}.{name}.weight"), model.epsilon)

    update = attention(model, layer, norm("attn_norm", hidden))
    hidden = hidden + (norm("post_attention_norm", update) if model.family.post_norms else update)
    update = feed_forward(model, layer, norm("ffn_norm", hidden))
    return hidden + (norm("post_ffw_norm", update) if model.family.post_norms else update)


def output_logits(model, hidden):
    """Logits [tokens, vocabulary]; the output matrix is the embedding when the file has no own."""
    name = "output.weight" if "output.weight" in model.tensors else "token_embd.weight"
    normed = rms_norm(hidden, model.rows("output_norm.weight"), model.epsilon)
    logits = np.empty((hidden.shape[0], model.vocabulary))
    for start in range(0, model.vocabulary, OUTPUT_ROWS_AT_ONCE):
        part = slice(start, min(start + OUTPUT_ROWS_AT_ONCE, model.vocabulary))
        logits[:, part] = normed @ model.rows(name, part).T
    cap = model.key("final_logit_softcapping", 0.0)
    return np.tanh(logits / cap) * cap if cap else logits


def forward(path, tokens, positions=None, half_cache=False, progress=None):
    """Logits in float64 [positions or tokens, vocabulary] of a sequence of token ids."""
    model = Model(path, half_cache)
    tokens = np.asarray(tokens, dtype=np.int64)
    if tokens.size == 0 or tokens.min() < 0 or tokens.max() >= model.vocabulary:
        raise ValueError(f"token ids must be 0 to {model.vocabulary - 1}, at least one")
    hidden = model.rows("token_embd.weight", tokens)
    if model.family.scaled_embedding:
        hidden = hidden * math.sqrt(model.width)
    for layer in range(model.layers):
        hidden = block(model, layer, hidden)
        if progress:
            progress(layer + 1, model.layers)
    return output_logits(model, hidden if positions is None else hidden[np.asarray(positions)])


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="GGUF file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tokens", metavar="FILE", help="JSON list of token ids")
    source.add_argument("--text", help="text, split into tokens by llama.cpp")
    parser.add_argument("-o", "--output", required=True, help=".npy file for the float32 logits")
    parser.add_argument("--half-cache", action="store_true", help="keys and values in float16")
    parser.add_argument("--positions", help="compute only these positions, as a JSON list")
    arguments = parser.parse_args()
    if arguments.tokens:
        with open(arguments.tokens, encoding="utf-8") as file:
            tokens = json.load(file)
    else:
        import peer  # only needed here

        tokens = peer.tokenize(arguments.model, arguments.text)

    def progress(done, total):
        print(f"\rlayer {done}/{total}", end="", file=sys.stderr, flush=True)

    positions = json.loads(arguments.positions) if arguments.positions else None
    np.save(
        arguments.output,
        forward(arguments.model, tokens, positions, arguments.half_cache, progress).astype(
            np.float32
        ),
    )
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
