#!/usr/bin/env python3
"""Links in the documents lead somewhere, every folder of src/ has a README.md, docs/systems.md is whole.

Exit status 1 names each offence.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
SYSTEMS_ROWS = 205


def broken_links():
    """Relative links whose target is not in the tree."""
    documents = list(ROOT.glob("*.md"))
    for folder in ("docs", "src", "tests", "bench", "web"):
        documents += (ROOT / folder).rglob("*.md")
    for document in sorted(documents):
        if "node_modules" in document.parts:
            continue
        for target in LINK.findall(document.read_text()):
            if "://" in target or target.startswith("mailto:"):
                continue
            if not (document.parent / target).exists():
                yield f"{document.relative_to(ROOT)}: link to {target}, which is not there"


def missing_readmes():
    """Folders of src/ with code that do not say what they are for."""
    for folder in sorted(path for path in (ROOT / "src").iterdir() if path.is_dir()):
        if any(folder.rglob("*.cpp")) and not (folder / "README.md").exists():
            yield f"src/{folder.name}: no README.md"


def systems_offences():
    """One row per paper, numbered from 1; a row with a figure has a command."""
    path = ROOT / "docs" / "systems.md"
    rows = [line for line in path.read_text().splitlines() if re.match(r"\| \d+ \|", line)]
    numbers = [int(row.split("|")[1]) for row in rows]
    if numbers != list(range(1, SYSTEMS_ROWS + 1)):
        yield f"docs/systems.md: rows are not numbered 1 to {SYSTEMS_ROWS}"
    for number, row in zip(numbers, rows):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) != 5 or not cells[1] or not cells[2]:
            yield f"docs/systems.md: row {number} has not five columns with title and place"
        elif bool(cells[3]) != bool(cells[4]):
            yield f"docs/systems.md: row {number} has a command without a figure or a figure without a command"


def main():
    """Command line."""
    offences = [*broken_links(), *missing_readmes(), *systems_offences()]
    print("\n".join(offences) or "links, folder READMEs and docs/systems.md are whole")
    sys.exit(1 if offences else 0)


if __name__ == "__main__":
    main()
