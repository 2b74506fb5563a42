#!/usr/bin/env python3
"""A folder of src/ may include only folders before it in CHECKBIT_LAYERS (cmake/folders.cmake).

quantize, measure, guard and solve never include one another. Exit status 1 names each offence.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIBLINGS = {"quantize", "measure", "guard", "solve"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def layers():
    """The folders in order, from the one list that the build uses."""
    text = (ROOT / "cmake" / "folders.cmake").read_text()
    found = re.search(r"set\(CHECKBIT_LAYERS([^)]*)\)", text)
    if not found:
        sys.exit("cmake/folders.cmake: no CHECKBIT_LAYERS")
    return found.group(1).split()


def offence(order, source_layer, included):
    """What is wrong with a file of source_layer including this path, or None."""
    target = included.split("/")[0]
    if "/" not in included or target not in order:
        return f"names no folder of src/: {included}"
    if {source_layer, target} <= SIBLINGS and source_layer != target:
        return f"siblings must not include one another: {included}"
    if order.index(target) > order.index(source_layer):
        return f"{target} comes after {source_layer}: {included}"
    return None


def main():
    """Command line."""
    order = layers()
    offences = []
    files = [path for path in (ROOT / "src").rglob("*") if path.suffix in {".cpp", ".h", ".def"}]
    for path in sorted(files):
        relative = path.relative_to(ROOT / "src")
        layer = relative.parts[0]
        if layer not in order:
            offences.append(f"src/{relative}: the folder {layer} is not in CHECKBIT_LAYERS")
            continue
        for included in INCLUDE.findall(path.read_text()):
            wrong = offence(order, layer, included)
            if wrong:
                offences.append(f"src/{relative}: {wrong}")
    print("\n".join(offences) or f"{len(files)} files keep the order of layers")
    sys.exit(1 if offences or not files else 0)


if __name__ == "__main__":
    main()
