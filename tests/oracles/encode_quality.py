"""Writes tests/data/real_rows.bin and encode_quality.json: what encoders must reach on real weights.

    python3 tests/oracles/encode_quality.py --llama FOLDER_OF_LLAMA_CPP_SOURCES

The rows are 24 pieces of 512 weights from each of 8 tensors of three models, dequantized, and
multiplied by the norm weights that stand before the tensor (as folding them would do): that takes
the pattern of the file's own quantization out of them. For each type the squared error of
llama.cpp's quantizer without importance matrix (of all ones where it wants one) is recorded per tensor, from its functions
quantize_* compiled out of ggml/src (llama-quantize calls the same); for F16 and BF16 that of numpy
and the gguf package; for Checkbit's own formats that of the best of all scales and offsets, by
exhaustive search (for CT2 and CT3 over all paths too). src/formats/encode_quality_test.cpp compares.
"""

import argparse
import ctypes
import json
import os
import subprocess
import tempfile

import common
import format_oracle
import gguf
import numpy as np
import own_formats

DATA = os.path.join(common.REPOSITORY, "tests", "data")
ROWS, COLUMNS = 24, 512
TENSORS = [
    ("smollm2-135m", "token_embd.weight", "output_norm.weight"),
    ("smollm2-135m", "blk.5.ffn_up.weight", "blk.5.ffn_norm.weight"),
    ("smollm2-135m", "blk.20.attn_q.weight", "blk.20.attn_norm.weight"),
    ("gemma3-270m", "token_embd.weight", "output_norm.weight"),
    ("gemma3-270m", "blk.0.attn_v.weight", "blk.0.attn_norm.weight"),
    ("qwen2.5-coder-0.5b", "output.weight", "output_norm.weight"),
    ("qwen2.5-coder-0.5b", "blk.0.attn_v.weight", "blk.0.attn_norm.weight"),
    ("qwen2.5-coder-0.5b", "blk.12.ffn_gate.weight", "blk.12.ffn_norm.weight"),
]
LLAMA = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_K", "q3_K", "q4_K", "q5_K", "q6_K",
         "iq4_nl", "iq4_xs", "tq1_0", "tq2_0", "mxfp4",
         "iq2_xxs", "iq2_xs", "iq3_xxs", "iq1_s", "iq3_s", "iq2_s", "iq1_m"]  # fmt: skip
# Refused without importance: all ones.
NEED_IMPORTANCE = ("iq2_xxs", "iq2_xs", "iq1_s", "iq1_m")
# What ggml.c wants from files that play no part in quantizing.
STUBS = """
void ggml_critical_section_start(void) {}
void ggml_critical_section_end(void) {}
void ggml_backend_tensor_set(void) {}
void ggml_backend_tensor_memset(void) {}
int ggml_backend_buffer_get_usage(void) { return 0; }
"""


def real_rows() -> np.ndarray:
    """float32 [tensors, ROWS, COLUMNS], the same on every run."""
    rng = np.random.default_rng(7)
    readers = {model: gguf.GGUFReader(common.model_path(model)) for model, _, _ in TENSORS}
    groups = []
    for model, name, norm in TENSORS:
        tensors = {t.name: t for t in readers[model].tensors}
        chosen = rng.choice(tensors[name].data.shape[0], ROWS, replace=False)
        rows = format_oracle.dequantize(tensors[name].data[chosen], tensors[name].tensor_type.name)
        groups.append((rows.reshape(ROWS, -1) * tensors[norm].data)[:, :COLUMNS].astype(np.float32))
    return np.stack(groups)


def load_quantizers(sources: str, folder: str) -> ctypes.CDLL:
    """llama.cpp's quantize_* functions as a shared library in `folder`."""
    ggml = os.path.join(sources, "ggml")
    stubs = os.path.join(folder, "stubs.c")
    with open(stubs, "w", encoding="utf-8") as file:
        file.write(STUBS)
    with open(os.path.join(folder, "ggml-version.h"), "w", encoding="utf-8") as file:
        file.write('#define GGML_VERSION ""\n#define GGML_COMMIT ""\n')
    library = os.path.join(folder, "quantizers.so")
    files = [os.path.join(ggml, "src", name) for name in ("ggml-quants.c", "ggml.c")]
    include = [f"-I{ggml}/include", f"-I{ggml}/src", f"-I{folder}"]
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-D_GNU_SOURCE", *include, "-o", library, *files,
                    stubs, "-lm"], check=True)  # fmt: skip
    return ctypes.CDLL(library)


def llama_round_trip(library: ctypes.CDLL, stem: str, rows: np.ndarray, importance=None) -> np.ndarray:
    """rows as the type holds them; importance: None or float32 [columns]."""
    elements, size = format_oracle.block_size(stem.upper())
    out = np.zeros((len(rows), rows.shape[1] // elements * size), np.uint8)
    if importance is None and stem in NEED_IMPORTANCE:
        importance = np.ones(rows.shape[1], np.float32)
    library.ggml_quantize_init(int(gguf.GGMLQuantizationType[stem.upper()]))
    quantize = getattr(library, "quantize_" + stem)
    quantize.restype = ctypes.c_size_t
    quantize.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 2 + [ctypes.c_void_p]
    weights = None if importance is None else importance.ctypes.data
    quantize(rows.ctypes.data, out.ctypes.data, *rows.shape, weights)
    return format_oracle.dequantize(out, stem.upper()).reshape(rows.shape)


def squared_error(rows: np.ndarray, other: np.ndarray) -> float:
    return float(np.sum((rows.astype(np.float64) - other) ** 2))


def group_scales() -> np.ndarray:
    """All finite scales of own_formats, ascending; without zero."""
    heads = np.arange(1, 31 << 4, dtype=np.uint16) << 7
    return own_formats._scale(heads)


def best_group_errors(rows: np.ndarray, name: str) -> float:
    """Least squared error of CB2, CB3 or CB4, by trying every offset with every scale that could win."""
    bits = own_formats.GROUPS[name][1]
    groups = rows.reshape(-1, 32).astype(np.float64)
    scales = group_scales()
    units = 128 / 2**bits
    total = 0.0
    for x in groups:
        widest = max(x.max(), 0) - min(x.min(), 0)
        near = scales[(scales > 0.3 * widest / 2**bits) & (scales < 1.6 * widest / (2**bits - 1))]
        if widest == 0 or len(near) == 0:
            total += float((x**2).sum())
            continue
        offset = np.arange(128)[:, None] / units
        errors = [((x - d * (np.clip(np.rint(x / d + offset), 0, 2**bits - 1) - offset)) ** 2).sum(1).min()
                  for d in near]  # fmt: skip
        total += min(errors)
    return total


def trellis_errors(x: np.ndarray, scale: np.ndarray, name: str) -> np.ndarray:
    """Least squared error of each group x [groups, 32] at its scale, over all paths around the circle."""
    bits = own_formats.GROUPS[name][1]
    steps = own_formats.trellis_table(name)
    states = 64 >> bits
    places = 4 * (np.arange(32) % 8) + np.arange(32) // 8
    # [group, where the path began, where it is]
    cost = np.broadcast_to(np.where(np.eye(states, dtype=bool), 0, np.inf), (len(x), states, states))
    for i in places:
        miss = (x[:, i, None] - scale[:, None] * steps) ** 2
        # Window q comes from state q mod states and goes to state q >> bits.
        both = np.tile(cost, (1, 1, 64 // states)) + miss[:, None, :]
        cost = both.reshape(len(x), states, states, 64 // states).min(axis=3)
    return np.diagonal(cost, axis1=1, axis2=2).min(axis=1)


def best_trellis_errors(rows: np.ndarray, name: str) -> float:
    """Least squared error of CT2 or CT3, by trying every path with every scale that could win."""
    x = rows.reshape(-1, 32).astype(np.float64)
    heads = np.arange(1, 31 << 3, dtype=np.uint16) << 8
    scales = own_formats._scale(heads)
    near = np.searchsorted(scales, np.sqrt((x**2).mean(axis=1)) / 32)
    least = (x**2).sum(axis=1)
    for step in range(-6, 17):
        at = np.clip(near + step, 0, len(scales) - 1)
        least = np.minimum(least, trellis_errors(x, scales[at], name))
    return float(least.sum())


def errors_of_all(rows: np.ndarray, library: ctypes.CDLL) -> dict:
    """name -> squared error per tensor."""
    bf16 = gguf.GGMLQuantizationType.BF16
    errors = {
        "F16": [squared_error(r, r.astype(np.float16)) for r in rows],
        "BF16": [squared_error(r, gguf.quants.dequantize(gguf.quants.quantize(r, bf16), bf16)) for r in rows],
    }
    for stem in LLAMA:
        errors[stem.upper()] = [squared_error(r, llama_round_trip(library, stem, r)) for r in rows]
    for name in own_formats.GROUPS:
        own = best_trellis_errors if name.startswith("CT") else best_group_errors
        errors[name] = [own(r, name) for r in rows]
    return errors


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--llama", required=True, help="folder of llama.cpp's sources")
    arguments = parser.parse_args()
    rows = real_rows()
    with tempfile.TemporaryDirectory() as folder:
        errors = errors_of_all(rows, load_quantizers(arguments.llama, folder))
    rows.astype("<f4").tofile(os.path.join(DATA, "real_rows.bin"))
    facts = {
        "command": "python3 tests/oracles/encode_quality.py --llama vendor/llama.cpp of llama-cpp-python 0.3.36",
        "tensors": [" ".join(t) for t in TENSORS],
        "rows": ROWS,
        "columns": COLUMNS,
        "squared_errors": errors,
    }
    with open(os.path.join(DATA, "encode_quality.json"), "w", encoding="utf-8") as file:
        json.dump(facts, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
