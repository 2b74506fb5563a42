#!/usr/bin/env python3
"""Writes seeds for the fuzz targets, a folder for each: make_seeds.py FOLDER

Templates come from the goldens of the template tests, GGUF files from the gguf package; without
that package there are none of those, and a line says so.
"""

import hashlib
import json
import pathlib
import sys

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"


def template_seeds(folder):
    golden = json.loads((DATA / "template_golden.json").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    for case in golden["models"] + golden["features"]:
        source = case["source"].encode()
        (folder / hashlib.sha256(source).hexdigest()[:16]).write_bytes(source)


def main():
    folder = pathlib.Path(sys.argv[1])
    template_seeds(folder / "chat_template_fuzz")
    try:
        import make_gguf_seeds
    except ImportError as error:
        print(f"make_seeds.py: no GGUF seeds: {error}", file=sys.stderr)
        return
    for target in ("gguf_fuzz", "metadata_fuzz"):
        make_gguf_seeds.write_seeds(folder / target)


if __name__ == "__main__":
    main()
