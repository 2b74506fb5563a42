"""What the oracle scripts share: places, running Checkbit, comparing, and the table of results."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = ("smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")


class Missing(Exception):
    """Something a check needs is not there; the message says how to get it."""


@dataclass(frozen=True)
class Result:
    """One figure against its limit. `failed_by` of a skipped check says why it did not run."""

    check: str
    figure: float
    limit: float
    unit: str = ""
    skipped: str = ""

    @property
    def passed(self):
        """Figures are all 'at most the limit'; NaN never passes."""
        return not self.skipped and self.figure <= self.limit


def home():
    """Checkbit's own folder: models, peer, caches."""
    default = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "checkbit")
    return os.environ.get("CHECKBIT_HOME") or default


def model_path(name):
    """A pulled model."""
    path = os.path.join(home(), "models", name + ".gguf")
    if not os.path.exists(path):
        raise Missing(f"{path} is missing: checkbit pull {name}")
    return path


def text_path(name="wikitext2_valid.txt"):
    """A test text beside the repository."""
    path = os.path.join(os.path.dirname(REPOSITORY), "shared", "data", name)
    if not os.path.exists(path):
        raise Missing(f"{path} is missing")
    return path


def log_softmax(logits):
    """Over the last axis, in float64."""
    shifted = np.asarray(logits, dtype=np.float64) - np.max(logits, axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def kl_divergence(reference, other):
    """Mean over rows of the divergence between log-probabilities, in nats."""
    return float(np.mean(np.sum(np.exp(reference) * (reference - other), axis=-1)))


def share_of_range(reference, other):
    """Largest difference as a share of the reference's range; NaN in either gives NaN."""
    return float(np.max(np.abs(reference - other)) / (np.max(reference) - np.min(reference)))


def print_table(results, file=sys.stdout):
    """One line per result; returns whether all passed or were skipped."""
    width = max((len(result.check) for result in results), default=5)
    print(f"{'check':{width}}  {'figure':>10}  {'limit':>10}  verdict", file=file)
    for result in results:
        if result.skipped:
            print(f"{result.check:{width}}  {'':>10}  {'':>10}  skipped: {result.skipped}", file=file)
            continue
        verdict = "pass" if result.passed else "FAIL"
        print(f"{result.check:{width}}  {result.figure:10.3g}  {result.limit:10.3g}  {verdict}", file=file)
    return all(result.passed or result.skipped for result in results)
