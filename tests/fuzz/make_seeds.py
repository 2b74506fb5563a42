#!/usr/bin/env python3
"""Writes seeds for the fuzz targets, a folder for each, and TARGET.dict beside it where a target has
words that chance does not spell: make_seeds.py FOLDER

Templates come from the goldens of the template tests, GGUF files from the gguf package; without
that package there are none of those, and a line says so.
"""

import hashlib
import json
import pathlib
import re
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "tests" / "data"
KEYWORDS = """{{ }} {% %} {# #} {%- -%} {{- -}} and block break call continue elif else endcall endfilter
endfor endif endmacro endraw endset filter for generation if in is loop macro namespace none not or
raw recursive set true false == != >= // ** ~ messages""".split()


def template_seeds(folder):
    golden = json.loads((DATA / "template_golden.json").read_text())
    folder.mkdir(parents=True, exist_ok=True)
    sources = [case["source"] for case in golden["models"] + golden["features"]]
    # The target takes a template, or a template, a zero byte and the variables as JSON.
    pairs = [(case["source"], variables) for case in golden["models"]
             for variables in golden["cases"].values()]
    pairs += [(case["source"], golden["variables"]) for case in golden["features"]]
    sources += [source + "\0" + json.dumps(variables) for source, variables in pairs]
    for source in sources:
        seed = source.encode()
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


def template_words(path):
    """The words of the language: what its lists name."""
    words = set(KEYWORDS)
    for name in ("filters", "functions", "methods", "tests"):
        text = (ROOT / "src" / "run" / "jinja" / f"{name}.def").read_text()
        words.update(re.findall(r'^CHECKBIT_\w+\((?:\w+, )?"([^"]+)"', text, re.MULTILINE))
        words.update(name + "=" for names in re.findall(r', "([^"]*)"\)$', text, re.MULTILINE)
                     for name in re.findall(r"(\w+)=", names))
    path.write_text("".join(f'"{word}"\n' for word in sorted(words)))


def seal_seeds(folder):
    """Seals of the model that the target makes, and a journal, each behind the byte that chooses."""
    import check_protect
    folder.mkdir(parents=True, exist_ok=True)
    model = bytes((i * i >> 3) & 255 for i in range(20000))
    seal = check_protect.seal_of(model, 2)
    for choice in (0, 1, 4):
        (folder / f"seal-{choice}").write_bytes(bytes([choice]) + seal)
    piece = struct.pack("<IIQ", 0, 16, 4096) + bytes(16)
    journal = b"CBREPAIR" + struct.pack("<IIQ", 1, 1, check_protect.crc64(seal)) + piece
    (folder / "journal").write_bytes(b"\2" + journal + struct.pack("<Q", check_protect.crc64(journal)))


def main():
    folder = pathlib.Path(sys.argv[1])
    template_seeds(folder / "chat_template_fuzz")
    template_words(folder / "chat_template_fuzz.dict")
    try:
        import make_gguf_seeds
    except ImportError as error:
        print(f"make_seeds.py: no GGUF seeds: {error}", file=sys.stderr)
        return
    for target in ("gguf_fuzz", "metadata_fuzz"):
        make_gguf_seeds.write_seeds(folder / target)
    sys.path.insert(0, str(ROOT / "tests" / "oracles"))
    seal_seeds(folder / "seal_fuzz")


if __name__ == "__main__":
    main()
