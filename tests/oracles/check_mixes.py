#!/usr/bin/env python3
"""The mixes (Q4_K_M ...) against llama.cpp: the type of every tensor, of every model.

Both programs only plan (--dry-run). The figure is the number of tensors whose types differ. Where
rows do not divide into the blocks of Q2_K or Q3_K, llama.cpp falls back to Q4_0 and Checkbit to
IQ4_NL: as many bytes, a smaller error. That one exchange is accepted.
"""

import json
import os
import re
import tempfile

import gguf

import common
import peer
from common import Result

MIXES = ("Q2_K", "Q2_K_S", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M")
# llama.cpp wants an importance matrix for these; what stands in it plays no part.
WEIGHED = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "IQ3_XS", "IQ3_S", "IQ3_M")
ACCEPTED = ("IQ4_NL", "Q4_0")
LINE = re.compile(r"\[ *\d+/ *\d+\] +(\S+) .*type = +(\w+), size = .*?(?:\((\w+)\))?$")


def their_types(path, mix, importance):
    """What llama-quantize would make of each tensor."""
    weighed = ["--imatrix", importance] if mix in WEIGHED else []
    done = peer.run("llama-quantize", ["--allow-requantize", *weighed, "--dry-run", path, mix])
    lines = (LINE.match(line.strip()) for line in (done.stdout + done.stderr).splitlines())
    return {m[1]: (m[3] or m[2]).upper() for m in lines if m}


def our_types(path, mix):
    """What Checkbit would make of each tensor."""
    arguments = ("quantize", path, "-o", "unused.gguf", "--type", mix, "--dry-run", "--json")
    return {k: v.upper() for k, v in json.loads(common.checkbit(*arguments))["tensor_types"].items()}


def check_mixes():
    """One result for each model and mix."""
    with tempfile.TemporaryDirectory(dir=common.scratch()) as folder:
        yield from compare_mixes(folder)


def compare_mixes(folder):
    """The same, with a folder for what is written."""
    for name in common.MODELS:
        path = common.model_path(name)
        importance = os.path.join(folder, name + ".gguf")
        matrices = (t for t in gguf.GGUFReader(path).tensors if len(t.shape) == 2)
        peer.write_even_importance(importance, {t.name: int(t.shape[0]) for t in matrices})
        for mix in MIXES + WEIGHED:
            theirs, ours = their_types(path, mix, importance), our_types(path, mix)
            pairs = {k: (ours[k], theirs.get(k)) for k in ours}
            exchanged = sum(pair == ACCEPTED for pair in pairs.values())
            differ = [k for k, (a, b) in pairs.items() if a != b and (a, b) != ACCEPTED]
            note = f"{len(ours)} tensors, {exchanged} IQ4_NL for Q4_0"
            yield Result(f"mix {mix}: {name}", len(differ), 0, note)


if __name__ == "__main__":
    common.main(__doc__, [check_mixes])
