#!/usr/bin/env python3
"""Writes tests/data/tokenizer_golden.json with llama.cpp's ids, the oracle of tokenizer_golden_test.

    python3 tests/tokenizer/make_golden.py --tokenize .../llama-tokenize --models ~/.cache/checkbit/models \\
        --texts ../shared/data --out tests/data/tokenizer_golden.json

Each entry is what this command prints, without and with "--no-bos --no-parse-special":

    llama-tokenize -m MODEL -f FILE --ids --no-escape

Cases of tests/data/nasty_unicode.txt are stored as ids, whole texts as count and hash (FNV-1a, 64
bits, over the ids as little-endian 32-bit numbers).
"""
import argparse
import json
import pathlib
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

import gguf

MODELS = ["smollm2-135m", "gemma3-270m", "qwen2.5-coder-0.5b"]
SAME = {"qwen2.5-coder-1.5b": "qwen2.5-coder-0.5b"}  # the same tokenizer, verified below
MODES = {"special": [], "plain": ["--no-bos", "--no-parse-special"]}
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
NASTY = REPOSITORY / "tests/data/nasty_unicode.txt"
SEPARATOR = b"\n---\n"


def llama_ids(tokenize, model, path, flags):
    command = [tokenize, "-m", str(model), "-f", str(path), "--ids", "--no-escape", "--log-disable"]
    run = subprocess.run(command + flags, capture_output=True)
    if run.returncode != 0:
        raise SystemExit(f"{' '.join(command + flags)}: status {run.returncode}")
    return json.loads(run.stdout.decode().strip().splitlines()[-1])


def hash_of(ids):
    value = 0xCBF29CE484222325
    for id_ in ids:
        for byte in id_.to_bytes(4, "little"):
            value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def tokenizer_of(path):
    """Everything that decides ids, for comparing two files."""
    fields = gguf.GGUFReader(path).fields
    keys = [k for k in fields if k.startswith("tokenizer.ggml.")]
    return {key: fields[key].contents() for key in sorted(keys)}


def summary(ids):
    return {"count": len(ids), "hash": hash_of(ids)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenize", required=True)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--texts", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()

    texts = sorted(p for p in arguments.texts.iterdir() if p.suffix in (".txt", ".json", ".jsonl"))
    cases = NASTY.read_bytes().split(SEPARATOR)
    golden = {"command": "llama-tokenize -m MODEL -f FILE --ids --no-escape",
              "modes": MODES, "models": {}}
    for name, other in SAME.items():
        first, second = (tokenizer_of(arguments.models / f"{m}.gguf") for m in (name, other))
        if first != second:
            raise SystemExit(f"{name} and {other} have different tokenizers: list both in MODELS")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        case_files = [pathlib.Path(folder) / f"{i}.txt" for i in range(len(cases))]
        for path, case in zip(case_files, cases):
            path.write_bytes(case)
        for name in MODELS:
            golden["models"][name] = {}
            for mode, flags in MODES.items():
                def run(path):
                    model = arguments.models / f"{name}.gguf"
                    return llama_ids(arguments.tokenize, model, path, flags)
                whole = {path.name: summary(run(path)) for path in texts + [NASTY]}
                golden["models"][name][mode] = {"texts": whole, "cases": list(pool.map(run, case_files))}
            print(name, "done", flush=True)
    for name, other in SAME.items():
        golden["models"][name] = {"same_as": other}
    arguments.out.write_text(json.dumps(golden, separators=(",", ":")).replace('"models"', '\n"models"') + "\n")


if __name__ == "__main__":
    main()
