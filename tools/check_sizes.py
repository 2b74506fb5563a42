#!/usr/bin/env python3
"""Files stay under 500 lines (tests 800), functions under 100. Tables are exempt, each with a reason.

Functions are found by braces: a line that opens a block at the depth of its namespace or class and
ends with "{" after ")" begins one. Exit status 1 names each offence.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_LINES = 500
MAX_TEST_LINES = 800
MAX_FUNCTION_LINES = 100
SUFFIXES = {".cpp", ".h", ".py", ".ts", ".js", ".css"}

# Path -> why it may be longer. Only tables of data belong here.
EXEMPT = {
}

STRINGS = re.compile(r'R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'')
COMMENTS = re.compile(r"//[^\n]*|/\*(?:.|\n)*?\*/")
CONTAINER = re.compile(r"\b(namespace|struct|class|union|enum)\b[^()]*$|extern \"C\"\s*$")


def blank(match):
    """The same number of lines without content."""
    return "\n" * match.group(0).count("\n")


def long_functions(text):
    """(first line, length) of each function over the limit."""
    text = COMMENTS.sub(blank, STRINGS.sub(blank, text))
    found = []
    stack = []  # (line of the opening brace, is it a function?)
    line = 1
    head = ""  # what stands before a brace since the last ; { or }
    for character in text:
        if character == "\n":
            line += 1
            head += " "
        elif character == "{":
            inside = any(is_function for _, is_function in stack)
            is_function = not inside and ")" in head and not CONTAINER.search(head)
            stack.append((line, is_function))
            head = ""
        elif character == "}":
            if stack:
                start, is_function = stack.pop()
                if is_function and line - start + 1 > MAX_FUNCTION_LINES:
                    found.append((start, line - start + 1))
            head = ""
        elif character == ";":
            head = ""
        else:
            head += character
    return found


def is_test(path):
    """Does the limit of tests hold?"""
    return path.parts[0] == "tests" or "_test." in path.name


def main():
    """Command line."""
    offences = []
    files = []
    for folder in ("src", "tests", "tools", "bench", "web"):
        files += [path for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    files = [path for path in files if "node_modules" not in path.parts]
    for path in sorted(files):
        relative = path.relative_to(ROOT)
        if str(relative) in EXEMPT:
            continue
        text = path.read_text()
        limit = MAX_TEST_LINES if is_test(relative) else MAX_LINES
        lines = text.count("\n")
        if lines > limit:
            offences.append(f"{relative}: {lines} lines, the limit is {limit}")
        if path.suffix in {".cpp", ".h"}:
            for start, length in long_functions(text):
                offences.append(f"{relative}:{start}: a function of {length} lines, the limit is {MAX_FUNCTION_LINES}")
    offences += [f"{path}: exempt but not there" for path in EXEMPT if not (ROOT / path).exists()]
    print("\n".join(offences) or f"{len(files)} files are short enough")
    sys.exit(1 if offences or not files else 0)


if __name__ == "__main__":
    main()
