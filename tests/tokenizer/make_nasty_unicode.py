#!/usr/bin/env python3
"""Writes tests/data/nasty_unicode.txt: text that tokenizers get wrong. Lines are cases.

    python3 tests/tokenizer/make_nasty_unicode.py tests/data/nasty_unicode.txt

The lines of nasty_unicode.txt are separated by "\n---\n" (so that a case may hold line breaks);
tests read the whole file as one text and each case as a text of its own.
"""
import sys

SPACES = "\u0009\u000b\u000c\u0020\u0085\u00a0\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006" \
         "\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
APOSTROPHES = "'\u2019\u02bc\uff07`\u00b4"
SUFFIXES = ["s", "t", "re", "ve", "m", "ll", "d", "S", "T", "RE", "Ve", "M", "LL", "D", "\u017f", "x"]


def text(*parts):
    return "".join(parts).encode("utf-8", "surrogatepass")


CASES = [
    b"", b" ", b"  ", b"   a", b"a   ", b"\n", b"\r", b"\r\n", b"\n\n\n", b"\r\n\r\n", b"\t", b"a\n b",
    b"\n \n\n \n\n\n \t\n \r\n \r x", b"a\r\rb\n\rc\r\nd", b"x" * 100, b" " * 70 + b"x", b"\n" * 70,
    b"\t" * 35 + b"y", b" \t" * 20, b"=" * 90, b"-" * 65, b"ab" * 40, b"!?" * 33,
    b"0 1 12 123 1234 12345 123456 1234567890123", b"3.14159 1,000,000 1e-9 0x7fFF 2024-11-22T02:18:00Z",
    text("\u0660\u0661\u0662\u0663 \u0967\u0968\u0969 \uff11\uff12\uff13\uff14 \u00bd\u00b2\u2167 \u3007 \U0001d7d8\U0001d7d9\U0001d7da\U0001d7db"),
    text(*[f"x{s}{s}y " for s in SPACES]), text(SPACES), text("a", SPACES, "b"),
    text(*[f"{w}{a}{s} " for a in APOSTROPHES for s in SUFFIXES for w in ("I", "\u00e9")]),
    b"'s 't're'VE'Ll 'D'm 'x '' 'sa 'RE's", b"it's don't we're I've I'm you'll he'd IT'S DON'T WE'RE I'VE I'M YOU'LL HE'D",
    text("\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 1\ufe0f\u20e3 \u2764\ufe0f \U0001fae8 \U0001f6dc"),
    text("e\u0301 o\u0308\u0304 a\u0323\u0302 Z\u0351\u036b\u0343\u036a\u0302\u036b A\u030a\u00c5\u212b \u0301alone n\u0303o\u0303"),
    text("\u4f60\u597d\uff0c\u4e16\u754c\uff01\u6f22\u5b57 \u3053\u3093\u306b\u3061\u306f \u30ab\u30bf\u30ab\u30ca \uff76\uff85 \u3400\U00020000\U0002a6d6\U00031350"),
    text("\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0645\u064e\u0631\u0652\u062d\u064e\u0628\u064b\u0627 \u06f1\u06f2\u06f3 \u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u202eRTL\u202c \u200fx\u200e"),
    text("\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01 \u0e97\u0eaa \u0939\u093f\u0928\u094d\u0926\u0940 \u0ba4\u0bae\u0bbf\u0bb4\u0bcd \u1019\u103c\u1014\u103a\u1019\u102c"),
    text("\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u1100\u116e\u11a8 \u3131\u314f \u1100\u1161"),
    text("\u041f\u0440\u0438\u0432\u0435\u0442 \u0393\u03b5\u03b9\u03ac \u0e3f \u20ac\u00a3\u00a5 \u00df\u1e9e \u0130\u0131 \ufb01\ufb02 \u01c5 \u02b0 \u2160\u2170"),
    text("\u2581lower\u2581 \u2581\u2581 a\u2581b \u0120x \u010ay"), text("\u2026\u2014\u2013\u201cq\u201d\u2018q\u2019\u00ab\u00bb\u3010\u3011\uff5e"),
    bytes(range(1, 32)), b"\x7f\x1b[31mred\x1b[0m", b"\x1c\x1d\x1e\x1f x\x0bx\x0cx", b"a\x00b\x00\x00c", b"\x00",
    text("\uffff \ufffe \ufdd0 \U0001ffff \U0010ffff \U0010fffd \ue000 \ufffd \u0378 \U000e0041"),
    text("\u0cf3 \u0ece \U00011241\U0001123f \U00011b00 \U00011f50 \u2ffc \u31ef \U0001d2c0 \U0001e4d0 \U0002ebf0"),
    b"\x80", b"\xbf\xff\xfe", b"a\xffb\xc3", b"\xc3(", b"\xe2\x82", b"\xe2\x28\xa1", b"\xf0\x9f\x98", b"\xf0\x28\x8c\xbc", b"x\xf0\x9f y",
    b"\xc0\x80", b"\xc1\xbf\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80",
    b"\xed\xbf\xbf a \xed\xb0\x80b", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"good \xe4\xbd bad \xe5\xa5\xbd", b"\xff" * 9,
    b"<|im_start|>system\nx<|im_end|>\n<|endoftext|>", b"<bos><eos><unk><pad><s></s>", b"<start_of_turn>user\nhi<end_of_turn>\n",
    b"<|im_start", b"<|im_start|><|im_start|>", b"< |im_end|>", b"<|im_end|", b"<<|im_end|>>", b" <|im_end|> ", b"a<|im_end|>b",
    b"<0x41><0x00><0xFF><0x0A>", b"<unused0><unused1>[multimodal]<h1>T</h1><table><tr><td> x", b"<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>",
    b"def f(x):\n\treturn x**2  # y\n\n\nclass A:\n    pass\n        deep", b"#include <a.h>\nint main(){for(;;){}}//\xe2\x9c\x93",
    b"https://example.com/a?b=c&d=%20e#f user@host.org C:\\path\\n", b"camelCase snake_case SCREAMING HTTPServer x1y2z3 ALLCAPSword",
    b'{"a": [1, 2.5, null, true], "b": {"c": "\\u00e9\\n"}}', b"Lorem ipsum dolor sit amet, consectetur adipiscing elit.",
    b"\\n \\t \\\\ \\x41 \\u0041", b"trailing space ", b"trailing newline\n", b" leading", b"\xef\xbb\xbfBOM first",
]

if __name__ == "__main__":
    with open(sys.argv[1], "wb") as out:
        out.write(b"\n---\n".join(CASES))
