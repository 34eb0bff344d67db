#!/usr/bin/env python3
"""Writes tests/golden/jinja/: small templates, and what transformers' Jinja makes of them.

Needs the packages transformers and jinja2:
    make_jinja_reference.py tests/golden/jinja

cases.json  {"now", "values", "messages", "constructs", "templates"}: a construct {"name", "template",
            "text"} is given the values; a template {"name", "template", "variables", "texts"} each of
            the lists of messages besides its variables. A text is null where the template refuses.

The templates are of one construct each, or put together as those that models publish are: roles by
header, alternation, tools as JSON or as a signature, tool calls and results, thinking that is kept or
taken out, parts of a content, namespaces, macros.
"""

import json
import sys
from pathlib import Path

from chat_conversations import CONVERSATIONS
from jinja_templates import CONSTRUCTS, TEMPLATES
from jinja_reference import NOW, render, variables_of

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
VALUES = {
    "none": None, "yes": True, "no": False, "zero": 0, "seven": 7, "half": 0.5, "big": 1e20, "tiny": 1e-7,
    "word": "Straße 世界 😀", "text": "  two  words\n and\ta line \n", "empty": "", "quotes": "it's \"so\" \\ \x07",
    "list": [3, 1, 2], "names": ["b", "A", "c", "a"], "nested": [[1, [2]], {"a": [None, True]}],
    "dict": {"b": 1, "a": {"items": "x"}, "items": [1, 2]}, "people": [
        {"name": "Ann", "age": 30, "town": {"name": "Rom"}}, {"name": "bob", "age": 25, "town": {"name": "Ulm"}},
        {"name": "Cid", "age": 30}],
}  # fmt: skip


def main():
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    constructs = [{"name": name, "template": template, "text": render(template, VALUES)[0]} for name, template in CONSTRUCTS.items()]
    chosen = [CONVERSATIONS[i] for i in (0, 1, 3, 6, 10, 12, 13, 16)]
    messages = [variables_of(conversation, {}, {})["messages"] for conversation in chosen]
    templates = []
    for name, (template, settings) in TEMPLATES.items():
        variables = {k: v for k, v in variables_of([], settings, SPECIAL).items() if k != "messages"}
        texts = [render(template, {"messages": one} | variables)[0] for one in messages]
        templates.append({"name": name, "template": template, "variables": variables, "texts": texts})
    now = [NOW.year, NOW.month, NOW.day, NOW.hour, NOW.minute, NOW.second]
    content = {"now": now, "values": VALUES, "messages": messages, "constructs": constructs, "templates": templates}
    (directory / "cases.json").write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n")
    texts = [one["text"] for one in constructs] + [text for one in templates for text in one["texts"]]
    print(f"{len(constructs)} constructs, {len(templates)} templates, {len(texts)} texts, {texts.count(None)} refused")


main()
