#!/usr/bin/env python3
"""Writes tests/data/report_score.json: row, quantile and interval goldens from numpy and scipy."""
import json
import pathlib

import numpy as np
from scipy import special, stats


def entropy(log_p):
    probable = log_p > -np.inf
    return float(-np.sum(np.exp(log_p[probable]) * log_p[probable]))


def row_case(generator, name, reference, model, token):
    reference = np.asarray(reference, dtype=np.float32)
    model = np.asarray(model, dtype=np.float32)
    log_p = special.log_softmax(reference.astype(np.longdouble))
    log_q = special.log_softmax(model.astype(np.longdouble))
    return {
        "name": name,
        "reference": [float(v) for v in reference],
        "model": [float(v) for v in model],
        "token": token,
        "log_p": float(log_p[token]),
        "log_q": float(log_q[token]),
        "kl": float(np.sum(np.exp(log_p) * (log_p - log_q))),
        "top_p": int(np.argmax(reference)),
        "top_q": int(np.argmax(model)),
        "entropy_p": entropy(log_p),
        "entropy_q": entropy(log_q),
        "order_q": [int(i) for i in np.argsort(-model, kind="stable")[:10]],
    }


def rows(generator):
    cases = []
    for size in (1, 2, 7, 8, 9, 31, 64, 101):
        base = generator.normal(0, 4, size)
        cases.append(row_case(generator, f"normal {size}", base,
                              base + generator.normal(0, 0.3, size), size // 2))
    cases.append(row_case(generator, "far apart", [30, -30, 0, 5], [-30, 30, 0, 5], 1))
    cases.append(row_case(generator, "large offset", [1000, 1001, 999], [-1000, -1002, -999], 2))
    cases.append(row_case(generator, "tie", [1, 3, 3, 0, 3], [3, 1, 0, 3, 3], 0))
    cases.append(row_case(generator, "underflow", [0, -800, -900], [0, -1, -2], 1))
    return cases


def main():
    generator = np.random.default_rng(20260101)
    values = np.exp(generator.normal(-5, 3, 999))
    data = {
        "rows": rows(generator),
        "quantiles": {
            "values": [float(v) for v in values],
            "q": [0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1],
            "expected": [float(v) for v in
                         np.quantile(values, [0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1])],
        },
        "student": [{"p": p, "degrees": d, "t": float(stats.t.ppf(p, d))}
                    for p in (0.005, 0.025, 0.4, 0.975) for d in (1, 2, 3, 4, 7, 30, 1000)],
        "normal": [{"p": p, "z": float(stats.norm.ppf(p))}
                   for p in (1e-9, 0.001, 0.025, 0.5, 0.8, 0.975, 0.9999)],
        "wilson": [],
        "sign": [{"wins": w, "losses": l, "p": float(stats.binomtest(w, w + l).pvalue)}
                 for w, l in ((3, 9), (40, 61), (500, 430), (1000, 1400), (99000, 101000))],
        "bca": {},
    }
    for hits, trials in ((0, 10), (1, 10), (5, 10), (10, 10), (83, 1000), (999, 1000)):
        interval = stats.binomtest(hits, trials).proportion_ci(method="wilson")
        data["wilson"].append({"hits": hits, "trials": trials,
                               "low": float(interval.low), "high": float(interval.high)})
    # A mean over many skewed blocks: scipy's BCa has other random numbers, so agreement is up to
    # Monte Carlo noise; 200 blocks make the widened tails a fraction of a per cent.
    blocks = generator.gamma(1.0, 1.0, 200)
    result = stats.bootstrap((blocks,), np.mean, n_resamples=100000, method="BCa",
                             random_state=generator)
    data["bca"] = {"blocks": [float(v) for v in blocks],
                   "low": float(result.confidence_interval.low),
                   "high": float(result.confidence_interval.high)}
    path = pathlib.Path(__file__).resolve().parent.parent / "data" / "report_score.json"
    path.write_text(json.dumps(data, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
