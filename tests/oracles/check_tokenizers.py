#!/usr/bin/env python3
"""Compares ids with llama.cpp's, live: its own vocabularies and every pre-tokenizer name of ours.

Needs `checkbit tokenize MODEL --file F --ids [--no-special] [--parse-special]`, llama-tokenize (see
peer.py), and the llama.cpp source tree in CHECKBIT_PEER_SOURCE for models/ggml-vocab-*.gguf.
The figure of each row is the number of texts whose ids differ; the limit is 0.
"""

import contextlib
import glob
import gzip
import json
import os
import pathlib
import re
import tempfile

import common
import gguf
import peer
from common import Failed, Missing, Result

NASTY = os.path.join(common.REPOSITORY, "tests", "data", "nasty_unicode.txt")
DEFINITIONS = os.path.join(common.REPOSITORY, "src", "run", "tokenizer", "pretokenizers.def")
KINDS = {"gpt2", "llama"}  # of tokenizer.ggml.model that Checkbit knows
MODES = ((True, True), (False, False))  # add special tokens, parse special tokens


def vocabulary_files():
    """llama.cpp's vocabularies without weights, those of known kinds."""
    source = os.environ.get("CHECKBIT_PEER_SOURCE")
    if not source:
        raise Missing("CHECKBIT_PEER_SOURCE: the llama.cpp tree of llama-cpp-python's source package")
    found = sorted(glob.glob(os.path.join(source, "models", "ggml-vocab-*.gguf")))
    if not found:
        raise Missing(f"{source}/models/ggml-vocab-*.gguf")
    kind = "tokenizer.ggml.model"
    return [path for path in found if gguf.GGUFReader(path).fields[kind].contents() in KINDS]


def peer_ids(model, text_file, special, parse):
    """llama.cpp's answer."""
    flags = ([] if special else ["--no-bos"]) + ([] if parse else ["--no-parse-special"])
    arguments = ["-m", model, "-f", text_file, "--ids", "--no-escape", "--log-disable", *flags]
    done = peer.run("llama-tokenize", arguments)
    if done.returncode:
        raise Failed(f"llama-tokenize: {done.stderr[-300:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def our_ids(model, text_file, special, parse):
    """Checkbit's answer."""
    flags = ([] if special else ["--no-special"]) + (["--parse-special"] if parse else [])
    printed = common.checkbit("tokenize", model, "--file", text_file, "--ids", *flags)
    return [int(number) for number in re.findall(r"-?\d+", printed)]


def compare(name, model, texts, modes=MODES):
    """One row: how many (text, mode) pairs differ."""
    differing, tokens = [], 0
    for text in texts:
        for mode in modes:
            theirs = peer_ids(model, text, *mode)
            tokens += len(theirs)
            if theirs != our_ids(model, text, *mode):
                differing.append(os.path.basename(text))
    note = " ".join([f"{tokens} tokens", *differing])
    return Result(f"ids = llama.cpp: {name}", len(differing), 0, note)


@contextlib.contextmanager
def all_texts():
    """One file that holds every test text, compressed ones unpacked."""
    with tempfile.NamedTemporaryFile("wb", suffix=".txt") as joined:
        for name in sorted(os.listdir(common.text_folder())):
            opener = gzip.open if name.endswith(".gz") else open
            with opener(common.text_path(name), "rb") as file:
                content = file.read()
            if b"\0" not in content:  # a database is no text
                joined.write(content)
        joined.flush()
        yield joined.name


def check_models():
    """Our four models over all texts and the nasty one."""
    common.text_path()
    with all_texts() as texts:
        for name in common.MODELS:
            yield compare(name, common.model_path(name), [texts, NASTY])


def check_vocabularies():
    """llama.cpp's vocabularies over its own test inputs and the nasty text."""
    for path in vocabulary_files():
        inputs = [path + ".inp"] if os.path.exists(path + ".inp") else []
        yield compare(pathlib.Path(path).stem, path, [NASTY, *inputs])


def rename_pretokenizer(source, name, path):
    """A copy of a vocabulary-only file with another tokenizer.ggml.pre."""
    fields = gguf.GGUFReader(source).fields
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(name)
    writer.add_token_list(fields["tokenizer.ggml.tokens"].contents())
    writer.add_token_types(fields["tokenizer.ggml.token_type"].contents())
    writer.add_token_merges(fields["tokenizer.ggml.merges"].contents())
    writer.add_bos_token_id(50256)
    writer.add_eos_token_id(50256)
    for add in (writer.add_context_length, writer.add_embedding_length, writer.add_block_count,
                writer.add_feed_forward_length, writer.add_head_count):
        add(64)
    writer.add_layer_norm_eps(1e-5)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_pretokenizers():
    """Every line of pretokenizers.def by its first name, with GPT-2's vocabulary."""
    source = next((path for path in vocabulary_files() if path.endswith("vocab-gpt-2.gguf")), None)
    if source is None:
        raise Missing("ggml-vocab-gpt-2.gguf in CHECKBIT_PEER_SOURCE")
    names = re.findall(r'^PRETOKENIZER\("([^" ]+)', pathlib.Path(DEFINITIONS).read_text(), re.M)
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "renamed.gguf")
        for name in names:
            rename_pretokenizer(source, name, model)
            texts = [NASTY, common.text_path("mbpp.jsonl")]
            yield compare(f"pre {name}", model, texts, modes=MODES[:1])


if __name__ == "__main__":
    common.main(__doc__, [check_models, check_vocabularies, check_pretokenizers])
