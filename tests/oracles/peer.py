"""llama.cpp as an oracle: its tools run as programs, their output read back.

The tools are built by tools/peer; CHECKBIT_PEER names another folder of them.
"""

import os
import re
import struct
import subprocess
import tempfile

import gguf
import numpy as np

import common

VERSION = "0.3.36"  # of llama-cpp-python, as in tools/peer
THREADS = 2


def tool(name):
    """Path of one of llama.cpp's programs."""
    built = os.path.join(common.home(), "peer", f"build-{VERSION}", "bin")
    folder = os.environ.get("CHECKBIT_PEER") or built
    path = os.path.join(folder, name)
    if not os.access(path, os.X_OK):
        raise common.Missing(f"{path}: tools/peer builds it, CHECKBIT_PEER names its folder")
    return path


def run(name, arguments):
    """Runs a tool and returns its completed process; the caller judges the exit status."""
    return subprocess.run(
        [tool(name), *arguments], capture_output=True, text=True, check=False, errors="replace"
    )


def run_checked(name, arguments):
    """Output (both streams) of a run that must succeed."""
    done = run(name, arguments)
    if done.returncode:
        raise common.Failed(f"{name} failed ({done.returncode}): {done.stderr[-1000:]}")
    return done.stdout + done.stderr


def write_even_importance(path, columns):
    """An importance matrix in which every column of every matrix counts alike.

    columns: number of columns by tensor name.
    """
    writer = gguf.GGUFWriter(path, "")
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", ["none"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 512)
    for name, count in columns.items():
        writer.add_tensor(f"{name}.in_sum2", np.full((1, count), 512, np.float32))
        writer.add_tensor(f"{name}.counts", np.full((1, 1), 512, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tokenize(model, text, special=True):
    """Token ids of a text; `special` adds the beginning token where the model asks for it."""
    with tempfile.NamedTemporaryFile("wb", suffix=".txt") as file:
        file.write(text.encode() if isinstance(text, str) else text)
        file.flush()
        arguments = ["-m", model, "-f", file.name, "--ids", "--log-disable"]
        done = run("llama-tokenize", arguments if special else [*arguments, "--no-bos"])
    if done.returncode:
        raise common.Failed(f"llama-tokenize failed: {done.stderr[-1000:]}")
    return [int(number) for number in re.findall(r"\d+", done.stdout)]


def perplexity_arguments(model, text_file, context, chunks):
    """Arguments of llama-perplexity: windows of `context` tokens, their second halves scored."""
    return [
        "-m",
        model,
        "-f",
        text_file,
        "-c",
        str(context),
        "-b",
        str(context),
        "--chunks",
        str(chunks),
        "-t",
        str(THREADS),
    ]


def find_in_output(name, arguments, pattern, attempts=4):
    """First match of a pattern in a tool's output.

    The tools now and then lose their last lines when they end (their log is written by a thread of
    its own), so a run without a match is repeated.
    """
    for _ in range(attempts):
        output = run_checked(name, arguments)
        found = re.search(pattern, output)
        if found:
            return found
    raise common.Failed(f"{name} printed nothing like {pattern!r}: {output[-1000:]}")


def perplexity(model, text_file, context, chunks, extra=()):
    """Perplexity over the first chunks of a text."""
    arguments = [*perplexity_arguments(model, text_file, context, chunks), *extra]
    return float(find_in_output("llama-perplexity", arguments, r"Final estimate: PPL = (\S+)")[1])


def read_log_probabilities(path):
    """Reads what --save-all-logits wrote.

    Returns tokens [chunks, context] and log-probabilities [chunks, context - 1 - first, vocabulary]
    of the scored positions, first = context // 2. Rows are 16-bit steps between a minimum and 0.
    """
    with open(path, "rb") as file:
        if file.read(8) != b"_logits_":
            raise common.Failed(f"{path} is not a file of log-probabilities")
        context, vocabulary, chunks = struct.unpack("<Iii", file.read(12))
        tokens = np.fromfile(file, "<i4", context * chunks).reshape(chunks, context)
        scored = context - 1 - context // 2
        row = (vocabulary + 1) // 2 * 2 + 4
        rows = np.fromfile(file, "<u2", chunks * scored * row).reshape(chunks, scored, row)
    header = np.ascontiguousarray(rows[..., :4]).view("<f4")
    scale, minimum = header[..., :1], header[..., 1:2]
    return tokens, scale * rows[..., 4 : 4 + vocabulary].astype(np.float64) + minimum


def log_probabilities(model, text_file, context, chunks, extra=()):
    """Tokens and log-probabilities that llama.cpp gives over a text."""
    with tempfile.NamedTemporaryFile(dir=common.scratch(), suffix=".kld") as file:
        arguments = perplexity_arguments(model, text_file, context, chunks)
        run_checked("llama-perplexity", [*arguments, "--save-all-logits", file.name, *extra])
        return read_log_probabilities(file.name)


DIVERGENCE_LINES = {
    "perplexity": r"Mean PPL\(Q\) +: +(\S+)",
    "perplexity_reference": r"Mean PPL\(base\) +: +(\S+)",
    "kl_divergence_mean": r"Mean +KLD: +(\S+)",
    "kl_divergence_max": r"Maximum +KLD: +(\S+)",
    "kl_divergence_p999": r"99\.9% +KLD: +(\S+)",
    "kl_divergence_p99": r"99\.0% +KLD: +(\S+)",
    "kl_divergence_p90": r"90\.0% +KLD: +(\S+)",
    "kl_divergence_median": r"Median +KLD: +(\S+)",
    "probability_change_rms": r"RMS Δp +: +(\S+)",
    "top1_changed": r"Same top p: +(\S+)",
}


def divergence(model, reference, text_file, context, chunks):
    """What llama.cpp's divergence mode prints, under the names of our records and in their units."""
    arguments = perplexity_arguments(reference, text_file, context, chunks)
    with tempfile.NamedTemporaryFile(dir=common.scratch(), suffix=".kld") as file:
        run_checked("llama-perplexity", [*arguments, "--save-all-logits", file.name])
        arguments = perplexity_arguments(model, text_file, context, chunks)
        arguments += ["--kl-divergence", "--kl-divergence-base", file.name]
        # The last line of all, so that nothing before it is missing.
        found = find_in_output("llama-perplexity", arguments, r"(?s).*Same top p: +\S+")
    figures = {}
    for name, pattern in DIVERGENCE_LINES.items():
        line = re.search(pattern, found[0])
        if line:
            figures[name] = float(line[1])
    figures["probability_change_rms"] /= 100.0  # printed in per cent
    figures["top1_changed"] = 1.0 - figures["top1_changed"] / 100.0
    return figures


def text_of_tokens(model, least, below):
    """The beginning of the test text, cut so that its token count lies in [least, below)."""
    with open(common.text_path(), encoding="utf-8") as file:
        text = file.read()
    length = min(len(text), 5 * least)
    for _ in range(12):
        count = len(tokenize(model, text[:length]))
        if least <= count < below:
            return text[:length]
        length = int(length * (least + below) / 2 / count)
    raise common.Failed(f"no cut of the text has {least} to {below} tokens")
