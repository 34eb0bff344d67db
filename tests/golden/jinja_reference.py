"""Chat templates as transformers renders them, with a clock that stands still."""

import datetime
import sys

import jinja2
from transformers.utils import chat_template_utils

NOW = datetime.datetime(2025, 3, 4, 5, 6, 7)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = Clock


def variables_of(messages, settings, special):
    """What apply_chat_template() gives a template."""
    variables = {"messages": chat_template_utils._alias_reasoning_fields(chat_template_utils._normalize_chat_messages(messages)),
                 "tools": None, "documents": None, "add_generation_prompt": True}  # fmt: skip
    return variables | special | settings


def render(template, variables):
    """The text and "", or None and the error."""
    try:
        return chat_template_utils._compile_jinja_template(template).render(**variables), ""
    except (jinja2.exceptions.TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError, ZeroDivisionError) as error:
        return None, f"{type(error).__name__}: {error}"
    except RecursionError as error:
        return None, f"{type(error).__name__}: {error}"


def main_error(text):
    print(text, file=sys.stderr)
    sys.exit(1)
