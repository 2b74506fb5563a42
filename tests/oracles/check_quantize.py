#!/usr/bin/env python3
"""Files that `checkbit quantize` writes, opened by others.

Standard types run in llama.cpp with the perplexity that Checkbit gives them. Own formats are
refused by llama.cpp with a message, and the gguf package still parses the file.
"""

import contextlib
import os
import tempfile

from gguf import GGUFReader

import common
import peer
from check_perplexity import CONTEXT, measure, text_file
from common import Result

WINDOWS = 4
LIMIT = 0.01
MODEL = "smollm2-135m"
TYPES = ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "Q4_K_M", "Q5_K_S", "Q6_K", "F16")
WIDE_MODEL = "qwen2.5-coder-1.5b"  # its rows are multiples of 256, so K types fit
WIDE_TYPES = ("Q3_K_M",)
OWN_TYPES = ("CB2", "CB3", "CB4")
SIGNALLED = 128  # exit statuses from here on, or negative, are crashes


@contextlib.contextmanager
def quantized(model, type_name):
    """A file made by `checkbit quantize --type`, removed afterwards."""
    with tempfile.TemporaryDirectory(dir=common.scratch()) as folder:
        output = os.path.join(folder, f"{type_name}.gguf")
        common.checkbit("quantize", model, "-o", output, "--type", type_name)
        yield output


def standard_result(name, type_name, text):
    """Perplexity of one quantized file in both programs."""
    with quantized(common.model_path(name), type_name) as output:
        theirs = peer.perplexity(output, text, CONTEXT, WINDOWS)
        ours = measure(output, text)["perplexity"]
    note = f"{ours:.4f}, llama.cpp {theirs:.4f}"
    return Result(
        f"opens in llama.cpp: {name} {type_name}", common.relative(ours, theirs), LIMIT, note
    )


def check_standard():
    """Types that other programs know."""
    for name, types in ((MODEL, TYPES), (WIDE_MODEL, WIDE_TYPES))[: 1 if common.SHORT else 2]:
        with text_file(common.model_path(name), WINDOWS) as text:
            for type_name in types:
                yield standard_result(name, type_name, text)


def refusal(path, text):
    """Exit status and message of llama.cpp on a file it cannot know."""
    arguments = peer.perplexity_arguments(path, text, CONTEXT, 1)
    done = peer.run("llama-perplexity", arguments)
    message = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    return done.returncode, message


def check_own():
    """Types of our own: a clean refusal there, a whole tensor table in the gguf package."""
    model = common.model_path(MODEL)
    names = {tensor.name for tensor in GGUFReader(model).tensors}
    with text_file(model, WINDOWS) as text:
        for type_name in OWN_TYPES:
            with quantized(model, type_name) as output:
                status, message = refusal(output, text)
                parsed = {tensor.name for tensor in GGUFReader(output).tensors}
            clean = 0 < status < SIGNALLED and message
            note = f"status {status}: {message[0][:60] if message else 'no message'}"
            yield Result(f"refused by llama.cpp: {type_name}", 0 if clean else 1, 0, note)
            yield Result(f"parsed by gguf, tensors lost: {type_name}", len(names - parsed), 0)


if __name__ == "__main__":
    common.main(__doc__, [check_standard, check_own])
