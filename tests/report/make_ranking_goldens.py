#!/usr/bin/env python3
"""Writes tests/data/report_ranking.json from scikit-learn, numpy and scipy.

Areas and calibration are scikit-learn's; DeLong's variance is written out from the paper's
definition over all pairs; the regressions are scikit-learn's. Needs scikit-learn in the environment.
"""
import json
import pathlib

import numpy as np
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler


def components(scores, failed):
    positive, negative = scores[failed == 1], scores[failed == 0]
    pairs = (positive[:, None] > negative[None, :]) + 0.5 * (positive[:, None] == negative[None, :])
    return pairs.mean(), pairs.mean(axis=1), pairs.mean(axis=0)


def delong(scores, failed):
    area, v10, v01 = components(scores, failed)
    variance = v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01)
    reach = stats.norm.ppf(0.975) * np.sqrt(variance)
    return area, area - reach, area + reach


def delong_difference(first, second, failed):
    a, a10, a01 = components(first, failed)
    b, b10, b01 = components(second, failed)
    variance = (a10 - b10).var(ddof=1) / len(a10) + (a01 - b01).var(ddof=1) / len(a01)
    reach = stats.norm.ppf(0.975) * np.sqrt(variance)
    return a - b, a - b - reach, a - b + reach


def clustered(scores, failed, blocks):
    area, v10, v01 = components(scores, failed)
    sums = {}
    for kind, values in ((1, v10), (0, v01)):
        for block, value in zip(blocks[failed == kind], values):
            sums[block] = sums.get(block, 0) + (value - area) / len(values)
    n = len(sums)
    variance = n / (n - 1) * sum(s * s for s in sums.values())
    reach = stats.t.ppf(0.975, n - 1) * np.sqrt(variance)
    return area, area - reach, area + reach


def expected_calibration_error(p, failed, bins):
    edges = np.minimum((p * bins).astype(int), bins - 1)
    observed, predicted = calibration_curve(failed, p, n_bins=bins)
    counts = np.bincount(edges, minlength=bins)
    return float(np.sum(np.abs(observed - predicted) * counts[counts > 0]) / len(p))


def ranking_case(generator, n, ties):
    failed = (generator.random(n) < 0.3).astype(int)
    scores = failed * 0.8 + generator.normal(0, 1, n)
    other = failed * 0.4 + generator.normal(0, 1, n)
    if ties:
        scores, other = np.round(scores), np.round(other)
    blocks = np.repeat(np.arange(n // 10 + 1), 10)[:n]
    assert abs(roc_auc_score(failed, scores) - delong(scores, failed)[0]) < 1e-12
    return {"scores": scores.tolist(), "other": other.tolist(), "failed": failed.tolist(),
            "blocks": blocks.tolist(), "auc": roc_auc_score(failed, scores),
            "delong": delong(scores, failed), "clustered": clustered(scores, failed, blocks),
            "difference": delong_difference(scores, other, failed)}


def main():
    generator = np.random.default_rng(20260202)
    data = {"ranking": [ranking_case(generator, n, ties)
                        for n, ties in ((80, False), (80, True), (200, True))]}

    p = generator.random(300)
    failed = (generator.random(300) < p ** 1.5).astype(int)
    data["calibration"] = {"p": p.tolist(), "failed": failed.tolist(),
                           "error": expected_calibration_error(p, failed, 15)}

    scores = np.round(generator.normal(0, 1, 120), 1)
    failed = (generator.random(120) < 1 / (1 + np.exp(-scores))).astype(int)
    at = np.linspace(-4, 4, 41)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(scores, failed)
    data["isotonic"] = {"scores": scores.tolist(), "failed": failed.tolist(), "at": at.tolist(),
                        "expected": isotonic.predict(at).tolist()}

    x = generator.normal(0, 1, (150, 3)) * [1, 10, 0.1] + [0, 5, -2]
    scaled = StandardScaler().fit_transform(x)
    y = x @ [1, 0.2, -3] + generator.normal(0, 1, 150)
    weights = generator.random(150) + 0.1
    hit = (generator.random(150) < 1 / (1 + np.exp(-scaled[:, 0]))).astype(int)
    data["linear"] = {
        "x": x.tolist(), "y": y.tolist(), "weights": weights.tolist(), "hit": hit.tolist(),
        "ridge": Ridge(alpha=1).fit(scaled, y).predict(scaled).tolist(),
        "ridge_weighted":
            Ridge(alpha=1).fit(scaled, y, sample_weight=weights).predict(scaled).tolist(),
        "logistic": LogisticRegression(C=1, tol=1e-12, max_iter=1000).fit(scaled, hit)
            .decision_function(scaled).tolist(),
    }
    a, b = generator.normal(0, 1, 50), np.round(generator.normal(0, 1, 50))
    b += a
    data["correlation"] = {"x": a.tolist(), "y": np.round(b).tolist(),
                           "pearson": float(stats.pearsonr(a, np.round(b))[0]),
                           "spearman": float(stats.spearmanr(a, np.round(b))[0])}
    path = pathlib.Path(__file__).parent.parent / "data" / "report_ranking.json"
    path.write_text(json.dumps(data) + "\n")


if __name__ == "__main__":
    main()
