"""Rotary position embedding: the angle of every position and dimension pair, in float64.

From the papers: RoFormer (2104.09864) for the rotation, YaRN (2309.00071) for scaling by parts,
and the Llama 3 model card for per-frequency divisors (stored in GGUF as rope_freqs.weight).
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RotaryConfig:
    """What a GGUF file says about rotation. `scaling` is none, linear or yarn."""

    dimensions: int
    base: float
    adjacent_pairs: bool
    scaling: str = "none"
    factor: float = 1.0
    attention_factor: float = 1.0
    original_context: int = 0
    beta_fast: float = 32.0
    beta_slow: float = 1.0


def yarn_ramp(config):
    """Share of the original (unscaled) frequency in each pair: 1 for the fastest, 0 the slowest.

    The paper blends between beta_fast and beta_slow rotations over the original context. As in the
    authors' published program, the blend is linear in the index of the pair, its ends rounded
    outwards to whole indices.
    """

    def index_of(rotations):
        wavelength_ratio = config.original_context / (rotations * 2 * math.pi)
        return config.dimensions * math.log(wavelength_ratio) / (2 * math.log(config.base))

    low = max(0, math.floor(index_of(config.beta_fast)))
    high = min(config.dimensions - 1, math.ceil(index_of(config.beta_slow)))
    pairs = np.arange(config.dimensions // 2, dtype=np.float64)
    return 1.0 - np.clip((pairs - low) / max(0.001, high - low), 0.0, 1.0)


def frequencies(config, divisors=None):
    """Angle per position of each pair [dimensions / 2], and the factor on queries and keys."""
    pairs = np.arange(config.dimensions // 2, dtype=np.float64)
    original = config.base ** (-2.0 * pairs / config.dimensions)
    if divisors is not None:
        original = original / divisors.astype(np.float64)
    if config.scaling == "none" or config.factor == 1.0:
        return original, config.attention_factor
    scaled = original / config.factor
    if config.scaling == "linear":
        return scaled, config.attention_factor
    if config.scaling != "yarn":
        raise ValueError(f"rotary scaling type {config.scaling!r} is not known")
    share = yarn_ramp(config)
    magnitude = (0.1 * math.log(config.factor) + 1.0) * config.attention_factor
    return scaled * (1.0 - share) + original * share, magnitude


def rotate(vectors, positions, config, divisors=None):
    """Rotates vectors [tokens, heads, head_size]; sizes beyond config.dimensions pass through."""
    angle_per_position, magnitude = frequencies(config, divisors)
    angles = positions[:, None].astype(np.float64) * angle_per_position[None, :]
    cosine = (np.cos(angles) * magnitude)[:, None, :]
    sine = (np.sin(angles) * magnitude)[:, None, :]
    half = config.dimensions // 2
    if config.adjacent_pairs:
        first, second = slice(0, config.dimensions, 2), slice(1, config.dimensions, 2)
    else:
        first, second = slice(0, half), slice(half, config.dimensions)
    result = vectors.copy()
    result[..., first] = vectors[..., first] * cosine - vectors[..., second] * sine
    result[..., second] = vectors[..., first] * sine + vectors[..., second] * cosine
    return result
