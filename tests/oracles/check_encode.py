#!/usr/bin/env python3
"""What encoding costs on real weights: squared error of Checkbit over that of llama.cpp.

The weights are matrices of a real model, decoded and multiplied by the norm before them (as in
encode_quality.py), in an F32 model of one layer. Checkbit writes it in each type; llama.cpp's
quantize_* functions encode the same rows without importance matrix, or with one of all ones where
they insist on it. Both are decoded by the gguf
package. The figure is the worst matrix's ratio.
"""

import os
import tempfile

import gguf
import numpy as np

import common
import encode_quality
import format_oracle
import make_random_model
import peer
from common import Missing, Result
from random_recipes import Recipe

MODEL, LAYER = "qwen2.5-coder-1.5b", 5  # its rows are multiples of 256, so every type fits
SHAPE = Recipe(
    "encode", "llama", "one layer of real weights", 1, width=1536, layers=1, heads=12, head_size=128,
    feed_forward=1024, vocabulary=300, context=64, embedding_type="F32",
)  # fmt: skip
NORMS = {
    "attn_q": "attn_norm", "attn_k": "attn_norm", "attn_v": "attn_norm", "ffn_gate": "ffn_norm",
    "ffn_up": "ffn_norm",
}  # fmt: skip
TERNARY = ("TQ1_0", "TQ2_0")
LIMIT = 1.0 + 1e-6  # sums of float32 squares


class RealWriter(make_random_model.ModelWriter):
    """Takes matrices from a real model instead, cut to the recipe's shape."""

    def __init__(self, path, recipe):
        """Opens both files."""
        super().__init__(path, recipe)
        reader = gguf.GGUFReader(common.model_path(MODEL))
        self.real = {tensor.name: tensor for tensor in reader.tensors}
        self.written = {}

    def matrix(self, name, rows, columns, gain=1.0, type_name=None):
        """Real rows; `gain` plays no part."""
        stem = name.split(".")[-1]
        source = self.real[f"blk.{LAYER}.{stem}.weight" if "." in name else f"{name}.weight"]
        values = format_oracle.dequantize(source.data[:rows], source.tensor_type.name)
        values = values.reshape(min(rows, len(source.data)), -1)[:, :columns]
        if stem in NORMS:
            values = values * self.real[f"blk.{LAYER}.{NORMS[stem]}.weight"].data
        values = np.resize(values, (rows, columns)).astype(np.float32)
        self.writer.add_tensor(f"{name}.weight", values)
        self.written[f"{name}.weight"] = values


def squared_error(rows, other):
    """Sum of squared differences."""
    return float(np.sum(np.square(rows - other.reshape(rows.shape), dtype=np.float64)))


def their_errors(library, stem, written):
    """llama.cpp's error per tensor."""
    return {
        name: squared_error(rows, encode_quality.llama_round_trip(library, stem, rows))
        for name, rows in written.items()
    }


def our_errors(model, type_name, written, folder):
    """Checkbit's error per tensor, of those that got the type."""
    output = os.path.join(folder, "encoded.gguf")
    flags = ["--force"] if type_name in TERNARY else []
    importance = os.path.join(folder, "even.gguf")  # else few bits would be weighed by a text
    peer.write_even_importance(importance, {name: rows.shape[1] for name, rows in written.items()})
    flags += ["--imatrix", importance]
    common.checkbit(
        "quantize", model, "-o", output, "--type", type_name, "--pure", "--no-measure", *flags
    )
    errors = {}
    for tensor in gguf.GGUFReader(output).tensors:
        if tensor.name in written and tensor.tensor_type.name == type_name:
            values = format_oracle.dequantize(tensor.data, type_name)
            errors[tensor.name] = squared_error(written[tensor.name], values)
    os.remove(output)
    return errors


def error_ratio(ours, theirs):
    """1 where both are exact: a matrix that had the type already."""
    if theirs == 0:
        return 1.0 if ours == 0 else float("inf")
    return ours / theirs


def check_encode():
    """One result per type that both programs write."""
    sources = os.environ.get("CHECKBIT_PEER_SOURCE")
    if not sources:
        raise Missing("CHECKBIT_PEER_SOURCE: tools/peer --source prints it")
    with tempfile.TemporaryDirectory(dir=common.scratch()) as folder:
        library = encode_quality.load_quantizers(sources, folder)
        path = os.path.join(folder, "real.gguf")
        model = make_random_model.write_model(path, SHAPE, RealWriter)
        for stem in encode_quality.LLAMA[:: 5 if common.SHORT else 1]:
            ours = our_errors(path, stem.upper(), model.written, folder)
            theirs = their_errors(library, stem, {name: model.written[name] for name in ours})
            worst = max((error_ratio(ours[name], theirs[name]) for name in ours), default=float("nan"))
            total = sum(ours.values()) / sum(theirs.values()) if ours else float("nan")
            note = f"{len(ours)} matrices, together {total:.4f}"
            yield Result(f"error {stem.upper()} / llama.cpp", worst, LIMIT, note)


if __name__ == "__main__":
    common.main(__doc__, [check_encode])
