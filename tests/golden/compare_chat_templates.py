#!/usr/bin/env python3
"""Renders every chat template of a folder with transformers and with this program, and compares.

Needs the packages transformers and jinja2, and the program `render_template` (cmake --build --preset
release --target render_template):
    compare_chat_templates.py build/release/tests/golden/render_template FOLDER...

Templates are *.jinja, and the chat_template of *.json (a text or a list). Each is given the
conversations of chat_conversations.py in all settings. Where one refuses, the other must; where both
give a text, it must be the same, byte for byte.
"""

import json
import subprocess
import sys
from pathlib import Path

from chat_conversations import CONVERSATIONS, SETTINGS
from jinja_reference import NOW, render, variables_of

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def templates(folders):
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.jinja")):
            yield path.name, path.read_text()
        for path in sorted(Path(folder).rglob("*.json")):
            content = json.loads(path.read_text())
            found = content.get("chat_template") if isinstance(content, dict) else None
            if isinstance(found, str):
                yield path.name, found
            for one in found if isinstance(found, list) else []:
                yield f"{path.name}:{one['name']}", one["template"]


def main():
    program = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    now = [NOW.year, NOW.month, NOW.day, NOW.hour, NOW.minute, NOW.second]
    equal, count, texts = 0, 0, 0
    for name, template in templates(sys.argv[2:]):
        differences, rendered = [], 0
        for settings in SETTINGS:
            for number, messages in enumerate(CONVERSATIONS):
                variables = variables_of(messages, settings, SPECIAL)
                expected, error = render(template, variables)
                print(json.dumps({"template": template, "variables": variables, "now": now}), file=program.stdin, flush=True)
                got = json.loads(program.stdout.readline())
                rendered += expected is not None
                if got.get("text") != expected:
                    differences.append((number, settings, expected if expected is not None else error, got))
        count += 1
        texts += rendered
        equal += not differences
        print(f"{'equal    ' if not differences else 'DIFFERENT'} {name}: {rendered} texts, {len(SETTINGS) * len(CONVERSATIONS) - rendered} refusals")
        for number, settings, expected, got in differences[:2]:
            print(f"    conversation {number}, {json.dumps(settings)[:200]}\n    expected {expected!r}\n    got      {got!r}")
    print(f"{equal} of {count} templates are equal, byte for byte, in {texts} texts")
    sys.exit(equal != count)


main()
