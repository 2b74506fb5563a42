"""Writes unicode_tables.inc: what Python's str methods know about characters.

Run by hand when the Unicode version should move: python3 make_unicode_tables.py > unicode_tables.inc
"""

import sys
import unicodedata

END = sys.maxunicode + 1


def runs(points):
    """Ascending code points as (first, last, stride 1 or 2)."""
    out = []
    for point in points:
        if out:
            first, last, stride = out[-1]
            if first == last and point - last in (1, 2):
                out[-1] = (first, point, point - last)
                continue
            if first != last and point - last == stride:
                out[-1] = (first, point, stride)
                continue
        out.append((point, point, 1))
    return out


def ranges(name, test):
    points = [c for c in range(END) if not 0xD800 <= c < 0xE000 and test(chr(c))]
    rows = [f"{{{a}, {b}, {s}}}," for a, b, s in runs(points)]
    print(f"constexpr Range {name}[] = {{")
    show(rows)


def show(rows):
    line = "   "
    for row in rows:
        if len(line) + len(row) + 1 > 100:
            print(line)
            line = "   "
        line += " " + row
    print(line + "};")


def mappings(name, convert):
    """Characters that become one other character: runs with one difference."""
    by_delta = {}
    for c in range(END):
        if 0xD800 <= c < 0xE000:
            continue
        to = convert(chr(c))
        if len(to) == 1 and to != chr(c):
            by_delta.setdefault(ord(to) - c, []).append(c)
    rows = []
    for delta, points in by_delta.items():
        rows += [(a, b, s, delta) for a, b, s in runs(points)]
    print(f"constexpr Mapping {name}[] = {{")
    show([f"{{{a}, {b}, {s}, {d}}}," for a, b, s, d in sorted(rows)])


def specials(name, convert):
    """Characters that become several."""
    rows = []
    for c in range(END):
        if 0xD800 <= c < 0xE000:
            continue
        to = [ord(x) for x in convert(chr(c))]
        if len(to) > 1:
            rows.append(f"{{{c}, {{{', '.join(map(str, to))}}}}},")
    print(f"constexpr Special {name}[] = {{")
    show(rows)


print(f"// Unicode {unicodedata.unidata_version}, written by make_unicode_tables.py. Do not edit.")
print("// clang-format off")
ranges("kSpace", str.isspace)
ranges("kAlpha", str.isalpha)
ranges("kDecimal", str.isdecimal)
ranges("kDigit", str.isdigit)
ranges("kNumeric", str.isnumeric)
ranges("kLower", str.islower)
ranges("kUpper", str.isupper)
ranges("kTitle", lambda c: c.istitle() and not c.isupper())
ranges("kUnprintable", lambda c: not c.isprintable())
mappings("kToUpper", str.upper)
mappings("kToLower", str.lower)
mappings("kToTitle", str.title)
specials("kUpperSpecial", str.upper)
specials("kLowerSpecial", str.lower)
specials("kTitleSpecial", str.title)
print("// clang-format on")
