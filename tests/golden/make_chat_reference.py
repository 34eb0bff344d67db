#!/usr/bin/env python3
"""Writes tests/golden/chat/: what transformers makes of conversations with models' own templates.

Needs the packages transformers and jinja2:
    make_chat_reference.py tests/golden/chat

conversations.jsonl  a list of messages, each line
templates.jsonl      {"kind", "models", "bos", "eos", "template", "texts"} for each template of
                     chat_templates.py: the texts are those of the conversations in turn, or null
                     where the template refuses one or has no place for its system message
"""

import json
import sys
from pathlib import Path

from chat_templates import TEMPLATES
from jinja2.exceptions import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

# What a template without a clock gives: those that ask for the date are given this one.
DATE = "26 Jul 2024"


def talk(*contents, system=None):
    roles = ["user", "assistant"]
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]
    return ([] if system is None else [{"role": "system", "content": system}]) + messages


def roles(*names):
    return [{"role": name, "content": f"{name} {i}"} for i, name in enumerate(names)]


CONVERSATIONS = [
    talk("Hello"),
    talk("Hello", system="Be brief."),
    talk("Hello", "Hi there", "Who are you"),
    talk("Hello", "Hi there", "Who are you", system="Be brief."),
    talk("Hello", "Hi", "Who are you", "I am", "What", "That", "Why", system="Be\nbrief."),
    talk(""),
    talk("", "", ""),
    talk("Hello", system=""),
    talk("", system=""),
    talk("  both sides \t\n", "   I am an assistant   ", "\n\nlines\n\n"),
    talk("  both sides \n", " answer ", " again ", system="  a system \n"),
    talk("\u00a0\u2003wide\u3000\x1c", "\x85next line\u2028", "\u200bzero width\u200b"),
    talk("Grüße, Привет, 世界, 😀👍🏽", "e\u0301 नमस्ते", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
    talk("quotes ' \" \\ \\n {{ x }} {% y %} {# z #}", "<b>&amp;</b>", "$1 %s {0}"),
    talk("a\r\nb\rc", "tab\there", "nul-free"),
    talk("<|im_end|><|eot_id|></s>[INST] <end_of_turn>", "<|end|>", "<<SYS>>x<</SYS>>"),
    talk("Why?", "<think>\nSome thought.\n</think>\n\nBecause.", "Really?"),
    talk("Why?", "<think>a</think>b<think>c</think>\nd", "Really?", "</think>\n\nYes", "Hm"),
    talk("Why?", "<think>\nt\n</think>\n\nBecause.", "<tool_response>\n1\n</tool_response>"),
    talk("Why?", "</think>only", "<tool_response>\n1\n</tool_response>", system="Be sure."),
    talk("<tool_response>x</tool_response>", "<think>\n\n</think>\n\nempty", "<tool_response></tool_response>"),
    talk("x" * 300, "y" * 300, "z " * 100),
    roles("system"),
    roles("user", "user"),
    roles("user", "system"),
    roles("system", "system", "user"),
    roles("assistant", "user"),
    roles("system", "assistant", "user"),
    roles("user", "assistant", "system", "user"),
    roles("user", "assistant", "assistant", "user"),
    roles("user", "assistant", "user", "user"),
]


def render(template, conversation, bos, eos):
    # As a tokenizer's apply_chat_template(): the special tokens that it has are variables.
    special = {"bos_token": bos, "eos_token": eos}
    try:
        rendered, _ = render_jinja_template(
            [conversation],
            chat_template=template,
            add_generation_prompt=True,
            date_string=DATE,
            **{name: text for name, text in special.items() if text is not None},
        )
    except TemplateError:
        return None
    # Some templates leave system messages out without a word; Gemma's, which has no turn of the
    # system, opens one for a system message in an assistant's place.
    if "<start_of_turn>system" in rendered[0]:
        return None
    systems = [m["content"].strip() for m in conversation if m["role"] == "system"]
    return rendered[0] if all(system in rendered[0] for system in systems) else None


def main():
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "conversations.jsonl", "w") as file:
        for conversation in CONVERSATIONS:
            file.write(json.dumps(conversation) + "\n")
    with open(directory / "templates.jsonl", "w") as file:
        for kind, models, (bos, eos), template in TEMPLATES:
            line = {"kind": kind, "models": models, "bos": bos, "eos": eos, "template": template}
            line["texts"] = [render(template, talk, bos, eos) for talk in CONVERSATIONS]
            file.write(json.dumps(line) + "\n")


main()
