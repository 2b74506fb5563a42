"""What the random models are: one Recipe each."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Recipe:
    """One random model. `types` go to the matrices in turn, skipping what does not fit."""

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
    in_peer: bool = True  # llama.cpp reads all of its metadata
    extra: dict = field(default_factory=dict)  # metadata without the architecture's prefix

    @property
    def has_biases(self):
        """Query, key and value biases."""
        return self.architecture == "qwen2"

    @property
    def has_head_norms(self):
        """Norms of queries and keys."""
        return self.architecture in ("qwen3", "gemma3")


YARN = {
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 4.0,
    "rope.scaling.original_context_length": 512,
}
K_TYPES = ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K")
I_TYPES = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS")
SMALL_TYPES = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4", "BF16")

# Committed to tests/data/tiny with their logits (make_tiny_models.py).
TINY = (
    Recipe(
        "llama-llama3",
        "llama",
        "divisors of Llama 3 in rope_freqs.weight, tied output",
        1,
        types=("Q8_0", "F16", "Q4_0"),
        embedding_type="F16",
        rope_base=500.0,
        llama3_divisors=True,
    ),
    Recipe(
        "llama-yarn",
        "llama",
        "YaRN scaling by 4, own output matrix",
        2,
        tied=False,
        types=("Q4_0", "Q8_0", "F16"),
        embedding_type="Q8_0",
        rope_base=100.0,
        extra=YARN,
    ),
    Recipe(
        "qwen2-bias",
        "qwen2",
        "query, key and value biases, one shared head",
        3,
        shared_heads=1,
        types=("Q8_0", "F16"),
        embedding_type="Q8_0",
        rope_base=1e6,
    ),
    Recipe(
        "qwen3-norms",
        "qwen3",
        "query and key norms, heads wider than width / heads",
        4,
        head_size=32,
        types=("Q4_0", "Q8_0"),
        embedding_type="F16",
        rope_base=1e6,
    ),
    Recipe(
        "gemma3-window",
        "gemma3",
        "seven layers, window of 8 tokens, one global layer",
        5,
        layers=7,
        shared_heads=1,
        feed_forward=64,
        types=("Q4_0", "Q4_0", "Q4_0", "Q8_0"),
        embedding_type="Q8_0",
        vocabulary=310,
        rope_base=1e6,
        extra={"attention.sliding_window": 8},
    ),
)

# Made when needed.
RANDOM = (
    Recipe(
        "llama-linear",
        "llama",
        "linear scaling by 4",
        11,
        extra={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    ),
    Recipe("llama-f32", "llama", "plain, all F32", 12, layers=3, tied=False, embedding_type="F32"),
    Recipe("llama-yarn-long", "llama", "YaRN, wide heads, F32", 13, head_size=32, extra=YARN),
    Recipe(
        "llama-odd-80",
        "llama",
        "80 and 240 columns: only F32, F16, BF16 fit",
        14,
        width=80,
        heads=5,
        shared_heads=5,
        feed_forward=240,
        types=("F32", "F16", "BF16"),
    ),
    Recipe(
        "qwen2-odd-96",
        "qwen2",
        "96 and 224 columns: blocks of 32 only, own output",
        15,
        width=96,
        heads=6,
        shared_heads=3,
        feed_forward=224,
        tied=False,
        types=SMALL_TYPES,
        embedding_type="Q8_0",
    ),
    Recipe(
        "qwen2-k-types",
        "qwen2",
        "K types, own output",
        16,
        width=256,
        heads=8,
        head_size=32,
        feed_forward=512,
        tied=False,
        types=K_TYPES,
        embedding_type="Q4_K",
    ),
    Recipe(
        "qwen3-i-types",
        "qwen3",
        "IQ types",
        17,
        width=256,
        heads=4,
        head_size=128,
        feed_forward=512,
        types=I_TYPES,
        embedding_type="Q6_K",
    ),
    Recipe(
        "qwen3-f32",
        "qwen3",
        "plain, all F32, one query head per shared head",
        18,
        layers=4,
        shared_heads=4,
        embedding_type="F32",
        rope_base=1e6,
    ),
    Recipe(
        "llama-ternary",
        "llama",
        "TQ1_0, TQ2_0 and MXFP4",
        19,
        width=256,
        head_size=64,
        feed_forward=512,
        types=("TQ1_0", "TQ2_0", "MXFP4", "Q8_0"),
    ),
    Recipe(
        "gemma3-long",
        "gemma3",
        "twelve layers, window of 32, linear scaling of global layers",
        20,
        layers=12,
        width=96,
        head_size=32,
        feed_forward=160,
        vocabulary=400,
        types=("Q5_0", "F16", "Q5_1"),
        embedding_type="Q8_0",
        rope_base=1e6,
        extra={
            "attention.sliding_window": 32,
            "rope.scaling.type": "linear",
            "rope.scaling.factor": 8.0,
        },
    ),
    Recipe(
        "qwen2-yarn",
        "qwen2",
        "YaRN over half-split pairs",
        21,
        embedding_type="F32",
        tied=False,
        rope_base=1e4,
        extra=YARN,
    ),
    Recipe(
        "qwen3-unscaled",
        "qwen3",
        "a scaling factor that type none switches off",
        22,
        embedding_type="F32",
        extra={"rope.scaling.type": "none", "rope.scaling.factor": 4.0},
    ),
    Recipe(
        "llama-yarn-keys",
        "llama",
        "YaRN with its ends in the metadata",
        23,
        embedding_type="F32",
        rope_base=100.0,
        in_peer=False,
        extra={**YARN, "rope.scaling.yarn_beta_fast": 16.0, "rope.scaling.yarn_beta_slow": 2.0},
    ),
)
