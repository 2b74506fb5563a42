#!/usr/bin/env python3
"""`sweep`: its figures from the store, its emulated floats, its laws.

A short sweep of real models; then, independently: damage, perplexity ratio and changed choices from
the rows of the store (sqlite3), the front by comparing every pair, weights of a kept emulated-float
file against rounding written here from the definition (gguf, numpy), and every law fitted again to
the same points with scipy.optimize.curve_fit.

Short form: one model, so that the laws over several models are refused.
"""

import json
import math
import os
import sqlite3
import tempfile

import common
import gguf
import numpy as np
from common import Result
from scipy import optimize, stats

MODELS = ("smollm2-135m", "gemma3-270m")
TYPES = "source,Q2_K,CB2,CB3,CB4,Q3_K_M,IQ4_NL,Q4_0,Q4_K_M,e1m2,e2m1,e3m1,e2m2"
WINDOWS = 6
EXACT = 1e-9
FIT = 1e-3  # of a parameter, relative to its standard error
LOST = 3
FLOAT = "e2m1"


def sweep(folder):
    """A small sweep of each model into one store; its JSON over all of it."""
    store = os.path.join(folder, "store.sqlite")
    for name in common.models(MODELS):
        common.checkbit("sweep", common.model_path(name), "--types", TYPES, "--block", "16,64",
                        "--texts", common.text_path(), "--windows", WINDOWS, "--context", 128,
                        "--store", store)
    return store, json.loads(common.checkbit("sweep", "--store", store, "--json"))


def records(candidate):
    """Of one candidate, by name."""
    return {r["name"]: r for r in candidate.get("records", [])}


def check_store(store, page):
    """Figures from the rows."""
    rows = sqlite3.connect(store).execute(
        "SELECT model.name, candidate, sum(tokens), sum(loss), sum(reference_loss), sum(divergence),"
        " sum(changed), sum(text_bytes), count(*) FROM window JOIN model ON model.hash = model"
        " GROUP BY model, candidate").fetchall()
    wanted = {(row[0], row[1]): row[2:] for row in rows}
    worst = 0.0
    windows = 0
    for model in page["models"]:
        for candidate in model["candidates"]:
            tokens, loss, ref, kl, changed, size, count = wanted[model["model"],
                                                                 candidate["candidate"]]
            found = records(candidate)
            windows += count
            for name, value in (("kl_divergence_mean", kl / tokens),
                                ("perplexity_ratio", math.exp((loss - ref) / tokens)),
                                ("top1_changed", changed / tokens),
                                ("loss_per_byte", loss / size)):
                worst = max(worst, abs(found[name]["value"] - value) / max(abs(value), 1e-30)
                            if value else abs(found[name]["value"]))
    yield Result("sweep figures from the store", worst, EXACT, f"{windows} windows")


def check_front(page):
    """On the front exactly when nothing is as small and damages less."""
    wrong = 0
    for model in page["models"]:
        points = [(c["front_bytes"], records(c)["file_bytes"]["value"],
                   records(c)["kl_divergence_mean"]["value"]) for c in model["candidates"]]
        for place, size, damage in points:
            beaten = any(s <= size and d < damage or s < size and d <= damage
                         for _, s, d in points)
            wrong += (place == "on") == beaten
    yield Result("sweep front", wrong, 0)


def float_values(exponent_bits, mantissa_bits):
    """Every number of the format, its largest exponent being 0, by its definition."""
    values = []
    for code in range(2**exponent_bits):
        for step in range(2**mantissa_bits):
            fraction = step / 2**mantissa_bits
            exponent = max(code, 1) - (2**exponent_bits - 1)
            values.append((fraction if code == 0 else 1 + fraction) * 2.0**exponent)
    return np.array(values)


def weights_of(path):
    """Decoded matrices by name."""
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float64)
            for t in gguf.GGUFReader(path).tensors if t.shape.size == 2 and min(t.shape) > 1}


def check_floats(folder):
    """Every weight of a kept file is the nearest number of its format."""
    path = common.model_path(MODELS[0])
    common.checkbit("sweep", path, "--types", FLOAT, "--block", 32, "--texts", common.text_path(),
                    "--windows", 1, "--context", 64, "--keep", "--folder", folder, "--store",
                    os.path.join(folder, "floats.sqlite"))
    made = weights_of(os.path.join(folder, f"{MODELS[0]}-{FLOAT}-b32.gguf"))
    grid = float_values(2, 1)
    worst = 0.0
    for name, source in weights_of(path).items():
        blocks = source.reshape(-1, 32)
        scale = np.abs(blocks).max(axis=1, keepdims=True) / grid[-1]
        scale = np.where(scale > 0, np.float16(scale).astype(np.float64), 1)
        error = np.abs(made[name].reshape(-1, 32) - blocks) / scale
        best = np.min(np.abs(np.abs(blocks / scale)[..., None] - grid), axis=-1)
        worst = max(worst, float(np.max(error - best)))
    # The carrier is binary16: half a unit of its last place, for numbers below 2.
    yield Result("sweep emulated floats", worst, 2.0**-11 * 2, f"{len(made)} matrices")


def points_of(page):
    """What the laws see: a flat list."""
    points = []
    for model in page["models"]:
        for candidate in model["candidates"]:
            found = records(candidate)
            points.append({"model": model["model"], "family": model["model"].rsplit("-", 1)[0],
                           "source": model["bits_per_weight"], **candidate,
                           **{name: record["value"] for name, record in found.items()}})
    return points


def quantized(points):
    """Real files below their source that lost something and are not lost."""
    return [p for p in points if not p["emulated"] and p["bits_per_weight"] < p["source"]
            and 0 < p["kl_divergence_mean"] <= LOST]


def indicator(points, key, keys):
    """One column per key."""
    return np.array([[float(p[key] == k) for k in keys] for p in points])


def low_bit(points):
    """Names, columns and left side: a line per model."""
    points = quantized(points)
    models = sorted({p["model"] for p in points})
    points = [p for p in points
              if len({q["bits_per_weight"] for q in points if q["model"] == p["model"]}) >= 3]
    of_model = indicator(points, "model", models)
    bits = np.array([p["bits_per_weight"] - 4 for p in points])
    names = [f"log_damage_at_4_{m}" for m in models] + [f"slope_{m}" for m in models]
    return names, np.hstack([of_model, -of_model * bits[:, None]]), np.log(
        [p["kl_divergence_mean"] for p in points])


def float_format(points):
    """Exponents of exponent and mantissa, a constant per model."""
    points = [p for p in points if p["emulated"] and 0 < p["kl_divergence_mean"] <= LOST]
    models = sorted({p["model"] for p in points})
    columns = np.array([[-math.log(p["exponent_bits"] + 0.5), -math.log(p["mantissa_bits"] + 0.5)]
                        for p in points])
    left = np.log([p["kl_divergence_mean"] for p in points]) - np.log(
        np.log2([p["block"] for p in points]))
    return ["delta", "nu"] + [f"log_c_{m}" for m in models], np.hstack(
        [columns, indicator(points, "model", models)]), left


def kbit_inference(points):
    """Parallel lines over the total of bits."""
    points = [dict(p, k=round(p["bits_per_weight"])) for p in points if not p["emulated"]]
    points = [p for p in points if len({q["model"] for q in points if q["k"] == p["k"]}) > 1]
    bits = sorted({p["k"] for p in points})
    total = np.log2([8 * p["file_bytes"] for p in points])
    return ["slope"] + [f"{k}bit" for k in bits], np.hstack(
        [(total - total.mean())[:, None], indicator(points, "k", bits)]), np.array(
            [p["loss_per_byte"] for p in points])


def check_laws(page):
    """Parameters and intervals by scipy."""
    found = {r["name"]: r for r in page["records"]}
    fitted = {law["law"]: law for law in page["laws"]}
    for name, design in (("low_bit", low_bit), ("float_format", float_format),
                         ("kbit_inference", kbit_inference)):
        if "refused" in fitted[name]:
            yield Result(f"law {name}", skipped=fitted[name]["refused"])
            continue
        names, columns, left = design(points_of(page))
        value, covariance = optimize.curve_fit(
            lambda x, *p: x @ np.array(p), columns, left, p0=np.zeros(len(names)))
        width = np.sqrt(np.diag(covariance))
        t = stats.t.ppf(0.975, len(left) - len(names))
        worst = 0.0
        for parameter, centre, error in zip(names, value, width):
            ours = found[f"law_{name}_{parameter}"]
            worst = max(worst, abs(ours["value"] - centre) / error,
                        abs(ours["high"] - ours["low"] - 2 * t * error) / error)
        yield Result(f"law {name}", worst, FIT,
                     f"{len(names)} parameters, {len(left)} points, in standard errors")


def check_sweep():
    """Everything, from one sweep."""
    with tempfile.TemporaryDirectory(dir=common.scratch()) as folder:
        store, page = sweep(folder)
        yield from check_store(store, page)
        yield from check_front(page)
        yield from check_laws(page)
        yield from check_floats(folder)


if __name__ == "__main__":
    common.main(__doc__, [check_sweep])
