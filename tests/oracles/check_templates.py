#!/usr/bin/env python3
"""Compares our chat templates with jinja2 in the environment that transformers gives it.

  check_templates.py [models] [peer] [features]
      renders every template (our models', llama.cpp's models/templates, the synthetic ones in
      tests/data/templates_features.json) over every case through `checkbit template`
  check_templates.py --write-golden tests/data/template_golden.json
      writes what jinja2 gives for our models' and the synthetic templates, for the unit test

The figure is the number of renderings that differ; where jinja2 raises, we must fail too. Prints
each difference to standard error.
"""

import concurrent.futures
import datetime
import difflib
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

import common
from common import Result

NOW = 1700000000
DATA = pathlib.Path(__file__).resolve().parent.parent / "data"


class Generation(jinja2.ext.Extension):
    """{% generation %} of transformers: rendered as it stands, with a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_render", [])
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def environment():
    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def strftime_now(format):
        now = datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None)
        return now.strftime(format)

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


@functools.lru_cache(maxsize=4)  # cases of one template follow each other
def compiled(source):
    """A template of an environment of its own."""
    return environment().from_string(source)


def expected(source, variables):
    """(text, None) or (None, error)."""
    try:
        return compiled(source).render(**variables), None
    except Exception as error:  # whatever a template can make Python raise
        return None, f"{type(error).__name__}: {error}"


def weather_tool():
    return {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city, <b>now</b> & \"later\"",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Name, e.g. Zürich"},
                    "days": {"type": "integer", "minimum": 0, "default": 3},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                    "tags": {"type": "array", "items": {"type": ["string", "null"]}},
                    "limits": {"type": "object", "properties": {"low": {"type": "number"}}},
                },
                "required": ["city"],
            },
            "return": {"type": "object", "properties": {"t": {"type": "number"}}},
        },
    }


def plain_tool():
    return {
        "type": "function",
        "function": {"name": "clock", "description": "Time", "parameters": {"type": "object", "properties": {}}},
    }


def cases():
    """Name to variables: message lists and switches as chat programs send them."""
    def say(role, content, **more):
        return {"role": role, "content": content, **more}

    def call(arguments, content="", call_id="call00001", **more):
        function = {"name": "get_weather", "arguments": arguments}
        return say("assistant", content, tool_calls=[{"id": call_id, "type": "function", "function": function}], **more)

    user = say("user", "Hello, who are you?")
    bot = say("assistant", "I am a program.")
    system = say("system", "You are terse.\nAnswer in <one> line.")
    ask = say("user", "How is the weather in Zürich? 🌦 ")
    result = say("tool", '{"t": 21.5, "sky": "clear"}', tool_call_id="call00001", name="get_weather")
    as_dict = {"city": "Zürich", "days": 2, "deep": {"a": [1, 2.5, None, True], "b": "x<y"}}
    as_text = json.dumps({"city": "Zürich", "days": 2}, ensure_ascii=False)
    tools = [weather_tool(), plain_tool()]
    parts = [{"type": "text", "text": "First part."}, {"type": "text", "text": " Second part."}]
    picture = [{"type": "image"}, {"type": "text", "text": "What is this?"}]
    thought = say("assistant", "<think>\nhm\n</think>\n\nYes.")
    reasoned = say("assistant", "Forty-two.", reasoning_content="Six times seven.")
    lists = {
        "user": [user],
        "system": [system, user],
        "turns": [user, bot, say("user", "And now?")],
        "system turns": [system, user, bot, say("user", "And now?"), bot, say("user", "  Bye  \n")],
        "ends with assistant": [system, user, bot],
        "empty content": [say("system", ""), say("user", ""), say("assistant", ""), say("user", "x")],
        "none content": [user, say("assistant", None), user],
        "no content": [user, {"role": "assistant"}, user],
        "parts": [say("user", parts), bot, say("user", parts)],
        "system parts": [say("system", parts), user],
        "picture": [say("user", picture)],
        "unicode": [say("system", "日本語で。"), say("user", "ß İ Σας 𝔘 e\u0301 \u200b\u00a0 \\n \t{{x}} {% if %}")],
        "reasoning": [user, reasoned, say("user", "Sure?")],
        "think tags": [system, user, thought, say("user", "Sure?"), thought],
        "call dict": [ask, call(as_dict), result, say("assistant", "Fine."), user],
        "call text": [ask, call(as_text), result, say("assistant", "Fine."), user],
        "call open": [system, ask, call(as_dict, "I look it up.", reasoning_content="Needs a tool."), result],
        "call pending": [ask, call(as_dict)],
        "call none content": [ask, call(as_dict, None), result],
        "two results": [ask, call(as_dict), result, result, user],
        "two calls": [ask, dict(call(as_dict), tool_calls=call(as_dict)["tool_calls"] * 2), result, result],
        "result parts": [ask, call(as_dict), dict(result, content=parts), user],
        "result dict": [ask, call(as_dict), dict(result, content={"t": 21.5, "ok": True})],
        "two users": [user, user],
        "starts with assistant": [bot, user],
        "system late": [user, system, bot],
        "developer": [say("developer", "Be kind."), user],
        "unknown role": [say("wizard", "Abracadabra"), user],
        "thinking word": [say("system", "/no_think"), say("user", "Hi /think")],
        "none": [],
    }
    base = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}
    out = {name: dict(base, messages=messages) for name, messages in lists.items()}
    for name in ["user", "system turns", "ends with assistant", "call dict", "reasoning", "think tags"]:
        out[name + ", no prompt"] = dict(base, messages=lists[name], add_generation_prompt=False)
    for name in ["user", "system turns", "call dict", "call text", "call open", "two calls", "system parts", "unicode"]:
        out[name + ", tools"] = dict(base, messages=lists[name], tools=tools)
    for value in [True, False]:
        for name in ["system turns", "think tags", "call open"]:
            switches = {"enable_thinking": value, "thinking": value, "reasoning_effort": "high" if value else "low"}
            out[f"{name}, thinking {value}"] = dict(base, messages=lists[name], **switches)
    out["bare"] = {"messages": lists["system turns"]}
    out["tools none"] = dict(base, messages=lists["turns"], tools=None, documents=None, date_string="26 Jul 2024")
    out["tools empty"] = dict(base, messages=lists["turns"], tools=[], documents=[])
    out["documents"] = dict(base, messages=lists["system turns"], documents=[{"title": "A", "text": "b"}])
    out["tools in user"] = dict(base, messages=lists["user"], tools=tools, tools_in_user_message=False)
    out["builtin"] = dict(base, messages=lists["user"], tools=tools, builtin_tools=["brave_search"], custom_tools=tools)
    return out


def model_templates():
    """The templates in our models; each text once."""
    import gguf

    found = {}
    for name in common.MODELS:
        field = gguf.GGUFReader(common.model_path(name)).get_field("tokenizer.chat_template")
        source = field.contents() if field else None
        if source and source not in found.values():
            found[name] = source
    return found


def feature_templates():
    """Small templates, one feature each, over the variables that the same file gives."""
    return json.loads((DATA / "templates_features.json").read_text())


def peer_templates():
    """Those of the llama.cpp source tree."""
    root = os.environ.get("CHECKBIT_PEER_SOURCE")
    if not root:
        raise common.Missing("CHECKBIT_PEER_SOURCE: tools/peer --source prints it")
    paths = sorted(pathlib.Path(root, "models", "templates").glob("*.jinja"))
    if not paths:
        raise common.Missing(f"{root}/models/templates/*.jinja")
    return {path.name: path.read_text() for path in paths}


def write_golden(path):
    """Templates and cases by index, and per pair the text or null where jinja2 raises."""
    named = cases()
    features = feature_templates()
    golden = {"now": NOW, "cases": named, "models": [], "features": []}
    for name, source in model_templates().items():
        results = {case: expected(source, variables)[0] for case, variables in named.items()}
        golden["models"].append({"name": name, "source": source, "results": results})
    golden["variables"] = features["variables"]
    for source in features["templates"]:
        golden["features"].append({"source": source, "result": expected(source, features["variables"])[0]})
    pathlib.Path(path).write_text(json.dumps(golden, ensure_ascii=False, indent=0) + "\n")
    print(f"{path}: {len(golden['models'])} model templates x {len(named)} cases, {len(golden['features'])} features")


def run_checkbit(item):
    """(text or None, message) of `checkbit template`; None when it fails as it may."""
    _, source, _, variables = item
    with tempfile.TemporaryDirectory() as folder:
        template = pathlib.Path(folder) / "template.jinja"
        values = pathlib.Path(folder) / "variables.json"
        template.write_text(source, newline="")
        values.write_text(json.dumps(variables, ensure_ascii=False))
        command = [common.checkbit_path(), "template", str(template), "--variables", str(values)]
        command += ["--now", str(NOW)]
        done = subprocess.run(command, capture_output=True, timeout=60)
    if done.returncode not in (0, 1):
        words = done.stderr.decode(errors="replace").strip()[-300:]
        raise common.Failed(f"{' '.join(command)}: exit status {done.returncode}: {words}")
    return done.stdout.decode() if done.returncode == 0 else None, done.stderr.decode()


def show_difference(item, want, reason, text, error):
    """The first lines in which a rendering differs from jinja2's, on standard error."""
    print(f"--- {item[0]} / {item[2]}", file=sys.stderr)
    if want is None:
        print(f"jinja2 raises {reason}\nwe give {text!r}", file=sys.stderr)
    elif text is None:
        print(f"we fail: {error}\njinja2 gives {want!r}", file=sys.stderr)
    else:
        lines = (want.splitlines(True), text.splitlines(True))
        diff = list(difflib.unified_diff(*lines, "jinja2", "checkbit", n=1))
        print("".join(f"{line!r}\n" for line in diff[:20]), end="", file=sys.stderr)


def compare(label, items):
    """One result: how many renderings differ."""
    differ = raising = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for item, (text, error) in zip(items, pool.map(run_checkbit, items), strict=True):
            want, reason = expected(item[1], item[3])
            raising += want is None
            if text != want:
                differ += 1
                show_difference(item, want, reason, text, error)
    note = f"{len({item[0] for item in items})} templates, {len(items)} renderings, {raising} raise"
    return Result(f"templates = jinja2: {label}", differ, 0, note)


def over_cases(templates):
    """(template name, source, case name, variables) of every template and case."""
    named = cases()
    return [
        (name, source, case, variables)
        for name, source in templates.items()
        for case, variables in named.items()
    ]


def check_models():
    """The templates of the catalogue's models."""
    yield compare("our models", over_cases(model_templates()))


def check_peer():
    """The templates that llama.cpp keeps for its tests."""
    yield compare("llama.cpp's collection", over_cases(peer_templates()))


def check_features():
    """One small template per feature."""
    features = feature_templates()
    named = enumerate(features["templates"])
    items = [(f"feature {i}", text, "features", features["variables"]) for i, text in named]
    yield compare("features", items)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--write-golden":
        write_golden(sys.argv[2])
    else:
        common.main(__doc__, [check_models, check_features, check_peer])
